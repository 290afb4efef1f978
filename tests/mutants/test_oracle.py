"""The rules against the oracle, in so few trials that each mutant can be put to them."""

from __future__ import annotations

from services.ledger.tests.oracle.machine import machine_for
from services.ledger.tests.oracle.memory import MemorySubject

TestRules = machine_for(MemorySubject, examples=25, steps=40)
