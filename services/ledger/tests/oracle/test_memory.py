"""The rules against the oracle, in memory."""

from __future__ import annotations

from services.ledger.tests.oracle.memory import MemorySubject
from services.ledger.tests.oracle.whole import machine_for

TestRules = machine_for(MemorySubject, examples=150, steps=50)
