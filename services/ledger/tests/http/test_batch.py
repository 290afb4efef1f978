"""Many commands in one request: in order, each by itself, or all of them or none."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from libs.events.partition import partition_of
from services.ledger.api.sending import SCOPES
from services.ledger.handlers.commands import KINDS
from services.ledger.handlers.items import MODELS
from services.ledger.tests.http.client import APP, DOCUMENT, PARTITIONS, Api, running
from services.ledger.tests.http.test_failures import rows, verify_chains
from services.ledger.verify.run import verify
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio


def item(kind: str, key: str, **fields: Any) -> dict[str, Any]:
    """One command of a batch."""
    return {"type": kind, "key": key, **fields}


def charge(key: str, user: str = "ann", amount: str = "1", **fields: Any) -> dict[str, Any]:
    """A charge."""
    return item("charge", key, user=user, amount=amount, **fields)


async def batch(api: Api, *commands: Any, status: int = 200, **fields: Any) -> Any:
    """The answer to a batch."""
    return await api.post("/batch", {"commands": list(commands), **fields}, key="", status=status)


async def spent(api: Api, user: str = "ann") -> str:
    """What a user has spent."""
    total: str = (await api.state(user))["total_spent"]
    return total


async def events(books: Database) -> list[Any]:
    """The log, but for its beginning."""
    return await rows(
        books, "SELECT * FROM events WHERE type <> 'ledger.config_applied.v1' ORDER BY partition, position"
    )


def test_every_command_of_http_may_be_in_a_batch() -> None:
    assert set(MODELS) == set(KINDS) == set(SCOPES)


async def test_results_come_in_order_each_as_it_would_alone(api: Api) -> None:
    told = await batch(
        api,
        item("grant", "g", user="ann", amount="10"),
        charge("c1", amount="4"),
        charge("c2", amount="7"),
        charge("c3", user="bob"),
        charge("c4", amount="6.00", reference="r"),
    )
    assert [result["status"] for result in told["results"]] == [201, 201, 402, 402, 201]
    assert [result["replayed"] for result in told["results"]] == [False] * 5
    assert told["results"][1]["body"]["settled"] == "6.00"
    assert told["results"][2]["problem"]["code"] == "insufficient_credits"
    assert [(one["user"], one["asset"], one["settled"]) for one in told["accounts"]] == [("ann", "coins", "0.00")]
    assert told["accounts"][0]["position"] == told["results"][4]["body"]["position"]
    alone = await api.send("POST", "/charges", {"user": "ann", "amount": 4}, key="c1")
    assert (alone.json(), alone.headers["idempotency-replayed"]) == (told["results"][1]["body"], "true")
    refused = await api.post("/charges", {"user": "bob", "amount": "1"}, key="c3", status=402)
    assert refused == told["results"][3]["problem"]
    assert (await api.get("/commands/c4", user="ann"))["body"] == told["results"][4]["body"]


async def test_every_kind_of_command(api: Api) -> None:
    admin = api.as_("admin")
    await admin.put("/config", {**DOCUMENT, "earning_rules": {"jump": {"amount": "5"}}})
    made = await batch(
        admin,
        item("grant", "1", user="ann", amount="50", source="paid", description="hers"),
        item("charge", "2", user="ann", amount="5"),
        item("hold", "3", user="ann", amount="5"),
        item("hold", "4", user="ann", amount="5"),
        item("transfer", "5", from_user="ann", to_user="bob", amount="5"),
        item("adjustment", "6", user="ann", amount="-1", reason="fix"),
        item("action", "7", user="ann", action="jump"),
        item("account.freeze", "8", user="bob"),
        item("account.unfreeze", "9", user="bob"),
        item("account.change", "10", user="bob", overdraft="5"),
        item("account.thresholds", "11", user="bob", thresholds=[{"below": "2"}]),
    )
    grant, charged, first, second, moved = [result["body"]["id"] for result in made["results"][:5]]
    assert [result["status"] for result in made["results"]] == [201] * 7 + [200] * 4
    assert made["results"][4]["body"]["status"] == "completed"
    assert {side["user"] for side in made["accounts"]} == {"ann", "bob"}
    rest = await batch(
        admin,
        item("charge.refund", "12", charge=charged, amount="1"),
        item("hold.extend", "13", hold=first, ttl_s=60),
        item("hold.capture", "14", hold=first, amount="2"),
        item("hold.release", "15", hold=second),
        item("grant.revoke", "16", grant=grant, policy="absorb"),
        item("account.erase", "17", user="ann"),
        item("account.close", "18", user="carl"),
    )
    assert [result["status"] for result in rest["results"]] == [201, 200, 201, 200, 201, 200, 200], rest
    assert (await admin.get(f"/transfers/{moved}"))["status"] == "completed"
    assert set(KINDS) >= {
        (await admin.get(f"/commands/{number}", user=user))["type"]
        for number, user in [(n, "carl" if n == 18 else "bob" if n in (8, 9, 10, 11) else "ann") for n in range(1, 19)]
    }


async def test_what_is_wrong_with_an_item_is_said_in_its_place(api: Api) -> None:
    await api.grant("ann", "10")
    told = await batch(
        api,
        charge("a"),
        charge("b", amount="0.001"),
        {"type": "charge", "user": "ann", "amount": "1"},
        7,
        item("nothing", "c"),
        charge("d", odd=1),
        item("hold.capture", "e", hold="hold_0001ARZ3NDEKTSV4RRFFQ69G5FAV"),
        item("hold.capture", "f", hold="hold_ff01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        charge("g", asset="gold"),
        charge("h\n"),
        charge("i"),
    )
    assert [result["status"] for result in told["results"]] == [201, 400, 400, 400, 400, 400, 404, 404, 404, 400, 201]
    codes = [result.get("problem", {}).get("errors", [{}])[0].get("code") for result in told["results"]]
    assert codes[1:6] == ["amount_too_precise", "missing_field", "not_an_object", "not_one_of", "unknown_field"]
    assert codes[9] == "invalid_key"
    assert await spent(api) == "2.00"


@pytest.mark.parametrize("atomic", [False, True])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"commands": []}, "too_few"),
        ({}, "missing_field"),
        ({"commands": {}}, "not_a_list"),
        ({"commands": [charge("a")], "key": "k"}, "unknown_field"),
        ({"commands": [charge(str(n)) for n in range(1001)]}, "too_many"),
        ({"commands": [1] * 1001}, "too_many"),
        ({"commands": [charge("a")], "atomic": "yes"}, "not_a_boolean"),
    ],
)
async def test_a_body_that_is_no_batch(api: Api, body: dict[str, Any], code: str, atomic: bool) -> None:
    await api.grant("ann", "10")
    answer = await api.send("POST", "/batch", {"atomic": atomic, **body}, key="")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, code)
    assert await spent(api) == "0.00"


async def test_a_batch_has_a_limit_of_its_own(books: Database, tmp_path: Path) -> None:
    async with running(books, tmp_path, body_bytes_max=1024, batch_bytes_max=20_000) as api:
        await api.as_("admin").put("/config", DOCUMENT)
        await api.grant("ann", "1000")
        content = orjson.dumps({"commands": [charge(f"long-{n}") for n in range(100)]})
        assert 1024 < len(content) < 20_000
        assert (await api.send("POST", "/batch", content=content)).status_code == 200
        assert (await api.send("POST", "/batch", content=content + b" " * 20_000)).status_code == 413
        assert (await api.send("POST", "/charges", content=b" " * 1025)).status_code == 413


@pytest.mark.parametrize("atomic", [False, True])
async def test_each_item_needs_its_own_scope(api: Api, atomic: bool) -> None:
    """A service may charge and grant; it may not adjust, close or erase."""
    await api.grant("ann", "10")
    commands = [
        charge("a"),
        item("adjustment", "b", user="ann", amount="5", reason="fix"),
        item("account.close", "c", user="ann"),
        item("account.erase", "d", user="ann"),
    ]
    if atomic:
        refused = await batch(api, *commands, atomic=True, status=403)
        assert (refused["code"], refused["index"], refused["statuses"]) == ("scope_missing", 1, [424, 403, 424, 424])
        assert await spent(api) == "0.00"
        return
    told = await batch(api, *commands)
    assert [result["status"] for result in told["results"]] == [201, 403, 403, 403]
    assert told["results"][1]["problem"]["scope"] == "ledger:adjust"
    assert (await api.state("ann"))["settled"] == "9.00"
    narrow = api.as_("admin", scopes=("ledger:adjust",))
    told = await batch(narrow, charge("e"), item("adjustment", "f", user="ann", amount="1", reason="fix"))
    assert [result["status"] for result in told["results"]] == [403, 201]
    await api.as_("admin", scopes=("ledger:read",)).post("/batch", {"commands": commands}, key="", status=403)


async def test_one_key_twice(api: Api) -> None:
    """The same command again is the first one's repeat; another one under the key is refused."""
    await api.grant("ann", "10")
    told = await batch(api, charge("k"), charge("k"), charge("k", amount="2"))
    assert [(result["status"], result["replayed"]) for result in told["results"]] == [
        (201, False),
        (201, True),
        (422, False),
    ]
    assert told["results"][0]["body"] == told["results"][1]["body"]
    assert await spent(api) == "1.00"
    whole = await batch(api, charge("m"), charge("m"), atomic=True)
    assert [result["replayed"] for result in whole["results"]] == [False, True]
    refused = await batch(api, charge("n"), charge("n", amount="2"), atomic=True, status=422)
    assert (refused["code"], refused["index"]) == ("idempotency_key_reused", 1)
    assert await spent(api) == "2.00"


