"""An open-loop load that remembers everything: what was sent and when, and what was answered and when.

Every command is sent under a key of its own, and again under that key until its outcome is known, whatever becomes of
the processes meanwhile. Arrivals do not wait for answers, up to a bound.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
import orjson

from libs.events.commands import send_command
from libs.events.contracts.base import Command
from libs.events.contracts.ledger.commands import ChargeCredits, GrantCredits
from libs.events.outbox import Cause, Outbox
from tests.chaos.cluster import APP, SERVICE

PAUSE_S = 0.1
ATTEMPT_S = 3.0
POLL_S = 0.1
LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, TimeoutError)
NOT_YET = frozenset({429, 500, 502, 503, 504})
"""Statuses that leave the outcome open; a 500 is counted among the faults besides."""


@dataclass(slots=True)
class Entry:
    """One command. Moments are seconds of the monotonic clock.

    `sent` is when its first attempt began, `last_sent` its last one, `answered` when its outcome was known. `status`
    and `answer` are that outcome; over Kafka the status is 201 or that of the refusal. `replay` is the answer to the
    same request again, for those that were sent again afterwards.
    """

    door: str
    kind: str
    path: str
    body: dict[str, Any]
    key: str
    sent: float = 0.0
    last_sent: float = 0.0
    answered: float = 0.0
    attempts: int = 0
    status: int = 0
    answer: dict[str, Any] = field(default_factory=dict)
    replay: tuple[int, dict[str, Any]] | None = None
    command_id: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether it had an effect."""
        return 200 <= self.status < 300

    @property
    def latency_s(self) -> float:
        """From the first attempt to the outcome."""
        return self.answered - self.sent


