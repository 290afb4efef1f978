"""S3: commands over Kafka, their outcomes as events, and messages that are none."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from libs.events.bus import Bus, Message
from libs.events.commands import Outcome, OutcomeRecorder, Republisher, recorded_outcome, send_command
from libs.events.consumer import Consumer, Subscription
from libs.events.contracts.base import Command, encode
from libs.events.contracts.ledger.commands import CreateHold, GrantCredits
from libs.events.contracts.ledger.events import CommandRefused, CreditsGranted, HoldCreated
from libs.events.db import MIGRATIONS, Connection, Pool
from libs.events.envelope import Envelope, to_headers
from libs.events.feed import FeedClient
from libs.events.ids import Ids, UlidSource
from libs.events.outbox import Cause, Outbox, OutboxLog, now_us
from libs.events.partition import PARTITIONS_DEFAULT, partition_of
from libs.events.relay import Relay
from libs.events.stamper import Stamper
from libs.service.db import create_pool
from libs.service.migrations import migrate
from tests.e2e.conftest import new_user
from tests.e2e.suite import Http, Suite
from tests.plugins.postgres import Database, DatabaseFrom

pytestmark = pytest.mark.anyio

SOURCE = "payments"
APP = "kernel"
COMMANDS, EVENTS = "ledger.commands", "ledger.events"
DEADLINE_S = 30.0
TABLE = """
CREATE TABLE heard (place bigint GENERATED ALWAYS AS IDENTITY, event_id text NOT NULL, causation_id text,
    user_id text NOT NULL, type text NOT NULL);
"""


async def _prepare(database: Database) -> None:
    await migrate(database.owner_dsn, [MIGRATIONS], database.runtime)
    async with await create_pool(database.owner_dsn, application_name="prepare") as pool:
        await pool.execute(f"{TABLE} GRANT SELECT, INSERT ON heard TO {database.runtime}")


async def eventually(check: Callable[[], Awaitable[bool]]) -> None:
    """Poll until `check` holds; the test fails at the deadline."""
    loop = asyncio.get_running_loop()
    end = loop.time() + DEADLINE_S
    while not await check():
        if loop.time() > end:
            pytest.fail(f"not within {DEADLINE_S} s")
        await asyncio.sleep(0.02)


class Payments:
    """A service beside the ledger: sends commands from its outbox, and consumes what the ledger tells."""

    def __init__(self, suite: Suite, pool: Pool, bus: Bus, http: httpx.AsyncClient) -> None:
        self.suite, self.pool, self.bus = suite, pool, bus
        self._outbox = Outbox(SOURCE, PARTITIONS_DEFAULT)
        self._feed = FeedClient(http, suite.url, lambda: suite.token("*", "system"))

    async def run(self) -> None:
        """All that such a service runs, until cancelled."""
        pool, bus = self.pool, self.bus
        relay = Relay(OutboxLog(SOURCE, pool), pool, bus, {COMMANDS: PARTITIONS_DEFAULT}, poll_s=0.01)
        consumer = Consumer(
            SOURCE,
            pool,
            bus,
            [Subscription("ledger", EVENTS, range(PARTITIONS_DEFAULT), self._feed)],
            {CreditsGranted: self._hear, HoldCreated: self._hear, CommandRefused: self._hear},
            observers=[OutcomeRecorder()],
        )
        async with asyncio.TaskGroup() as group:
            for part in (Stamper(pool).run(), relay.run(), Republisher(pool, bus, SOURCE).run(), consumer.run()):
                group.create_task(part)

    async def send(self, command: Command, user: str, key: str) -> str:
        """Send a command with its cause; returns its id."""
        async with self.pool.acquire() as connection, connection.transaction():
            return await send_command(
                connection,
                self._outbox,
                command,
                app=APP,
                user=user,
                idempotency_key=key,
                cause=Cause(actor="admin:ann"),
            )

    async def outcome(self, command_id: str) -> Outcome:
        """What became of a command."""
        found: Outcome | None = None

        async def known() -> bool:
            nonlocal found
            found = await recorded_outcome(self.pool, command_id)
            return found is not None

        await eventually(known)
        assert found is not None
        return found

    async def refused(self, command: Envelope) -> None:
        """Returns when the command's refusal has been heard."""

        async def told() -> bool:
            return command.id in await self._refusals()

        await eventually(told)

    async def _refusals(self) -> set[str]:
        rows = await self.pool.fetch("SELECT causation_id FROM heard WHERE type = 'ledger.command_refused.v1'")
        return {row["causation_id"] for row in rows}

    async def heard(self, user: str) -> list[tuple[str, str]]:
        """(causation id, type) of each effect that an event about the user has had here."""
        rows = await self.pool.fetch("SELECT causation_id, type FROM heard WHERE user_id = $1 ORDER BY place", user)
        return [(row["causation_id"], row["type"]) for row in rows]

    @staticmethod
    async def _hear(connection: Connection, envelope: Envelope, event: object) -> None:
        user = event.user or "" if isinstance(event, CommandRefused) else envelope.subject
        await connection.execute(
            "INSERT INTO heard (event_id, causation_id, user_id, type) VALUES ($1, $2, $3, $4)",
            envelope.id,
            envelope.causation_id,
            user,
            envelope.type,
        )

    async def publish(self, envelope: Envelope, *, partition: int | None = None, value: bytes | None = None) -> None:
        """Put one message into the command topic as it is."""
        place = partition_of(envelope.app, envelope.subject, PARTITIONS_DEFAULT) if partition is None else partition
        message = Message(envelope.key, envelope.data if value is None else value, to_headers(envelope))
        await self.bus.publish(COMMANDS, place, [message])