async def test_all_of_an_atomic_batch(api: Api, books: Database) -> None:
    await api.grant("ann", "10")
    before = len(await events(books))
    commands = [charge("a", amount="4"), item("hold", "b", user="ann", amount="3"), charge("c", amount="3")]
    told = await batch(api, *commands, atomic=True)
    assert [result["status"] for result in told["results"]] == [201, 201, 201]
    assert [(one["settled"], one["held"], one["available"]) for one in told["accounts"]] == [("3.00", "3.00", "0.00")]
    made = (await events(books))[before:]
    assert {name: len({row[name] for row in made}) for name in ("transaction_id", "correlation_id", "command_id")} == {
        "transaction_id": 1,
        "correlation_id": 1,
        "command_id": 3,
    }
    again = await batch(api, *commands, atomic=True)
    assert [result["body"] for result in again["results"]] == [result["body"] for result in told["results"]]
    assert [result["replayed"] for result in again["results"]] == [True] * 3
    assert again["accounts"] == told["accounts"]
    assert len(await events(books)) == before + 3
    await verify_chains(books)
    assert (await verify(books.runtime_dsn)).ok


async def test_none_of_an_atomic_batch(api: Api, books: Database) -> None:
    """Whatever stands before the refused command has not happened, and no key is used up."""
    await api.grant("ann", "10")
    before = await events(books)
    tables = ("results", "unique_refs", "texts", "holds")
    kept = {table: await rows(books, f"SELECT * FROM {table}") for table in tables}
    commands = [
        charge("a", amount="4", unique_ref="order", description="text"),
        item("hold", "b", user="ann", amount="3"),
        charge("c", amount="4"),
        charge("d"),
    ]
    for _ in range(2):
        refused = await batch(api, *commands, atomic=True, status=402)
        assert (refused["code"], refused["index"], refused["statuses"]) == (
            "insufficient_credits",
            2,
            [424, 424, 402, 424],
        )
        assert refused["available"] == "3.00"
    assert await events(books) == before
    for table in tables:
        assert await rows(books, f"SELECT * FROM {table}") == kept[table], table
    state = await api.state("ann")
    assert (state["settled"], state["held"], state["account_version"]) == ("10.00", "0.00", 2)
    await api.grant("ann", "2")
    told = await batch(api, *commands, atomic=True)
    assert [result["replayed"] for result in told["results"]] == [False] * 4
    assert (await api.state("ann"))["available"] == "0.00"
    assert (await verify(books.runtime_dsn)).ok


