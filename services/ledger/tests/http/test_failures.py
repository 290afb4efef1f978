"""What a caller sees when connections break, processes end, and more comes than can be done."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from libs.service.clock import from_datetime
from libs.service.keys import ensure_keys
from services.ledger.domain.chain import GENESIS, chain_hash
from services.ledger.tests.http.client import (
    DOCUMENT,
    Api,
    running,
    served,
    settings_of,
    until_leading,
    until_ready,
)
from tests.plugins.postgres import Database
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
CUTS = 12


async def rows(database: Database, query: str, *arguments: Any) -> list[Any]:
    """What the superuser sees."""
    connection = await asyncpg.connect(database.admin_dsn)
    try:
        return list(await connection.fetch(query, *arguments))
    finally:
        await connection.close()


async def verify_chains(database: Database) -> int:
    """Positions without a gap and a chain that is whole, up to each head; how many events there are."""
    count = 0
    for head in await rows(database, "SELECT partition, position, hash FROM heads ORDER BY partition"):
        previous, position = GENESIS, 0
        for row in await rows(
            database, "SELECT * FROM events WHERE partition = $1 ORDER BY position", head["partition"]
        ):
            position += 1
            assert row["position"] == position
            account = row["user_id"] if row["user_id"] == "@app" else f"{row['user_id']}/{row['asset']}"
            fields = [
                row["partition"],
                row["position"],
                row["epoch"],
                row["app"],
                account,
                row["type"],
                row["schema_version"],
                row["event_id"],
                row["transaction_id"],
                row["command_id"],
                row["correlation_id"],
                row["causation_id"],
                row["actor"],
                row["idempotency_key"],
                from_datetime(row["time"]),
            ]
            previous = chain_hash(previous, [str(field).encode() for field in fields], row["payload"])
            assert row["hash"] == previous, (row["partition"], position)
        assert (head["position"], head["hash"]) == (position, previous)
        count += position
    return count


async def test_every_answered_command_is_in_the_log_once_whatever_breaks(books: Database, tmp_path: Path) -> None:
    """The writer's connection is cut again and again, in the middle of appends and between them."""
    async with running(books, tmp_path) as api:
        await api.as_("admin").put("/config", DOCUMENT)
        users = [f"user{number}" for number in range(8)]
        for user in users:
            await api.grant(user, "10000")
        enough = asyncio.Event()

        async def cut() -> None:
            admin = await asyncpg.connect(books.admin_dsn)
            cuts = 0
            try:
                while cuts < CUTS:
                    await asyncio.sleep(0.02)
                    cuts += await admin.fetchval(
                        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND application_name = 'ledger-writer'"
                        " AND query LIKE '%ledger_append%'"
                    )
            finally:
                await admin.close()
                enough.set()

        async def charge(user: str, number: int) -> str:
            body, key = {"user": user, "amount": "1"}, f"{user}-{number}"
            while True:
                answer = await api.send("POST", "/charges", body, key=key)
                if answer.status_code == 201:
                    return str(answer.json()["id"])
                assert answer.status_code == 503, answer.text
                await asyncio.sleep(0.01)

        async def charges(user: str) -> list[str]:
            made: list[str] = []
            while not enough.is_set():
                made.append(await charge(user, len(made)))
            return made

        cutting = asyncio.create_task(cut())
        answered = [charge for made in await asyncio.gather(*map(charges, users)) for charge in made]
        await cutting
        logged = await rows(books, "SELECT object FROM events WHERE type = 'ledger.credits_charged.v1'")
        assert Counter(row["object"] for row in logged) == Counter(answered)
        spent = [Decimal((await api.state(user))["total_spent"]) for user in users]
        assert sum(spent) == len(answered)
    await verify_chains(books)


