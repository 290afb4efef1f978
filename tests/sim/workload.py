"""Who asks the ledger for things: callers over HTTP, who ask again until they know, and a service that sends commands.

Both are outside of all processes, and never die: what they were told is what the run is judged by.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import orjson

from libs.events.bus import BusUnavailable, Message
from libs.events.contracts.base import Command, encode
from libs.events.contracts.ledger import commands as sent
from libs.events.envelope import Envelope, to_headers
from libs.events.ids import Ids, UlidSource
from libs.events.partition import partition_of
from libs.service.clock import to_datetime
from libs.service.db import Pool
from libs.service.problems import Problem
from services.ledger.domain.config import ConfigDocument
from services.ledger.handlers.commands import KINDS, Origin, request_for
from services.ledger.requests import Answer, ApplyConfig, Request
from services.ledger.store.reads import UNREACHABLE, Seen, account_at_head
from services.ledger.writer.log import APP_ACCOUNT
from tests.sim.bus import SimBus
from tests.sim.chance import Chance
from tests.sim.loop import Loop
from tests.sim.nodes import COMMANDS_TOPIC, SENDER, START_US, LedgerNode
from tests.sim.watch import Asked, Look, Watch

APP = "coins"
USERS = ("ann", "ben", "cy", "dot", "eve", "fay", "gil", "hal")
DOCUMENT = ConfigDocument.model_validate(
    {
        "assets": {"coins": {"scale": 0}},
        "thresholds": [{"below": "20", "rearm_at": "40"}],
        "hold_limits": {"default_s": 4, "max_s": 30},
        "prices": {
            "operations": {"text": {"amount": "0.7", "minimum": "2"}},
            "models": {"tiny": {"per": 1, "input": "0.5", "output": "1.3", "markup_percent": 10}},
            "quote_ttl_s": 10,
        },
    }
)
FINAL_BELOW = 429
"""Statuses from here on tell nothing of the outcome."""

Make = Callable[[], Request]
Nodes = Callable[[], Sequence[LedgerNode]]


@dataclass(slots=True)
class Scene:
    """What callers and senders act in. `made` holds the ids that any caller has been told, by word."""

    loop: Loop
    chance: Chance
    watch: Watch
    nodes: Nodes
    users: Sequence[str]
    made: dict[str, list[str]] = field(default_factory=dict)


class Caller:
    """Sends commands over HTTP, one after another, each until its outcome is known."""

    def __init__(self, name: str, scene: Scene) -> None:
        self._name = name
        self._loop = scene.loop
        self._random = scene.chance.random
        self._watch = scene.watch
        self._nodes = scene.nodes
        self._made = scene.made
        self._users = scene.users

    async def configure(self) -> None:
        """Apply the app's configuration."""
        asked = self._watch.sends(self._name, "config", "config")
        await self._ask(asked, self._config)

    async def work(self, commands: int, pause_s: float) -> None:
        """So many commands, at random."""
        for number in range(commands):
            await asyncio.sleep(self._random.expovariate(1 / pause_s))
            make, asked = self._command(f"{self._name}-{number}")
            looking = self._random.random() < 0.3
            await asyncio.gather(self._ask(asked, make), *([self._look()] if looking else []))
            if self._random.random() < 0.1:
                await self._ask(asked, make)

    async def _ask(self, asked: Asked, make: Make) -> None:
        while True:
            answer = await self._once(make)
            if answer is not None and answer.status < FINAL_BELOW:
                self._watch.knows(asked, answer.status, answer.body)
                self._remember(answer)
                return
            await asyncio.sleep(0.5 * self._random.random())

    async def _once(self, make: Make) -> Answer | None:
        """One try at any process; None if it is not heard of, or not in time."""
        nodes = self._nodes()
        if not nodes:
            return None
        node = self._random.choice(nodes)
        reply: asyncio.Future[Answer | None] = self._loop.create_future()
        self._loop.later(0.0005, self._receive, node, make, reply)
        await asyncio.wait([reply], timeout=self._random.choice((0.5, 3.0)))
        return reply.result() if reply.done() else None

    def _receive(self, node: LedgerNode, make: Make, reply: asyncio.Future[Answer | None]) -> None:
        if not node.ended:
            self._loop.spawn(node, self._handle(node, make, reply))

    async def _handle(self, node: LedgerNode, make: Make, reply: asyncio.Future[Answer | None]) -> None:
        """In the process: decide, and answer."""
        request = make()
        try:
            answer = await node.decide(request)
        except Problem:
            answer = Answer(503, b"")
        if answer.status < FINAL_BELOW:
            self._watch.answered(request, answer, node)
        self._loop.later(0.0005, _deliver, reply, answer)

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

    def _config(self) -> Request:
        return Request(
            app=APP,
            user=APP_ACCOUNT,
            asset=None,
            type="config",
            build=lambda _scale: ApplyConfig(document=DOCUMENT),
            caller=self._name,
            key="config",
            fingerprint=b"config",
            unique_fingerprint=b"config",
            actor=self._name,
            door="http",
            request_id="config",
        )

    def _command(self, key: str) -> tuple[Make, Asked]:
        name, fields, target = self._draw(key)
        origin = Origin(
            app=APP, caller=self._name, key=key, actor=self._name, role="service", door="http", request_id=f"req-{key}"
        )
        asked = self._watch.sends(self._name, key, name)
        if isinstance(fields, sent.ChargeCredits | sent.CreateHold) and fields.amount is not None:
            asked.wants = (fields.user, int(fields.amount))
        elif isinstance(fields, sent.TransferCredits):
            asked.wants = (fields.from_user, int(fields.amount))
        return lambda: request_for(KINDS[name], fields, origin, target), asked

    def _draw(self, key: str) -> tuple[str, sent.Body, str]:
        """A kind of command, its fields, and what it is about."""
        random = self._random
        word, name = random.choice(_TARGETED)
        known = self._made.get(word)
        if known and random.random() < 0.4:
            return name, self._about(name), random.choice(known[-6:])
        user, other = random.sample(self._users, 2)
        amount = str(random.randint(1, 60))
        unique = random.choice((None, None, None, f"once-{random.randint(0, 3)}"))
        name = random.choices(_NAMES, _WEIGHTS)[0]
        fields: sent.Body
        if name == "grant":
            late = to_datetime(START_US + round(self._loop.time() * 1e6)) + timedelta(seconds=random.randint(1, 15))
            expires = random.choice((None, None, late))
            fields = sent.GrantCredits(user=user, amount=amount, expires_at=expires, unique_ref=unique)
        elif name == "charge":
            reference = random.choice((None, None, f"ref-{key}"))
            member = random.choice(_MEMBERS)
            cost = self._cost(user, amount)
            fields = sent.ChargeCredits(user=user, **cost, reference=reference, unique_ref=unique, member=member)
        elif name == "hold":
            ttl_s = random.choice((1, 3, 20))
            partial, member = random.random() < 0.3, random.choice(_MEMBERS)
            cost = self._cost(user, amount)
            fields = sent.CreateHold(user=user, **cost, ttl_s=ttl_s, partial=partial, member=member)
        elif name == "quote":
            asking = random.choice((user, None))
            fields = sent.QuoteBody(user=asking, model="tiny", usage=sent.Usage(input=int(amount), output=int(amount)))
        elif name == "transfer":
            fields = sent.TransferCredits(from_user=user, to_user=other, amount=amount)
        elif name == "adjustment":
            signed = random.choice((amount, f"-{amount}"))
            fields = sent.AdjustBalance(user=user, amount=signed, reason="trial")
        elif name == "account.budgets":
            fields = sent.SetBudgetsBody(budgets=random.choice(_BUDGETS))
        else:
            fields = KINDS[name].body()
        return name, fields, user if name.startswith("account.") else ""

    def _cost(self, user: str, amount: str) -> dict[str, Any]:
        """What a charge or a hold takes: an amount, the price of an operation or of a model's use, or a quote."""
        quotes = self._made.get("quote", []) + self._made.get(f"quote{user}", [])
        way = self._random.choice(("amount", "amount", "price", "model", "quote"))
        if way == "price":
            return {"price": "text", "quantity": amount}
        if way == "model":
            return {"model": "tiny", "usage": sent.Usage(input=int(amount), output=3)}
        return {"quote": self._random.choice(quotes[-6:])} if way == "quote" and quotes else {"amount": amount}

    def _about(self, name: str) -> sent.Body:
        """The fields of a command about something that there is."""
        random = self._random
        body = KINDS[name].body
        given: dict[str, Any] = {}
        if random.random() < 0.5 and "amount" in body.model_fields:
            given["amount"] = str(random.randint(1, 60))
        if name == "hold.capture":
            given["final"] = random.random() < 0.7
        if name == "hold.capture" and not given and random.random() < 0.3:
            given["usage"] = sent.Usage(input=random.randint(0, 60), output=random.randint(0, 60))
        if name == "hold.extend":
            given["ttl_s"] = random.randint(1, 20)
        return body(**given)