def command(user: str, body: Command, **attributes: Any) -> Envelope:
    """A command's message as its sender would make it."""
    time_us = now_us()
    partition = partition_of(APP, user, PARTITIONS_DEFAULT)
    envelope = Envelope(
        id=Ids(UlidSource(), partition, time_us).new("command"),
        source=SOURCE,
        type=body.TYPE,
        time_us=time_us,
        subject=user,
        app=APP,
        data=encode(body),
        idempotency_key=secrets.token_hex(8),
    )
    return replace(envelope, **attributes)


@pytest.fixture
async def payments(suite: Suite, database_from: DatabaseFrom) -> AsyncIterator[Payments]:
    """The service, running."""
    database = await database_from("e2e.payments", _prepare)
    async with (
        await create_pool(database.runtime_dsn, application_name="payments") as pool,
        httpx.AsyncClient(timeout=10.0) as http,
        Bus(suite.kafka, {COMMANDS: PARTITIONS_DEFAULT, EVENTS: PARTITIONS_DEFAULT}, client_id="payments") as bus,
    ):
        service = Payments(suite, pool, bus, http)
        running = asyncio.create_task(service.run())
        yield service
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


@pytest.fixture
async def kernel(suite: Suite) -> AsyncIterator[Http]:
    """Bare HTTP as an administrator of the Kernel."""
    async with suite.http(APP, "admin") as http:
        yield http


async def test_s3_a_command_s_outcome_is_an_event_caused_by_it(payments: Payments, kernel: Http, user: str) -> None:
    sent = await payments.send(GrantCredits(user=user, amount="20", source="paid", unique_ref="payment_1"), user, "k1")
    outcome = await payments.outcome(sent)
    assert (outcome.command_id, outcome.type) == (sent, "ledger.credits_granted.v1")
    assert (await kernel.state(user))["available"] == "20.00"
    events = (await kernel.read("events", user=user)).json()["data"]
    assert events[0]["actor"] == "admin:ann"

    held = await payments.send(CreateHold(user=user, amount="5"), user, "k2")
    assert (await payments.outcome(held)).type == "ledger.hold_created.v1"
    expected = [(sent, "ledger.credits_granted.v1"), (held, "ledger.hold_created.v1")]
    assert await payments.heard(user) == expected


async def test_s3_a_refused_command_is_told_to_its_sender(payments: Payments, kernel: Http, user: str) -> None:
    sent = await payments.send(CreateHold(user=user, amount="5"), user, "k1")
    outcome = await payments.outcome(sent)
    assert outcome.type == "ledger.command_refused.v1"
    assert b"insufficient_credits" in outcome.data
    assert await payments.heard(user) == [(sent, "ledger.command_refused.v1")]
    assert (await kernel.read(f"accounts/{user}")).status_code == 404