async def test_state_and_keys_outlive_the_process(books: Database, tmp_path: Path) -> None:
    async with running(books, tmp_path) as api:
        await api.as_("admin").put("/config", DOCUMENT)
        await api.grant("ann", "10")
        hold = await api.post("/holds", {"user": "ann", "amount": "4"})
        first = await api.send("POST", "/charges", {"user": "ann", "amount": "2"}, key="k")
        before = await api.state("ann")
    async with running(books, tmp_path) as api:
        assert {**await api.state("ann"), "time": ""} == {**before, "time": ""}
        again = await api.send("POST", "/charges", {"user": "ann", "amount": "2"}, key="k")
        assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
        captured = await api.post(f"/holds/{hold['id']}/capture", {})
        assert (captured["settled"], captured["position"]) == ("4.00", before["position"] + 1)
    await verify_chains(books)


async def test_a_standby_passes_on_and_takes_over_from_a_killed_leader(books: Database, tmp_path: Path) -> None:
    settings = settings_of(books, tmp_path)
    ensure_keys(tmp_path / "keys", settings.jwks_file)
    leader = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.ledger", "serve"),
        env={
            **os.environ,
            "TALLYSTICK_DATA": str(tmp_path),
            "TALLYSTICK_LEDGER_DSN": books.runtime_dsn,
            "TALLYSTICK_LEDGER_PORT": str(settings.port),
            "TALLYSTICK_LEDGER_GRPC_PORT": "0",
        },
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=settings.url) as http:
            await until_ready(http)
        async with served(books, tmp_path) as standby:
            assert standby.app.state.core.leader.writer is None
            await standby.as_("admin").put("/config", DOCUMENT)
            await standby.grant("ann", "10")
            first = await standby.post("/charges", {"user": "ann", "amount": "1"}, key="k")
            assert standby.app.state.core.leader.writer is None
            leader.kill()
            await until_leading(standby)
            assert await standby.post("/charges", {"user": "ann", "amount": "1"}, key="k") == first
            assert (await standby.post("/charges", {"user": "ann", "amount": "1"}))["settled"] == "8.00"
    finally:
        with contextlib.suppress(ProcessLookupError):
            leader.kill()
        await leader.wait()
    await verify_chains(books)


async def test_what_is_beyond_the_queue_is_refused_at_once(books: Database, tmp_path: Path) -> None:
    async with running(books, tmp_path, queue_max=8, batch_max=4) as api:
        await api.as_("admin").put("/config", DOCUMENT)
        await api.grant("ann", "1000")
        answers = await asyncio.gather(
            *(api.send("POST", "/charges", {"user": "ann", "amount": "1"}) for _ in range(200))
        )
        statuses = Counter(answer.status_code for answer in answers)
        assert set(statuses) == {201, 429}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert (refused.json()["code"], refused.headers["retry-after"]) == ("overloaded", "1")
        assert (await api.state("ann"))["total_spent"] == f"{statuses[201]}.00"


async def test_a_database_that_takes_no_writes(books: Database, tmp_path: Path) -> None:
    async with running(books, tmp_path) as api:
        await api.as_("admin").put("/config", DOCUMENT)
        await api.grant("ann", "10")
        appending = api.app.state.core.leader.writer._connection
        await appending.execute("SET default_transaction_read_only = on")
        for _ in range(3):
            refused = await api.post("/charges", {"user": "ann", "amount": "1"}, key="k", status=503)
            assert refused["code"] == "read_only"
        assert (await api.state("ann"))["available"] == "10.00"
        await appending.execute("SET default_transaction_read_only = off")

        async def charged() -> bool:
            """The ledger leaves such a database alone for a moment before it tries again."""
            return (await api.send("POST", "/charges", {"user": "ann", "amount": "1"}, key="k")).status_code == 201

        await eventually(charged)
        assert (await api.state("ann"))["available"] == "9.00"