_WEIGHTS = (35, 25, 20, 12, 8, 4, 2, 2, 4)
_NAMES = (
    "grant",
    "charge",
    "hold",
    "transfer",
    "quote",
    "adjustment",
    "account.freeze",
    "account.unfreeze",
    "account.budgets",
)
_MEMBERS = (None, None, "kim", "lee")
_DAY = sent.BudgetSetting(period="day", limit="60")
_BUDGETS = ((), (_DAY,), (_DAY, sent.BudgetSetting(member="*", period="lifetime", limit="20", hard=False)))
_TARGETED = (
    ("hold", "hold.capture"),
    ("hold", "hold.capture"),
    ("hold", "hold.release"),
    ("hold", "hold.extend"),
    ("charge", "charge.refund"),
    ("grant", "grant.revoke"),
)


class Sender:
    """Sends commands by Kafka, each again until its consumer has recorded an outcome, as `libs/events/commands.py`."""

    def __init__(self, scene: Scene, bus: SimBus, partitions: int) -> None:
        self._loop = scene.loop
        self._random = scene.chance.random
        self._watch = scene.watch
        self._bus = bus
        self._users = scene.users
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
        time_us = START_US + round(self._loop.time() * 1e6)
        command = self._draw(user)
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

    def _draw(self, user: str) -> Command:
        random = self._random
        amount = str(random.randint(1, 60))
        roll = random.random()
        if roll < 0.4:
            return sent.GrantCredits(user=user, amount=amount)
        if roll < 0.7:
            return sent.ChargeCredits(user=user, amount=amount)
        if roll < 0.85:
            return sent.CreateHold(user=user, amount=amount, ttl_s=random.choice((1, 3, 20)))
        return sent.TransferCredits(from_user=user, to_user=random.choice(self._users), amount=amount)

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


def _deliver(reply: asyncio.Future[Answer | None], answer: Answer) -> None:
    if not reply.done():
        reply.set_result(answer)
