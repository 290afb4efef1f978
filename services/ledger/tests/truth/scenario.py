"""An app, and a log in which everything happens to it at least once."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from services.ledger.domain.budgets import EACH, Budget
from services.ledger.domain.periods import period_of
from services.ledger.domain.state import CostBasis, Threshold
from services.ledger.requests import Cursor
from services.ledger.store.reads import resets_done
from services.ledger.tests.support import APP, PARTITIONS, Ledger
from services.ledger.writer.log import APP_ACCOUNT

DAY_S = 86_400
DOCUMENT: dict[str, Any] = {
    "assets": {"coins": {"scale": 2, "default": True}, "stars": {"scale": 0}},
    "earning_rules": {
        "start": {"amount": "1.50", "expires_after_s": 10 * DAY_S},
        "visit": {"amount": "0.10", "period": "day"},
    },
    "earning_caps": [{"amount": "50", "period": "month"}],
    "allowances": {"free": {"limit": "1.00"}, "pro": {"limit": "5.00", "rollover": {"max": "2.00"}}},
    "policies": {"capture_tolerance_percent": 50},
}


async def everything(ledger: Ledger) -> None:
    """Every type of event, on several accounts, assets and partitions."""
    await ledger.configure(**{**DOCUMENT, "thresholds": [{"below": "10.00"}]})
    await _spending(ledger)
    await _time(ledger)
    await _debts(ledger)
    await _transfers(ledger)
    await _budgets(ledger)
    await _allowances(ledger)
    await _by_kafka(ledger)


async def _spending(ledger: Ledger) -> None:
    later = ledger.clock.now_us() + 3 * DAY_S * 1_000_000
    basis = CostBasis(999, "EUR")
    grant = await ledger.do("grant", "ann", amount=5000, source="paid", cost_basis=basis, reference="order 1")
    await ledger.do("grant", "ann", amount=300, expires_at=later, scope=("voice",), member="team/1")
    await ledger.do(
        "charge", "ann", amount=4200, service="voice", text='{"description":"Hello, this is personal"}', reason="calls"
    )
    charge = await ledger.do("charge", "ann", amount=600, member="team/2")
    await ledger.do("charge.refund", charge=charge.id, amount=100)
    await ledger.do("charge.refund", charge=charge.id)
    hold = await ledger.do("hold", "ann", amount=200, ttl_s=60, reference="job 1")
    await ledger.do("hold.extend", hold=hold.id, ttl_s=120)
    part = await ledger.do("hold.capture", hold=hold.id, amount=50, final=False)
    await ledger.do("hold.capture", hold=hold.id, amount=100)
    await ledger.do("charge.refund", charge=part.body["charge"], text='{"description":"A second text"}')
    hold = await ledger.do("hold", "ann", amount=200, grant=grant.id)
    await ledger.do("hold.release", hold=hold.id)
    await ledger.do("grant.revoke", grant=grant.id, amount=100, policy="absorb")
    await ledger.do("adjustment", "ann", amount=-7, reason="mistake")
    await ledger.do("adjustment", "ann", amount=9, reason="mistake")
    await ledger.do("action", "ann", action="start")
    await ledger.do("grant", "ann", amount=5, asset="stars")
    await ledger.do("account.change", "ann", zone="Asia/Tehran", thresholds=(Threshold(100, 200),))
    await ledger.do("account.freeze", "ann", name="manual")
    await ledger.do("account.unfreeze", "ann", name="manual")


async def _time(ledger: Ledger) -> None:
    now = ledger.clock.now_us()
    soon, later = now + DAY_S * 1_000_000, now + 5 * DAY_S * 1_000_000
    await ledger.do("grant", "zoe", amount=1000, expires_at=soon)
    await ledger.do("grant", "zoe", amount=500, effective_at=soon, expires_at=later)
    hold = await ledger.do("hold", "zoe", amount=400, ttl_s=100)
    gone = await ledger.do("charge", "zoe", amount=50)
    ledger.clock.advance(200)
    await ledger.do("sweep", "zoe", key="")
    assert (await ledger.do("hold.capture", hold=hold.id)).status == 409
    await ledger.do("hold", "zoe", amount=10, ttl_s=DAY_S)
    ledger.clock.advance(DAY_S - 150)
    # Its lot has expired: the refund makes a new one.
    refund = await ledger.do("charge.refund", charge=gone.id)
    assert refund.body["settled"] == "5.60", refund
    ledger.clock.advance(9 * DAY_S)
    await ledger.do("sweep", "zoe", key="")


async def _debts(ledger: Ledger) -> None:
    grant = await ledger.do("grant", "max", amount=100)
    hold = await ledger.do("hold", "max", amount=100)
    await ledger.do("hold.capture", hold=hold.id, amount=130)
    await ledger.do("grant.revoke", grant=grant.id, policy="debt")
    await ledger.do("grant", "max", amount=20)
    await ledger.do("account.change", "max", overdraft_limit=1000)
    await ledger.do("grant", "max", amount=200)
    await ledger.do("charge", "max", amount=600)
    await ledger.do("grant", "max", amount=300)


async def _transfers(ledger: Ledger) -> None:
    await ledger.do("grant", "ben", amount=900)
    assert (await ledger.transfer("ben", "liz", 300, text='{"description":"For lunch"}')).body["status"] == "completed"
    await ledger.do("account.close", "liz")
    assert (await ledger.transfer("ben", "liz", 600)).body["status"] == "returned"
    await ledger.do("transfer", "ben", to_user="zoe", amount=100)
    await ledger.do("account.erase", "ann")


async def _budgets(ledger: Ledger) -> None:
    team = (Budget("pool", "month", 300, hard=False), Budget("each", "day", 250, member=EACH), Budget("bot", "day", 5))
    await ledger.do("grant", "team", amount=1000)
    await ledger.do("account.budgets", "team", budgets=team)
    await ledger.do("account.budgets", "team", budgets=team[:2])
    charge = await ledger.do("charge", "team", amount=150, member="seat:1")
    hold = await ledger.do("hold", "team", amount=100, member="seat:1", ttl_s=DAY_S)
    assert (await ledger.do("charge", "team", amount=1, member="seat:1")).body["code"] == "budget_exceeded"
    await ledger.do("hold.capture", hold=hold.id, amount=60, final=False)
    gone = await ledger.do("hold", "team", amount=80, member="seat:2", ttl_s=60)
    ledger.clock.advance(100)
    assert (await ledger.do("hold.capture", hold=gone.id)).status == 409
    await ledger.do("charge.refund", charge=charge.id, amount=50)
    await ledger.do("hold", "team", amount=200, member="seat:3", ttl_s=DAY_S, partial=True)
    await ledger.do("action", "team", action="visit")
    ledger.clock.advance(DAY_S)
    await ledger.do("action", "team", action="visit")
    await ledger.do("charge", "team", amount=1, member="seat:1")


async def _allowances(ledger: Ledger) -> None:
    """Months of a plan; their end is said as the job says it, with the number that the tables show."""
    await ledger.do("operation.import", "pam", kind="top-up", occurred_at=1, amount=500)
    await ledger.do("account.plan", "pam", plan="free")
    await ledger.do("charge", "pam", amount=30)
    await ledger.do("account.plan", "pam", plan="pro", paid_until=ledger.clock.now_us() + 50 * DAY_S * 1_000_000)
    await ledger.do("hold", "pam", amount=100, ttl_s=DAY_S)
    await ledger.do("account.reset", "pam")
    for _ in range(3):
        ledger.clock.advance(31 * DAY_S)
        await ledger.do("sweep", "pam", key="")
        due_at = period_of("month", ZoneInfo("UTC"), ledger.clock.now_us())[0]
        for partition in range(PARTITIONS):
            accounts = await resets_done(ledger.pool, APP, due_at, partition)
            told = {"partition": partition, "due_at": due_at, "accounts": accounts}
            assert (await ledger.do("reset.complete", APP_ACCOUNT, **told)).body == {"accounts": accounts}
    await ledger.do("account.plan", "pam", plan=None)


async def _by_kafka(ledger: Ledger) -> None:
    for offset, amount in enumerate((1, 1, 10**9)):
        cursor = Cursor("cluster", "ledger.commands", 0, offset)
        await ledger.do("charge", "ben", amount=amount, unique_ref=f"ref {amount}", door="kafka", cursor=cursor)