async def test_erasure_takes_the_texts_and_leaves_the_books(books: Database, tmp_path: Path) -> None:
    async with running(books, tmp_path) as api:
        admin = api.as_("admin")
        await admin.put("/config", {"assets": {"coins": {"scale": 2, "default": True}, "gold": {"scale": 0}}})
        await api.grant("ann", "10", description="for Ann Smith", metadata={"mail": "ann@example.com"})
        await api.grant("ann", "5", asset="gold", description="her gold")
        await api.grant("bob", "1", description="for Bob")
        (digest,) = await rows(
            books,
            "SELECT t.salt, t.body, e.payload FROM texts t JOIN events e USING (event_id) WHERE t.body LIKE '%Smith%'",
        )
        said = orjson.loads(digest["payload"])["text_digest"]
        assert hashlib.sha256(digest["salt"] + digest["body"].encode()).hexdigest() == said
        before = await api.state("ann")
        await admin.post("/accounts/ann/erase", {"reason": "gdpr"}, status=200)
        assert [row["user_id"] for row in await rows(books, "SELECT user_id FROM texts")] == ["bob"]
        for asset in ("coins", "gold"):
            for line in (await api.get("/accounts/ann/transactions", asset=asset))["data"]:
                assert (line["description"], line["metadata"]) == (None, None)
        after = await api.state("ann")
        assert (after["settled"], after["lots"]) == (before["settled"], before["lots"])
        await admin.post("/accounts/nobody/erase", {}, status=404)
        stored = await rows(books, "SELECT payload FROM events UNION ALL SELECT body FROM results")
        assert not [row for row in stored if b"Smith" in row["payload"] or b"example.com" in row["payload"]]
    await verify_chains(books)


async def test_old_outcomes_are_forgotten(books: Database, tmp_path: Path) -> None:
    async with running(books, tmp_path) as api:
        await api.as_("admin").put("/config", DOCUMENT)
        await api.grant("ann", "10", unique_ref="order")
        await api.post("/charges", {"user": "ann", "amount": "1"}, key="old")
        connection = await asyncpg.connect(books.admin_dsn)
        await connection.execute("UPDATE results SET created_at = now() - interval '36 days' WHERE key = 'old'")
        await connection.close()
        await api.get("/commands/old", user="ann", status=404)
    async with running(books, tmp_path) as api:

        async def gone() -> bool:
            return not await rows(books, "SELECT FROM results WHERE key = 'old'")

        await eventually(gone)
        assert len(await rows(books, "SELECT FROM results")) == 2
        await api.post("/charges", {"user": "ann", "amount": "1"}, key="old")
        assert (await api.state("ann"))["settled"] == "8.00"
        again = await api.send("POST", "/grants", {"user": "ann", "amount": "10", "unique_ref": "order"})
        assert again.headers["idempotency-replayed"] == "true"


async def test_a_connection_of_a_read_that_breaks(api: Api, books: Database) -> None:
    await api.grant("ann", "10")
    await rows(
        books,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'ledger-reads'",
    )

    async def answered() -> bool:
        answer = await api.send("GET", "/accounts/ann/state")
        assert answer.status_code in (200, 503)
        return answer.status_code == 200

    await eventually(answered)


async def test_a_read_that_the_server_ends_or_refuses_is_to_be_repeated(api: Api, books: Database) -> None:
    await api.grant("ann", "10")
    connection = await asyncpg.connect(books.admin_dsn)
    lock = connection.transaction()
    await lock.start()
    await connection.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
    reading = asyncio.create_task(api.send("GET", "/accounts/ann/state"))

    async def ended() -> bool:
        return bool(
            await rows(
                books,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'ledger-reads' AND wait_event_type = 'Lock'",
            )
        )

    await eventually(ended)
    assert (await reading).status_code == 503
    await lock.rollback()
    await connection.close()

    closed = f"ALTER DATABASE {books.name} ALLOW_CONNECTIONS"
    try:
        books.admin.sql(
            f"{closed} false",
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            f" WHERE datname = '{books.name}' AND application_name = 'ledger-reads'",
        )
        for _ in range(2):
            assert (await api.send("GET", "/accounts/ann/state")).status_code == 503
    finally:
        books.admin.sql(f"{closed} true")

    async def answered() -> bool:
        return (await api.send("GET", "/accounts/ann/state")).status_code == 200

    await eventually(answered)
