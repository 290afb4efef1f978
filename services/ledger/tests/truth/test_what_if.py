"""A period decided again: under its own rules every event comes out as it was, under others as those would have it."""

from __future__ import annotations

from typing import Any

import pytest

from services.ledger.domain import commands as cmd
from services.ledger.domain.config import ConfigDocument
from services.ledger.domain.pricing.cost import ONE
from services.ledger.tests.support import APP, Ledger
from services.ledger.tests.truth.scenario import DAY_S, DOCUMENT, everything
from services.ledger.whatif.period import AccountDifference, Key
from services.ledger.whatif.run import what_if
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio
ALWAYS = 1 << 52
RULES = {**DOCUMENT, "thresholds": [{"below": "10.00"}]}


async def decided_again(
    books: Database, since: int = 0, until: int = ALWAYS, **rules: Any
) -> dict[Key, AccountDifference]:
    """The accounts of the app under `rules`."""
    document = ConfigDocument.model_validate({**RULES, **rules})
    return await what_if(books.runtime_dsn, APP, document, since, until)


async def test_unchanged_rules_reproduce_every_event(books: Database, ledger: Ledger) -> None:
    await everything(ledger)
    found = await decided_again(books)
    assert len(found) > 5
    for key, difference in found.items():
        assert not difference.refused, key
        assert difference.same == difference.commands, key
        assert difference.then == difference.now, key


async def test_a_period_begins_with_the_accounts_as_they_stood(books: Database, ledger: Ledger) -> None:
    await ledger.do("grant", "ann", amount=500)
    await ledger.do("charge", "ann", amount=100)
    ledger.clock.advance(60)
    since = ledger.clock.now_us()
    await ledger.do("charge", "ann", amount=150)
    await ledger.do("grant", "ann", amount=50)
    ledger.clock.advance(60)
    until = ledger.clock.now_us()
    await ledger.do("charge", "ann", amount=1)
    ((_, ann),) = (await decided_again(books, since, until)).items()
    assert (ann.commands, ann.then.charged, ann.then.granted, ann.then.settled) == (2, 150, 50, 300)
    assert ann.now == ann.then


async def test_other_rules_tell_who_gains_and_what_is_refused(books: Database, ledger: Ledger) -> None:
    await ledger.do("action", "ann", action="start")
    await ledger.do("charge", "ann", amount=100)
    await ledger.do("charge", "ann", amount=40)
    await ledger.do("grant", "bob", amount=10)
    found = await decided_again(books, earning_rules={"start": {"amount": "1.20"}})
    ann, bob = found[APP, "ann", "coins"], found[APP, "bob", "coins"]
    assert (ann.then.granted, ann.now.granted) == (150, 120)
    assert (ann.then.charged, ann.now.charged) == (140, 100)
    assert dict(ann.refused) == {"insufficient_credits": 1}
    assert (ann.then.settled, ann.now.settled) == (10, 20)
    assert bob.then == bob.now


async def test_what_hangs_on_a_refused_command_is_refused_too(books: Database, ledger: Ledger) -> None:
    await ledger.do("action", "ann", action="start")
    hold = await ledger.do("hold", "ann", amount=150, ttl_s=60)
    captured = await ledger.do("hold.capture", hold=hold.id, amount=150)
    await ledger.do("charge.refund", charge=captured.body["charge"], amount=50)
    found = await decided_again(books, earning_rules={"start": {"amount": "1.00"}})
    ann = found[APP, "ann", "coins"]
    assert dict(ann.refused) == {"insufficient_credits": 1, "hold_not_found": 1, "charge_not_found": 1}
    assert (ann.then.charged, ann.now.charged, ann.now.settled) == (100, 0, 100)


ALLOWANCES = {"free": {"limit": "100", "default": True}, "pro": {"limit": "500", "rollover": {"max": "50"}}}


async def test_months_return_as_they_did_and_as_another_limit_would_have_them(books: Database, ledger: Ledger) -> None:
    await ledger.configure(**{**RULES, "allowances": ALLOWANCES})
    await ledger.do("charge", "ann", amount=4000)
    await ledger.do("grant", "bob", amount=500)
    for days in (20, 40, 70):
        ledger.clock.advance(days * DAY_S)
        await ledger.do("sweep", "ann", key="")
        await ledger.do("charge", "ann", amount=6000)
        await ledger.do("account.plan", "bob", plan="pro")
        await ledger.do("charge", "bob", amount=100)
        await ledger.do("account.reset", "bob")
    same = await decided_again(books, allowances=ALLOWANCES)
    for key, difference in same.items():
        assert difference.same == difference.commands, key
    smaller = {**ALLOWANCES, "free": {"limit": "50", "default": True}}
    ann = (await decided_again(books, allowances=smaller))[APP, "ann", "coins"]
    assert (ann.then.charged, ann.now.charged) == (22000, 4000)
    assert dict(ann.refused) == {"insufficient_credits": 3}


PRICES = {
    "operations": {"text": {"amount": "1"}},
    "models": {"large": {"per": 1000, "input": "2", "output": "8", "minimum": "0.10"}},
}


async def test_usage_is_priced_again(books: Database, ledger: Ledger) -> None:
    await ledger.configure(**{**RULES, "prices": PRICES})
    await ledger.do("grant", "ann", amount=3000)
    await ledger.do("charge", "ann", ask=cmd.Ask(price="text", usage={"quantity": 3 * ONE}))
    usage = {"input": 1000 * ONE, "output": 500 * ONE}
    hold = await ledger.do("hold", "ann", ask=cmd.Ask(model="large", usage=usage))
    await ledger.do("hold.extend", hold=hold.id, usage={**usage, "output": 1000 * ONE}, partial=True)
    await ledger.do("hold.capture", hold=hold.id, usage={**usage, "output": 750 * ONE})
    await ledger.do("hold", "ann", ask=cmd.Ask(model="large", usage={"output": 9000 * ONE}), partial=True)
    same = await decided_again(books, prices=PRICES)
    ann = same[APP, "ann", "coins"]
    assert (ann.commands, ann.same, ann.then.charged) == (6, 6, 300 + 800)
    dearer = {"operations": {"text": {"amount": "2"}}, "models": {"large": {"per": 1000, "input": "4", "output": "8"}}}
    ann = (await decided_again(books, prices=dearer))[APP, "ann", "coins"]
    assert (ann.now.charged, dict(ann.refused)) == (600 + 1000, {})