async def test_an_atomic_batch_of_which_some_is_known(api: Api) -> None:
    await api.grant("ann", "10")
    await api.post("/charges", {"user": "ann", "amount": "1"}, key="b")
    refused = await batch(api, charge("a"), charge("b"), charge("c"), atomic=True, status=409)
    assert (refused["code"], refused["known"]) == ("batch_partly_known", [1])
    assert await spent(api) == "1.00"
    await batch(api, charge("a"), charge("c"), atomic=True)
    known = await batch(api, charge("a"), charge("b"), charge("c"), atomic=True)
    assert [result["replayed"] for result in known["results"]] == [True] * 3
    await api.post("/charges", {"user": "ann", "amount": "100"}, key="d", status=402)
    repeated = await batch(api, charge("a"), charge("d", amount="100"), atomic=True, status=402)
    assert (repeated["index"], repeated["statuses"]) == (1, [201, 402])


async def test_an_atomic_batch_lies_on_one_partition(api: Api) -> None:
    """Several accounts of one partition may be in it, those of several may not."""
    users = [f"user{number}" for number in range(40)]
    home = partition_of(APP, users[0], PARTITIONS)
    near = next(user for user in users[1:] if partition_of(APP, user, PARTITIONS) == home)
    far = next(user for user in users if partition_of(APP, user, PARTITIONS) != home)
    for user in (users[0], near, far):
        await api.grant(user, "5")
    refused = await batch(api, charge("a", users[0]), charge("b", far), atomic=True, status=422)
    assert refused["code"] == "cross_partition_batch"
    assert await spent(api, users[0]) == "0.00"
    told = await batch(api, charge("a", users[0]), charge("b", near), atomic=True)
    assert {one["user"]: one["settled"] for one in told["accounts"]} == {users[0]: "4.00", near: "4.00"}


