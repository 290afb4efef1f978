"""`verify` on logs that the real writer made: clean ones pass, each kind of damage is named where it is."""

from __future__ import annotations

import pytest

from services.ledger.tests.support import Ledger
from services.ledger.verify.run import Verification, verify

pytestmark = pytest.mark.anyio


async def verified(ledger: Ledger) -> Verification:
    return await verify(ledger.dsn)


async def test_it(ledger: Ledger) -> None:
    assert (await ledger.do("grant", "ann", amount=100)).body["settled"] == "100"
    hold = await ledger.do("hold", "ann", amount=10)
    cap = await ledger.do("hold.capture", hold=hold.id, amount=4)
    assert cap.status == 201, cap
    ref = await ledger.do("charge.refund", charge=cap.body["charge"])
    assert ref.status == 201, ref
    t = await ledger.transfer("ann", "bob", 5)
    assert t.body["status"] == "completed"
    await ledger.do("account.close", "bob")
    t = await ledger.transfer("ann", "bob", 5, text="hello")
    assert t.body["status"] == "returned", t
    outcome = await verified(ledger)
    assert outcome.violations == [], outcome
    assert (await verify(ledger.dsn, jobs=2)).ok
    print(outcome)