async def test_s3_what_is_published_again_happens_once(payments: Payments, kernel: Http, user: str) -> None:
    grant = command(user, GrantCredits(user=user, amount="7"))
    for _ in range(3):
        await payments.publish(grant)
    last = await payments.send(GrantCredits(user=user, amount="1"), user, "last")
    await payments.outcome(last)
    assert (await kernel.state(user))["available"] == "8.00"
    kinds = Counter(cause for cause, _ in await payments.heard(user))
    assert kinds == {grant.id: 1, last: 1}


async def test_s3_http_and_kafka_share_one_balance(payments: Payments, kernel: Http, user: str) -> None:
    await kernel.write("grants", {"user": user, "amount": "10"})
    sent = [await payments.send(CreateHold(user=user, amount="1"), user, f"k{number}") for number in range(10)]
    answers = await asyncio.gather(*(kernel.write("charges", {"user": user, "amount": "1"}) for _ in range(10)))
    outcomes = [await payments.outcome(each) for each in sent]
    charged = sum(answer.status_code == 201 for answer in answers)
    held = sum(outcome.type == "ledger.hold_created.v1" for outcome in outcomes)
    assert charged + held == 10
    state = await kernel.state(user)
    assert (state["settled"], state["held"], state["available"]) == (f"{10 - charged}.00", f"{held}.00", "0.00")


REFUSED = {
    "unknown_command": {"type": "ledger.print_money.v1"},
    "scope_missing": {"source": "crm", "type": "ledger.create_hold.v1"},
    "idempotency_key_missing": {"idempotency_key": ""},
}


@pytest.mark.parametrize("code", REFUSED)
async def test_s3_a_command_that_may_not_be_is_refused_by_name(
    payments: Payments, kernel: Http, user: str, code: str
) -> None:
    wrong = command(user, GrantCredits(user=user, amount="7"), **REFUSED[code])
    await payments.publish(wrong)
    await payments.refused(wrong)
    assert (await kernel.read(f"accounts/{user}")).status_code == 404


async def test_s3_a_payload_that_breaks_its_contract_is_refused(payments: Payments, kernel: Http, user: str) -> None:
    for value in (b'{"user": 1}', b"not json", b'{"user": "x", "amount": 1.5}', b"[" * 5000):
        wrong = command(user, GrantCredits(user=user, amount="7"))
        await payments.publish(wrong, value=value)
        await payments.refused(wrong)
    assert (await kernel.read(f"accounts/{user}")).status_code == 404


async def test_s3_messages_that_are_no_commands_are_set_aside_counted_and_change_nothing(
    suite: Suite, payments: Payments, kernel: Http, user: str
) -> None:
    other = next(each for each in iter(new_user, "") if _place(each) != _place(user))
    bare = Message(b"key", b"hello", [])
    misrouted = command(other, GrantCredits(user=other, amount="7"))
    control = command(user, GrantCredits(user=user, amount="7"), idempotency_key="a\x00b")
    before = await suite.metric("dead_letters_open")
    await payments.bus.publish(COMMANDS, _place(user), [bare])
    await payments.publish(misrouted, partition=_place(user))
    await payments.publish(control)
    # Commands of one partition are taken in order: when this one has its outcome, those before it have theirs.
    await payments.outcome(await payments.send(GrantCredits(user=user, amount="1"), user, "last"))

    await payments.refused(misrouted)

    async def counted() -> bool:
        return await suite.metric("dead_letters_open") == before + 3

    await eventually(counted)
    assert (await kernel.state(user))["available"] == "1.00"
    assert (await kernel.read(f"accounts/{other}")).status_code == 404

    listed = await asyncio.to_thread(suite.tallystick, "dead-letters", "list", "--json")
    assert listed.returncode == 1, "there is something for somebody to look at"
    letters = [json.loads(line) for line in listed.stdout.splitlines()]
    reasons = {letter["message_id"]: letter["reason"] for letter in letters}
    assert reasons[misrouted.id] == "misrouted"
    assert reasons[control.id] == "invalid_attribute"
    assert reasons[None] == "missing_attribute"


def _place(user: str) -> int:
    return partition_of(APP, user, PARTITIONS_DEFAULT)
