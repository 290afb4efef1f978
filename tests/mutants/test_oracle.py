"""The rules against the oracle, in so few trials that each mutant can be put to them."""

from __future__ import annotations

from services.ledger.tests.oracle.memory import MemorySubject
from services.ledger.tests.oracle.whole import machine_for

TestRules = machine_for(MemorySubject, examples=25, steps=40)
