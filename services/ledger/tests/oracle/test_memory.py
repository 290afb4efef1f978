"""The rules against the oracle, in memory."""

from __future__ import annotations

from services.ledger.tests.oracle.machine import machine_for
from services.ledger.tests.oracle.memory import MemorySubject

TestRules = machine_for(MemorySubject, examples=150, steps=50)