async def test_more_than_a_writer_takes_at_once(books: Database, tmp_path: Path) -> None:
    """An atomic batch is appended as one, however many it is; a batch for which there is no room is refused."""
    async with running(books, tmp_path, batch_max=4, queue_max=50) as api:
        await api.as_("admin").put("/config", DOCUMENT)
        await api.grant("ann", "1000")
        whole = [charge(f"a{number}") for number in range(40)]
        told = await batch(api, *whole, atomic=True)
        assert [result["status"] for result in told["results"]] == [201] * 40
        refused = await batch(api, *(charge(f"b{number}") for number in range(51)), atomic=True, status=429)
        assert refused["code"] == "overloaded"
        each = await batch(api, *(charge(f"c{number}") for number in range(60)))
        assert [result["status"] for result in each["results"]] == [201] * 50 + [429] * 10
        assert await spent(api) == "90.00"
        several = [[charge(f"{name}{number}") for number in range(20)] for name in "defgh"]
        answers = await asyncio.gather(
            *(api.send("POST", "/batch", {"atomic": True, "commands": one}) for one in several)
        )
        done = [answer.status_code for answer in answers]
        assert set(done) <= {200, 429}
        assert await spent(api) == f"{90 + 20 * done.count(200)}.00"
    await verify_chains(books)


async def test_batches_outlive_a_connection_that_is_cut(books: Database, tmp_path: Path) -> None:
    """Atomic batches while the writer's connection breaks: repeated until answered, each is done once and whole."""
    async with running(books, tmp_path) as api:
        await api.as_("admin").put("/config", DOCUMENT)
        for user in ("ann", "bob", "carl"):
            await api.grant(user, "1000")

        async def send(user: str, number: int) -> None:
            commands = [charge(f"{number}-{place}", user) for place in range(5)]
            for _ in range(200):
                answer = await api.send("POST", "/batch", {"atomic": True, "commands": commands}, key="")
                if answer.status_code == 200:
                    return
                assert answer.status_code == 503, answer.text
                await asyncio.sleep(0.01)
            raise AssertionError("it is not answered")

        async def sender(user: str) -> None:
            for number in range(12):
                await send(user, number)
                if number % 3 == 0:
                    await rows(
                        books,
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                        " AND application_name = 'ledger-writer'",
                    )

        await asyncio.gather(*map(sender, ("ann", "bob", "carl")))
        for user in ("ann", "bob", "carl"):
            assert await spent(api, user) == "60.00"
        transactions = await rows(
            books, "SELECT count(*) FROM events WHERE type = 'ledger.credits_charged.v1' GROUP BY transaction_id"
        )
        assert {row["count"] for row in transactions} == {5}
    await verify_chains(books)