class Load:
    """Sends `rate` small stories a second (a grant; a charge; a hold and its end; a charge and its refund; a transfer)
    for `users`, to one of the addresses until it fails; `kafka_share` of the grants and charges go over Kafka.

    `token` gives the bearer token. `outbox_dsn` is the database of the service that sends commands. Of `again` all
    answered requests (a share) are repeated. No more than `outstanding_max` stories are under way at once.
    """

    def __init__(
        self,
        urls: Sequence[str],
        token: Callable[[], str],
        *,
        rate: float = 60.0,
        users: int = 30,
        seed: int = 1,
        outbox_dsn: str | None = None,
        partitions: int = 4,
        kafka_share: float = 0.2,
        again: float = 0.1,
        outstanding_max: int = 256,
    ) -> None:
        self.urls = list(urls)
        self.rate = rate
        self.entries: list[Entry] = []
        self.faults: Counter[str] = Counter()
        """How attempts failed: statuses, and names of errors of the connection."""
        self.unsent = 0
        """Arrivals that found too many stories under way."""
        self._token = token
        self._chance = random.Random(seed)  # noqa: S311
        self._run = secrets.token_hex(4)
        self.users = [f"user{number:03d}" for number in range(users)]
        self._dsn = outbox_dsn
        self._outbox = Outbox(SERVICE, partitions)
        self._share = kafka_share if outbox_dsn else 0.0
        self._again = again
        self._outstanding_max = outstanding_max
        self._stories: set[asyncio.Task[None]] = set()
        self._waiting: dict[str, tuple[Entry, asyncio.Future[None]]] = {}
        self._told: list[Entry] = []
        """Those with an outcome, in the order in which these came."""

        self._present = 0
        """The address that everybody uses until it fails somebody."""

        self._database = asyncio.Lock()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load for as long as the block runs; nothing is sent anew after it, what is under way goes on: `finish`."""
        # A pool for each address, without a bound: what stands still keeps its connections, and nobody else waits.
        none = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        self._https = [httpx.AsyncClient(base_url=url, timeout=ATTEMPT_S, limits=none) for url in self.urls]
        self._hearing = asyncio.create_task(self._hear())
        arriving = asyncio.create_task(self._arrive())
        try:
            yield
        finally:
            arriving.cancel()
            (ended,) = await asyncio.gather(arriving, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError), f"the load ended by itself: {ended!r}"

    async def finish(self, deadline_s: float = 60.0) -> None:
        """Wait until every command has its outcome. AssertionError if some have none in time."""
        end = time.monotonic() + deadline_s
        while self._stories and time.monotonic() < end:
            await asyncio.wait(self._stories, timeout=max(0.0, end - time.monotonic()))
        open_ = [entry for entry in self.entries if not entry.status]
        await self.close()
        assert not open_, f"{len(open_)} commands have no outcome, first: {open_[0]}; faults: {self.faults}"

    async def close(self) -> None:
        """Give up on whatever is under way."""
        for task in [*self._stories, self._hearing]:
            task.cancel()
        await asyncio.gather(*self._stories, self._hearing, return_exceptions=True)
        for http in self._https:
            await http.aclose()
        if self._connection is not None:
            self._connection.terminate()

    async def answer_after(
        self, moment: float, deadline_s: float = 60.0, of: Callable[[Entry], bool] = lambda _: True
    ) -> float:
        """Wait for an answer over HTTP to an attempt that began after `moment`; the moment of the first such answer.

        `of`: whose answers count.
        """
        end = time.monotonic() + deadline_s
        seen = 0
        while True:
            for entry in self._told[seen:]:
                if entry.door == "http" and entry.last_sent > moment and of(entry):
                    return entry.answered
            seen = len(self._told)
            assert time.monotonic() < end, f"nothing is answered; faults: {self.faults}"
            await asyncio.sleep(0.005)

    async def answers(self, count: int, deadline_s: float = 60.0) -> None:
        """Wait for so many more outcomes."""
        end = time.monotonic() + deadline_s
        wanted = len(self._told) + count
        while len(self._told) < wanted:
            assert time.monotonic() < end, f"{wanted - len(self._told)} answers are missing; faults: {self.faults}"
            await asyncio.sleep(0.01)

    # Stories

    async def _arrive(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        stories = [self._grant, self._charge, self._hold, self._refund, self._transfer]
        while True:
            due += self._chance.expovariate(self.rate)
            await asyncio.sleep(max(0.0, due - loop.time()))
            (story,) = self._chance.choices(stories, [30, 35, 15, 10, 10])
            if len(self._stories) >= self._outstanding_max:
                self.unsent += 1
                continue
            task = asyncio.create_task(story(self._chance.choice(self.users)))
            self._stories.add(task)
            task.add_done_callback(self._stories.discard)

    def _amount(self, most: int) -> str:
        return str(self._chance.randint(1, most))

    async def _grant(self, user: str) -> None:
        amount = self._amount(60)
        if self._chance.random() < self._share:
            await self._send("grant", user, GrantCredits(user=user, amount=amount))
        else:
            await self._post("grant", "grants", user=user, amount=amount)

    async def _charge(self, user: str) -> None:
        amount = self._amount(40)
        if self._chance.random() < self._share:
            await self._send("charge", user, ChargeCredits(user=user, amount=amount))
        else:
            await self._post("charge", "charges", user=user, amount=amount)

    async def _hold(self, user: str) -> None:
        made = await self._post("hold", "holds", user=user, amount=self._amount(20))
        if not made.succeeded:
            return
        hold = made.answer["id"]
        if self._chance.random() < 0.5:
            await self._post("capture", f"holds/{hold}/capture", amount=self._amount(int(made.body["amount"])))
        else:
            await self._post("release", f"holds/{hold}/release")

    async def _refund(self, user: str) -> None:
        made = await self._post("charge", "charges", user=user, amount=self._amount(20))
        if made.succeeded:
            amount = self._amount(int(made.body["amount"]))
            await self._post("refund", f"charges/{made.answer['id']}/refund", amount=amount)

    async def _transfer(self, user: str) -> None:
        to_user = self._chance.choice([other for other in self.users if other != user])
        await self._post("transfer", "transfers", from_user=user, to_user=to_user, amount=self._amount(10))

    # Over HTTP

    async def _post(self, kind: str, path: str, **body: Any) -> Entry:
        entry = Entry("http", kind, path, body, f"{self._run}-{len(self.entries)}", sent=time.monotonic())
        self.entries.append(entry)
        entry.status, entry.answer = await self._outcome(entry)
        if self._chance.random() < self._again:
            entry.replay = await self._outcome(entry)
        return entry

    async def _outcome(self, entry: Entry) -> tuple[int, dict[str, Any]]:
        while True:
            began = time.monotonic()
            chosen = self._present
            entry.attempts += 1
            try:
                answer = await self._https[chosen].post(
                    f"/v1/{entry.path}",
                    content=orjson.dumps(entry.body),
                    headers={
                        "Authorization": f"Bearer {self._token()}",
                        "Idempotency-Key": entry.key,
                        "Content-Type": "application/json",
                    },
                )
            except httpx.HTTPError as error:
                self.faults[type(error).__name__] += 1
            else:
                if answer.status_code not in NOT_YET:
                    if not entry.answered:
                        entry.last_sent, entry.answered = began, time.monotonic()
                        self._told.append(entry)
                    return answer.status_code, answer.json()
                self.faults[str(answer.status_code)] += 1
            if self._present == chosen:
                self._present = (chosen + 1) % len(self.urls)
            await asyncio.sleep(PAUSE_S)

    # Over Kafka

    async def _send(self, kind: str, user: str, command: Command) -> None:
        """Put a command into the outbox of the service beside the ledger, and wait for what it hears of it."""
        entry = Entry(
            "kafka", kind, command.TYPE, command.model_dump(), f"{self._run}-{len(self.entries)}", sent=time.monotonic()
        )
        self.entries.append(entry)
        heard = asyncio.get_running_loop().create_future()
        while not entry.command_id:
            try:
                entry.command_id = await self._put(entry, user, command)
            except LOST as error:
                self.faults[f"outbox: {type(error).__name__}"] += 1
                await asyncio.sleep(PAUSE_S)
        entry.last_sent = time.monotonic()
        self._waiting[entry.command_id] = (entry, heard)
        await heard

    async def _put(self, entry: Entry, user: str, command: Command) -> str:
        assert self._dsn is not None
        entry.attempts += 1
        async with self._connected() as connection:
            if entry.attempts > 1:
                # The answer to the commit may have been lost.
                known = await connection.fetchval("SELECT message_id FROM outbox WHERE idempotency_key = $1", entry.key)
                if known is not None:
                    return str(known)
            async with connection.transaction():
                return await send_command(
                    connection,
                    self._outbox,
                    command,
                    app=APP,
                    user=user,
                    idempotency_key=entry.key,
                    cause=Cause(actor="admin:ann"),
                    republish_after_s=3.0,
                )

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """The one connection to the service's database, alone; a new one after every failure."""
        async with self._database:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self._dsn, timeout=ATTEMPT_S, command_timeout=ATTEMPT_S)
            try:
                yield self._connection
            except BaseException:
                self._connection.terminate()
                raise

    async def _hear(self) -> None:
        while True:
            if self._waiting and self._dsn is not None:
                try:
                    async with self._connected() as connection:
                        rows = await connection.fetch(
                            "SELECT command_id, outcome_type, outcome_data FROM sent_commands"
                            " WHERE answered_at IS NOT NULL AND command_id = ANY ($1)",
                            list(self._waiting),
                        )
                except LOST:
                    rows = []
                for row in rows:
                    entry, heard = self._waiting.pop(row["command_id"])
                    entry.answer = {"type": row["outcome_type"], **orjson.loads(row["outcome_data"])}
                    refused = row["outcome_type"].startswith("ledger.command_refused.")
                    entry.status = entry.answer["status"] if refused else 201
                    entry.answered = time.monotonic()
                    self._told.append(entry)
                    heard.set_result(None)
            await asyncio.sleep(POLL_S)
