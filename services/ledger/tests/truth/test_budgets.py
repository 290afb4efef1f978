"""What the verifier knows of budgets."""

from __future__ import annotations

import pytest

from services.ledger.domain.budgets import Budget
from services.ledger.domain.decide import budgets
from services.ledger.tests.support import Ledger
from services.ledger.tests.truth.scenario import DOCUMENT
from services.ledger.verify.run import verify

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


async def test_a_charge_beyond_a_hard_budget_is_found(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    await ledger.configure(**DOCUMENT)
    await ledger.do("grant", "ann", amount=1000)
    await ledger.do(
        "account.budgets", "ann", budgets=(Budget("day", "day", 100), Budget("soft", "day", 10, hard=False))
    )
    await ledger.do("charge", "ann", amount=100)
    assert (await verify(ledger.dsn)).ok
    monkeypatch.setattr(budgets, "check", lambda *_: None)
    assert (await ledger.do("charge", "ann", amount=1)).status == 201
    outcome = await verify(ledger.dsn)
    assert [found.invariant for found in outcome.violations] == ["I2"]
    assert "'day'" in str(outcome.violations[0])
