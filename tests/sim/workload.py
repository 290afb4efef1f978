"""Who asks the ledger for things: callers over HTTP, who ask again until they know, and a service that sends commands.

Both are outside of all processes, and never die: what they were told is what the run is judged by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import orjson

from libs.events.bus import BusUnavailable, Message
from libs.events.contracts.base import encode
from libs.events.contracts.ledger import commands as sent
from libs.events.envelope import Envelope, to_headers
from libs.events.ids import Ids, UlidSource
from libs.events.partition import partition_of
from libs.service.db import Pool
from libs.service.problems import Problem
from services.ledger.handlers.commands import KINDS, Origin, request_for
from services.ledger.requests import Answer, ApplyConfig, Request
from services.ledger.store.reads import UNREACHABLE, Seen, account_at_head
from services.ledger.writer.atomic import NOT_DONE
from services.ledger.writer.log import APP_ACCOUNT
from tests.sim.app import APP, DOCUMENTS
from tests.sim.bus import SimBus
from tests.sim.calendar import Calendar
from tests.sim.chance import Chance
from tests.sim.drawing import Draw
from tests.sim.loop import Loop
from tests.sim.nodes import COMMANDS_TOPIC, SENDER, LedgerNode
from tests.sim.watch import Asked, Look, Watch

FINAL_BELOW = 429
"""Statuses from here on tell nothing of the outcome."""
NOT_HEARD = Answer(503, b"")

Nodes = Callable[[], Sequence[LedgerNode]]


class Ask(NamedTuple):
    """One command: how to make the request for it anew, and what is known of it."""

    make: Callable[[], Request]
    asked: Asked


@dataclass(slots=True)
class Scene:
    """What callers and senders act in. `made` holds the ids that any caller has been told, by word."""

    loop: Loop
    calendar: Calendar
    chance: Chance
    watch: Watch
    nodes: Nodes
    users: list[str]
    made: dict[str, list[str]] = field(default_factory=dict)

    def draw(self) -> Draw:
        """What commands are drawn by."""
        return Draw(self.chance.random, self.calendar, self.users, self.made)


class Caller:
    """Sends commands over HTTP, one after another or several in a batch, each until its outcome is known."""

    def __init__(self, name: str, scene: Scene) -> None:
        self._name = name
        self._loop = scene.loop
        self._random = scene.chance.random
        self._watch = scene.watch
        self._nodes = scene.nodes
        self._made = scene.made
        self._users = scene.users
        self._draw = scene.draw()

    async def configure(self, version: int) -> None:
        """Apply a version of the app's configuration."""
        key = f"config-{version}"
        await self._ask([Ask(lambda: self._config(key, version), self._watch.sends(self._name, key, "config"))])

    async def work(self, commands: int, pause_s: float) -> None:
        """So many commands, at random."""
        for number in range(commands):
            await asyncio.sleep(self._random.expovariate(1 / pause_s))
            asking, together = self._some(f"{self._name}-{number}")
            looking = self._random.random() < 0.3
            await asyncio.gather(self._ask(asking, together=together), *([self._look()] if looking else []))
            if self._random.random() < 0.1:
                await self._ask(asking, together=together)

    def _some(self, key: str) -> tuple[list[Ask], bool]:
        """One command, or a batch of several, each on its own or all `together` or none."""
        if self._random.random() < 0.85:
            return [self._command(key)], False
        together = self._random.random() < 0.6
        user = self._random.choice(self._users) if together else None
        asking = [self._command(f"{key}-{number}", user) for number in range(self._random.randint(2, 5))]
        if together:
            self._watch.together.append([each.asked for each in asking])
        return asking, together

    async def _ask(self, asking: Sequence[Ask], *, together: bool = False) -> None:
        while True:
            answers = await self._once(asking, together=together)
            for (_, asked), answer in zip(asking, answers, strict=True):
                if answer.status < FINAL_BELOW:
                    self._watch.knows(asked, answer.status, answer.body)
                    self._remember(answer)
            # What is done together is asked again together.
            asking = [each for each, answer in zip(asking, answers, strict=True) if answer.status >= FINAL_BELOW]
            if not asking:
                return
            await asyncio.sleep(0.5 * self._random.random())

    async def _once(self, asking: Sequence[Ask], *, together: bool) -> list[Answer]:
        """One try at any process, which may not be heard of, or not in time."""
        unheard = [NOT_HEARD] * len(asking)
        nodes = self._nodes()
        if not nodes:
            return unheard
        node = self._random.choice(nodes)
        reply: asyncio.Future[list[Answer]] = self._loop.create_future()
        self._loop.later(0.0005, self._receive, node, asking, together, reply)
        await asyncio.wait([reply], timeout=self._random.choice((0.5, 3.0)))
        return reply.result() if reply.done() else unheard

    def _receive(
        self, node: LedgerNode, asking: Sequence[Ask], together: bool, reply: asyncio.Future[list[Answer]]
    ) -> None:
        if not node.ended:
            self._loop.spawn(node, self._handle(node, asking, together, reply))

    async def _handle(
        self, node: LedgerNode, asking: Sequence[Ask], together: bool, reply: asyncio.Future[list[Answer]]
    ) -> None:
        """In the process: decide, and answer."""
        requests = [each.make() for each in asking]
        if together:
            answers = await self._all_or_none(node, requests)
        else:
            answers = await asyncio.gather(*(_decided(node, request) for request in requests))
        for request, answer in zip(requests, answers, strict=True):
            if answer.status < FINAL_BELOW and answer.status != NOT_DONE:
                self._watch.answered(request, answer, node)
        self._loop.later(0.0005, _deliver, reply, answers)

    async def _all_or_none(self, node: LedgerNode, requests: Sequence[Request]) -> list[Answer]:
        try:
            answer = await node.decide_together(requests)
        except Problem:
            answer = NOT_HEARD
        if answer.parts:
            return list(answer.parts)
        # A refusal is kept of no item, and tells of all of them that they were not done.
        return [Answer(NOT_DONE if answer.status < FINAL_BELOW else answer.status, b"")] * len(requests)

    async def _look(self) -> None:
        """Read an account, once, from any process, while it may be changing."""
        await asyncio.sleep(0.004 * self._random.random())
        nodes = self._nodes()
        if not nodes:
            return
        node, user = self._random.choice(nodes), self._random.choice(self._users)
        sent_at = self._watch.now()
        reply: asyncio.Future[Seen | None] = self._loop.create_future()
        self._loop.spawn(node, _read(node, user, reply))
        await asyncio.wait([reply], timeout=3.0)
        seen = reply.result() if reply.done() else None
        if seen is not None:
            self._watch.looked(Look((APP, user, "coins"), node.partition_of(APP, user), sent_at, seen))

    def _remember(self, answer: Answer) -> None:
        if answer.status < 300:
            body = orjson.loads(answer.body)
            made = body.get("id")
            if made is not None:
                word = made.partition("_")[0]
                whose = body["user"] or "" if word == "quote" else ""
                self._made.setdefault(word + whose, []).append(made)

    # Commands

    def _config(self, key: str, version: int) -> Request:
        return Request(
            app=APP,
            user=APP_ACCOUNT,
            asset=None,
            type="config",
            build=lambda _scale: ApplyConfig(document=DOCUMENTS[version]),
            caller=self._name,
            key=key,
            fingerprint=key.encode(),
            unique_fingerprint=key.encode(),
            actor=self._name,
            door="http",
            request_id=key,
        )

    def _command(self, key: str, user: str | None = None) -> Ask:
        name, fields, target = self._draw.command(key, user)
        origin = Origin(
            app=APP, caller=self._name, key=key, actor=self._name, role="service", door="http", request_id=f"req-{key}"
        )
        asked = self._watch.sends(self._name, key, name)
        if isinstance(fields, sent.ChargeCredits | sent.CreateHold) and fields.amount is not None:
            asked.wants = (fields.user, int(fields.amount))
        elif isinstance(fields, sent.TransferCredits):
            asked.wants = (fields.from_user, int(fields.amount))
        return Ask(lambda: request_for(KINDS[name], fields, origin, target), asked)


