"""Two shards on one database: each takes any request, and passes on what the other writes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.ports import free_port
from libs.events.partition import partition_of
from services.ledger.tests.grpc_door.door import Door, charge, many, streaming
from services.ledger.tests.http.client import (
    APP,
    DOCUMENT,
    PARTITIONS,
    Api,
    prepare_ledger,
    served,
    until_leading,
    until_ready,
)
from tests.plugins.postgres import Database, DatabaseFrom
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def _prepare_two(database: Database) -> None:
    await prepare_ledger(database, ("0", "1"))


@pytest.fixture
async def books(database_from: DatabaseFrom) -> Database:
    return await database_from("ledger-http-two-shards", _prepare_two)


@pytest.fixture
async def both(books: Database, tmp_path: Path) -> AsyncIterator[tuple[Api, Api]]:
    """A caller of each shard's process."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(served(books, tmp_path, shard="0", grpc_listen_port=free_port()))
        second = await stack.enter_async_context(served(books, tmp_path, shard="1"))
        for api in (first, second):
            await until_ready(api.http)
        await first.as_("admin").put("/config", DOCUMENT)
        yield first, second


def _user_of(shard: int, number: int = 0) -> str:
    """A user whose account this shard writes."""
    half = PARTITIONS // 2
    names = (f"user{n}" for n in range(1000))
    return [name for name in names if partition_of(APP, name, PARTITIONS) // half == shard][number]


async def test_any_process_takes_any_request(both: tuple[Api, Api]) -> None:
    users = [_user_of(0), _user_of(1)]
    for api in both:
        for user in users:
            await api.grant(user, "5")
    for user in users:
        for api in both:
            assert (await api.state(user))["settled"] == "10.00"
    hold = await both[0].post("/holds", {"user": users[1], "amount": "4"})
    captured = await both[1].post(f"/holds/{hold['id']}/capture", {"amount": "1"})
    await both[0].post(f"/charges/{captured['charge']}/refund", {})
    first = await both[0].send("POST", "/charges", {"user": users[1], "amount": "1"}, key="k")
    again = await both[1].send("POST", "/charges", {"user": users[1], "amount": "1"}, key="k")
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    refused = await both[0].send("POST", "/charges", {"user": users[1], "amount": "100"})
    assert (refused.status_code, refused.headers["content-type"]) == (402, "application/problem+json")
    assert (await both[0].send("POST", "/charges", {"user": users[1]})).status_code == 400


@pytest.mark.parametrize(("sender", "receiver"), [(0, 1), (1, 0)])
@pytest.mark.parametrize("asked", [0, 1])
async def test_a_transfer_between_shards(both: tuple[Api, Api], sender: int, receiver: int, asked: int) -> None:
    ann, bob = _user_of(sender), _user_of(receiver)
    await both[asked].grant(ann, "10", source="paid", expires_at="2099-01-01T00:00:00Z")
    body = {"from_user": ann, "to_user": bob, "amount": "4"}
    first = await both[asked].send("POST", "/transfers", body, key="k")
    assert first.status_code == 201
    moved = first.json()
    assert [(side["user"], side["settled"]) for side in moved["accounts"]] == [(ann, "6.00"), (bob, "4.00")]
    again = await both[1 - asked].send("POST", "/transfers", body, key="k")
    assert (again.status_code, again.content) == (201, first.content)
    told = await both[asked].get(f"/transfers/{moved['id']}")
    assert (told["status"], told["from_user"], told["to_user"], told["amount"]) == ("completed", ann, bob, "4.00")
    (lot,) = (await both[asked].state(bob))["lots"]
    assert (lot["source"], lot["expires_at"]) == ("paid", "2099-01-01T00:00:00.000000Z")


async def test_a_refused_credit_comes_back(both: tuple[Api, Api]) -> None:
    ann, bob = _user_of(0), _user_of(1)
    await both[0].grant(ann, "10")
    await both[1].as_("admin").post(f"/accounts/{bob}/close", {}, status=200)
    body = {"from_user": ann, "to_user": bob, "amount": "4"}
    first = await both[0].send("POST", "/transfers", body, key="k")
    refused = first.json()
    assert (first.status_code, refused["code"]) == (409, "account_closed")
    again = await both[1].send("POST", "/transfers", body, key="k")
    assert (again.status_code, again.content) == (409, first.content)
    told = await both[0].get(f"/transfers/{refused['transfer']}")
    assert (told["status"], told["refusal"]) == ("returned", "account_closed")
    state = await both[0].state(ann)
    assert (state["settled"], [lot["remaining"] for lot in state["lots"]]) == ("10.00", ["10.00"])


async def test_a_transfer_to_a_shard_that_is_away_is_pending(books: Database, tmp_path: Path) -> None:
    ann, bob = _user_of(0), _user_of(1)
    body = {"from_user": ann, "to_user": bob, "amount": "4"}
    async with served(books, tmp_path, shard="0", transfer_wait_s=0.2) as first:
        await until_leading(first)
        await first.as_("admin").put("/config", DOCUMENT)
        await first.grant(ann, "10")
        pending = await first.post("/transfers", body, key="k", status=202)
        assert pending["status"] == "pending"
        assert [(side["user"], side["settled"]) for side in pending["accounts"]] == [(ann, "6.00")]
        assert (await first.get(f"/transfers/{pending['id']}"))["status"] == "pending"
        away = await first.send("POST", "/charges", {"user": bob, "amount": "1"})
        assert (away.status_code, away.json()["code"]) == (503, "not_leader")
        async with served(books, tmp_path, shard="1") as second:

            async def completed() -> bool:
                status: str = (await second.get(f"/transfers/{pending['id']}"))["status"]
                return status == "completed"

            await eventually(completed)
            assert (await second.state(bob))["settled"] == "4.00"
            done = await first.post("/transfers", body, key="k")
            assert done["status"] == "completed"


async def test_a_request_is_not_passed_around(both: tuple[Api, Api]) -> None:
    headers = {"Tallystick-Forwarded": "1"}
    body = {"user": _user_of(1), "amount": "1"}
    refused = await both[0].send("POST", "/grants", body, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (503, "not_leader")
    assert refused.headers["retry-after"] == "1"


async def test_a_config_is_heard_of_by_the_other_shard(both: tuple[Api, Api]) -> None:
    document: dict[str, Any] = {"assets": {**DOCUMENT["assets"], "coins": {"scale": 2, "default": True}}}
    document["assets"]["gold"] = {"scale": 0}
    await both[1].as_("admin").put("/config", document)
    for user in (_user_of(0), _user_of(1)):
        await both[0].grant(user, "1", asset="gold")


def _charges(*users: str) -> list[dict[str, str]]:
    return [{"type": "charge", "key": f"b{n}", "user": user, "amount": "1"} for n, user in enumerate(users)]


async def test_a_batch_reaches_every_shard_and_its_results_come_in_order(both: tuple[Api, Api]) -> None:
    users = [_user_of(0), _user_of(1), _user_of(0, 1), _user_of(1, 1)]
    for user in users:
        await both[0].grant(user, "5")
    commands = [*_charges(*users, *users), {"type": "charge", "key": "x", "user": users[1], "amount": "50"}]
    hold = await both[1].post("/holds", {"user": users[1], "amount": "2"})
    commands.append({"type": "hold.capture", "key": "h", "hold": hold["id"], "amount": "1.50"})
    told = await both[0].post("/batch", {"commands": commands}, key="", status=200)
    assert [result["status"] for result in told["results"]] == [201] * 8 + [402, 201]
    assert [one["user"] for one in told["accounts"]] == sorted(users)
    assert {one["user"]: one["settled"] for one in told["accounts"]} == {
        **dict.fromkeys(users, "3.00"),
        users[1]: "1.50",
    }
    again = await both[1].post("/batch", {"commands": commands}, key="", status=200)
    assert [result["replayed"] for result in again["results"]] == [True] * 10
    assert [{**result, "replayed": True} for result in told["results"]] == again["results"]


async def test_a_stream_reaches_every_shard(both: tuple[Api, Api]) -> None:
    """In one message or one by one: commands of an account in order, results in their places."""
    users = [_user_of(0), _user_of(1)]
    for user in users:
        await both[0].grant(user, "100")
    sent = [many(f"m{n}", *(charge(f"{n}-{each}", users[each % 2]) for each in range(6))) for n in range(5)]
    sent += [charge(f"s{n}", users[n % 2]) for n in range(10)]
    async with Door(both[0]) as door, streaming(door) as stream:
        for message in sent:
            await stream.write(message)
        told = {}
        for _ in sent:
            one = await stream.read()
            told[one.tag] = one
    left = dict.fromkeys(users, 100)
    for message in sent:
        result = told[message.tag]
        commands = message.commands or [message]
        for command, each in zip(commands, result.results or [result], strict=True):
            user = command.charge_credits.user
            left[user] -= 1
            assert (each.tag, each.status, each.charge.settled) == (command.tag, 201, f"{left[user]}.00")


async def test_an_atomic_batch_is_decided_where_its_accounts_are_written(both: tuple[Api, Api]) -> None:
    user = _user_of(1)
    await both[0].grant(user, "5")
    told = await both[0].post("/batch", {"atomic": True, "commands": _charges(user, user)}, key="", status=200)
    assert told["accounts"][0]["settled"] == "3.00"
    refused = await both[0].post("/batch", {"atomic": True, "commands": _charges(user, _user_of(0))}, status=422)
    assert refused["code"] == "cross_partition_batch"


async def test_the_part_of_a_batch_that_nobody_writes_is_to_be_sent_again(books: Database, tmp_path: Path) -> None:
    users = [_user_of(0), _user_of(1)]
    async with served(books, tmp_path, shard="0") as first:
        await until_leading(first)
        await first.as_("admin").put("/config", DOCUMENT)
        await first.grant(users[0], "5")
        told = await first.post("/batch", {"commands": _charges(*users)}, key="", status=200)
        assert [result["status"] for result in told["results"]] == [201, 503]
        assert told["results"][1]["problem"]["code"] == "not_leader"
        refused = await first.post("/batch", {"atomic": True, "commands": _charges(users[1])}, status=503)
        assert refused["code"] == "not_leader"
