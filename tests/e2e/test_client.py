"""The client on the running ledger: what it says is what the ledger takes, and what comes back is what it names."""

from __future__ import annotations

from contextlib import aclosing
from decimal import Decimal
from pathlib import Path

import pytest
from tallystick import AsyncClient, Batch, Budget, BudgetExceeded, InsufficientCredits

from tests.docs.markdown import ROOT, section
from tests.docs.walkthrough import reader
from tests.e2e.conftest import new_user
from tests.e2e.metering import APP, MODEL, configured
from tests.e2e.suite import Suite, amounts

pytestmark = pytest.mark.anyio


async def test_a_batch_answers_each_command_in_order(coins: AsyncClient, user: str) -> None:
    other = new_user()
    batch = Batch().grant(user, 10, source="promo").charge(user, 4).charge(other, 1).create_hold(user, 5)
    done = await coins.batch(batch)
    assert [result.status for result in done.results] == [201, 201, 402, 201]
    refused, hold = done.results[2].problem, done.results[3].body
    assert refused is not None
    assert hold is not None
    assert (refused["code"], hold["amount"], done.ok) == ("insufficient_credits", "5", False)
    again = await coins.batch(batch)
    assert [result.replayed for result in again.results] == [True] * 4
    held = await coins.batch(Batch().capture(hold["id"], 2).reset(user))
    assert held.results[0].status == 201
    assert (await coins.state(user)).settled == 4


async def test_an_atomic_batch_is_all_or_nothing(coins: AsyncClient, user: str) -> None:
    await coins.grant(user, 5)
    with pytest.raises(InsufficientCredits):
        await coins.batch(Batch(atomic=True).charge(user, 3).charge(user, 3))
    assert (await coins.state(user)).settled == 5
    assert (await coins.batch(Batch(atomic=True).charge(user, 3).charge(user, 2))).ok


async def test_an_account_is_followed_from_where_one_was(coins: AsyncClient, user: str) -> None:
    await coins.grant(user, 10)
    heard: list[tuple[Decimal, int | None]] = []
    async with aclosing(coins.changes(user)) as states:
        async for state in states:
            heard.append((state.settled, state.account_version))
            if len(heard) == 3:
                break
            await coins.charge(user, 1)
    assert [settled for settled, _ in heard] == [10, 9, 8]
    await coins.charge(user, 1)
    async with aclosing(coins.changes(user, after=heard[1][1])) as states:
        first = await anext(states)
    assert first.account_version is not None
    assert first.account_version > (heard[1][1] or 0)


async def test_budgets_are_set_and_told(suite: Suite, user: str) -> None:
    async with suite.client("coins", "admin") as admin, suite.client("coins") as coins:
        await coins.grant(user, 20)
        wanted = [Budget(period="day", limit=Decimal(5), member="eve", name="eve")]
        made = await admin.set_budgets(user, wanted)
        assert [(each.name, str(each.limit), each.hard) for each in made.budgets] == [("eve", "5", True)]
        await coins.charge(user, 4, member="eve")
        (told,) = (await coins.budgets(user)).budgets
        assert amounts(told, "used", "left") == ["4", "1"]
        with pytest.raises(BudgetExceeded) as refused:
            await coins.charge(user, 2, member="eve")
        assert refused.value.budget == "eve"


async def test_why_a_balance_is_what_it_is(coins: AsyncClient, user: str) -> None:
    await coins.grant(user, 10)
    charge = await coins.charge(user, 4)
    why = await coins.explain(user)
    assert why.raw["data"][0]["type"] == "credits_charged"
    assert (await coins.explain_charge(charge.id)).raw["amount"] == "4"


def test_five_minutes_are_as_the_page_says(suite: Suite) -> None:
    page = section((ROOT / "docs/client.md").read_text(), "Five minutes: a function that costs credits")
    reader(Path(suite.data), suite.port_base).follow(page)


async def test_a_quote_is_what_a_charge_then_costs(suite: Suite, user: str) -> None:
    await configured(suite)
    async with suite.client(APP) as client:
        book = await client.prices()
        assert list(book.models) == [MODEL]
        usage = {"input": 10, "output": 20}
        await client.grant(user, 1, source="promo")
        quote = await client.quote(user, model=MODEL, usage=usage)
        assert (str(quote.amount), quote.affordable) == ("0.50", True)
        assert [(line.unit, line.count) for line in quote.lines] == [("input", Decimal(10)), ("output", Decimal(20))]
        assert [str(each.amount) for each in quote.slices] == ["0.50"]
        charge = await client.charge(user, quote=quote.id)
        assert charge.amount == quote.amount
        async with client.hold(user, model=MODEL, usage={"input": 10}) as hold:
            extended = await hold.extend(usage={"input": 10, "output": 5})
            assert str(extended.held) == "0.20"
            capture = await hold.capture(usage={"input": 10, "output": 3})
        assert (str(capture.amount), capture.held, str(capture.settled)) == ("0.16", Decimal(0), "0.34")
