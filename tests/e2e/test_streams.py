"""X5: lists as files, and an account that is followed while it changes, in the running suite."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing

import pytest
from tallystick import Client
from tallystick.models import Event

from tests.e2e.suite import Suite

pytestmark = pytest.mark.anyio


async def test_x5_lots_and_accounts_as_files(suite: Suite, user: str) -> None:
    async with suite.http("kernel") as service:
        await service.write("grants", {"user": user, "amount": "3", "source": "paid"})
        await service.write("grants", {"user": user, "amount": "4", "source": "promo"})
        lots = await service.get(f"/v1/accounts/{user}/lots", params={"format": "jsonl"})
        assert [json.loads(line)["source"] for line in lots.text.splitlines()] == ["paid", "promo"]
        accounts = await service.get("/v1/accounts", params={"format": "csv"})
        assert user in [line.split(",")[0] for line in accounts.text.splitlines()]


async def test_an_account_is_followed_and_explained(suite: Suite, user: str) -> None:
    async with suite.http("kernel") as service, suite.client("kernel") as client:
        await service.write("grants", {"user": user, "amount": "3"})
        changes = client.changes(user)
        assert str((await anext(changes)).available) == "3.00"
        await service.write("charges", {"user": user, "amount": "1"})
        assert str((await anext(changes)).available) == "2.00"
        told = (await service.get(f"/v1/accounts/{user}/explain")).json()
        assert [event["why"] for event in told["data"]][:2] == ["charged", "granted"]


async def test_x5_an_app_is_followed_by_either_client(suite: Suite, user: str) -> None:
    async with suite.http("kernel") as service, suite.client("kernel", "admin") as client:
        await service.write("grants", {"user": user, "amount": "1"})

        def first() -> Event:
            with Client(suite.url, suite.token("kernel", "admin")) as blocking:
                return next(event for event in blocking.stream(after="0") if event.user == user)

        opened = await asyncio.to_thread(first)
        assert opened.type == "ledger.account_opened.v1"
        for number in (2, 3):
            await service.write("grants", {"user": user, "amount": f"{number}"})
        told: list[str] = []
        async with aclosing(client.stream(after=opened.place)) as events:
            while len(told) < 3:
                event = await anext(events)
                told += [(event.payload or {})["lot"]["amount"]] if event.user == user else []
        assert told == ["1.00", "2.00", "3.00"], "each once, from where the other left off"