class Sender:
    """Sends commands by Kafka, each again until its consumer has recorded an outcome, as `libs/events/commands.py`."""

    def __init__(self, scene: Scene, bus: SimBus, partitions: int) -> None:
        self._loop = scene.loop
        self._random = scene.chance.random
        self._watch = scene.watch
        self._bus = bus
        self._users = scene.users
        self._calendar = scene.calendar
        self._draw = scene.draw()
        self._partitions = partitions
        self._ulids = UlidSource(scene.chance.random.randbytes)

    async def work(self, commands: int, pause_s: float) -> None:
        """So many commands, several of them at once."""
        sending = []
        for number in range(commands):
            await asyncio.sleep(self._random.expovariate(1 / pause_s))
            sending.append(asyncio.ensure_future(self._send(number)))
        await asyncio.gather(*sending)

    async def _send(self, number: int) -> None:
        user = self._random.choice(self._users)
        partition = partition_of(APP, user, self._partitions)
        time_us = self._calendar.now_us()
        command = self._draw.by_kafka(user, f"{SENDER}-{number}")
        envelope = Envelope(
            id=Ids(self._ulids, partition, time_us).new("command"),
            source=SENDER,
            type=command.TYPE,
            time_us=time_us,
            subject=user,
            app=APP,
            data=encode(command),
            idempotency_key=f"{SENDER}-{number}",
        )
        asked = self._watch.sends(SENDER, f"{SENDER}-{number}", command.TYPE)
        message = Message(envelope.key, envelope.data, to_headers(envelope))
        while envelope.id not in self._watch.tables.outcomes:
            try:
                await self._bus.publish(COMMANDS_TOPIC, partition, [message])
            except BusUnavailable:
                await asyncio.sleep(0.5)
                continue
            for _ in range(self._random.randint(2, 5)):
                if envelope.id not in self._watch.tables.outcomes:
                    await asyncio.sleep(0.7)
        self._watch.knows(asked, 0, b"")

    async def garbage(self) -> None:
        """A record that is no command."""
        number = self._random.randrange(self._partitions)
        headers = [("ce_specversion", b"1.0"), ("ce_id", b"command_garbage"), ("ce_app", APP.encode())]
        while True:
            try:
                await self._bus.publish(COMMANDS_TOPIC, number, [Message(b"k", b"\xff\x00", headers)])
            except BusUnavailable:
                await asyncio.sleep(0.5)
            else:
                return


async def _read(node: LedgerNode, user: str, reply: asyncio.Future[Seen | None]) -> None:
    """In the process: an account as its door shows it."""
    try:
        seen = await account_at_head(cast("Pool", node.pool), (APP, user, "coins"), node.partition_of(APP, user))
    except UNREACHABLE:
        seen = None
    if not reply.done():
        reply.set_result(seen)


async def _decided(node: LedgerNode, request: Request) -> Answer:
    try:
        return await node.decide(request)
    except Problem:
        return NOT_HEARD


def _deliver(reply: asyncio.Future[list[Answer]], answers: list[Answer]) -> None:
    if not reply.done():
        reply.set_result(answers)
