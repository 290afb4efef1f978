"""A call from its request to its end: held, passed on, counted, extended, cut where the credits end, settled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from time import perf_counter, time

import httpx
import orjson
from tallystick import TallystickError

from libs.events.failpoints import reach
from libs.events.ids import UlidSource
from libs.events.tasks import end
from services.meter import metrics
from services.meter.domain.calls import Call, Usage
from services.meter.domain.dialects import Ask, Body, Dialect, Passage, Piece, Streaming
from services.meter.domain.reach import Reach
from services.meter.domain.sse import DONE, EventSplitter, EventTooLong, data_of, event_of
from services.meter.domain.tokens import Counter, total
from services.meter.handlers.paying import Paying
from services.meter.handlers.settling import Settling
from services.meter.journal import Journal
from services.meter.ledgers import Ledgers
from services.meter.settings import MeterSettings
from services.meter.upstream import Upstream, UpstreamFailed

logger = logging.getLogger(__name__)

Push = Callable[[bytes], Awaitable[None]]
_ULIDS = UlidSource()
READ_OUT_S = 0.2
"""How long an answer that is over may take to end its connection's use."""


class Cut(Exception):
    """The account cannot pay the next token."""


class Busy(Exception):
    """As many calls are under way as may be."""


class Desk:
    """What all calls of the process share."""

    def __init__(
        self, settings: MeterSettings, ledgers: Ledgers, journal: Journal, upstream: Upstream, counter: Counter
    ) -> None:
        self.settings = settings
        self.ledgers = ledgers
        self.journal = journal
        self.upstream = upstream
        self.counter = counter
        self.settling = Settling(journal, self.paying)
        self.under_way = 0

    def paying(self, call: Call) -> Paying:
        """A call's dealings with the ledger."""
        return Paying(self.ledgers.of(call.app), self.settings, call)


class Metered:
    """One paid call. Use it as an async context manager: leaving settles it, however it ended.

    Entering holds what the prompt and the first tokens of the answer cost. Raises :class:`Busy`, and what the ledger
    refuses with.
    """

    def __init__(self, desk: Desk, dialect: Dialect, body: Body, *, ask: Ask, app: str, user: str) -> None:
        self._desk = desk
        self._dialect = dialect
        self._body = body
        self._ask = ask
        settings = desk.settings
        tokens = total(desk.counter, ask.model, ask.texts) + ask.overhead
        call_id = f"call_{_ULIDS.next(int(time() * 1_000_000))}"
        self._call = Call(call_id, app, user, ask.model, max(tokens, 1))
        self._paying = desk.paying(self._call)
        self._whole = (ask.limit or settings.output_tokens_max) * ask.choices if dialect.makes_tokens else 0
        self._reach = Reach(0, settings.step_tokens)
        self._hold = ""
        self._made = 0
        self._settled: asyncio.Task[None] | None = None
        self._prolonging: asyncio.Task[None] | None = None
        self._extending: asyncio.Task[None] | None = None
        self._outcome = "done"

    @property
    def id(self) -> str:
        """The call's id, under which everything about it is found."""
        return self._call.id

    async def __aenter__(self) -> Metered:
        desk, call, began = self._desk, self._call, perf_counter()
        if desk.under_way >= desk.settings.calls_max:
            raise Busy
        desk.journal.begin(call)
        desk.under_way += 1
        reach("meter.begun")
        # The record reaches the disk while the ledger decides; nothing goes upstream before both are done.
        syncing = asyncio.create_task(desk.journal.sync())
        try:
            await self._begin()
            await syncing
        except BaseException as error:
            await asyncio.wait([syncing])
            self._outcome = "refused" if isinstance(error, TallystickError) else "failed"
            self._end()
            raise
        self._prolonging = asyncio.create_task(self._prolong())
        metrics.ADDED.observe(perf_counter() - began)
        return self

    async def __aexit__(self, *_: object) -> None:
        await end(*(task for task in (self._extending, self._prolonging) if task is not None))
        self._end()

    async def _begin(self) -> None:
        first = min(self._desk.settings.step_tokens * self._ask.choices, self._whole)
        hold, self._reach = await self._paying.hold(first if self._ask.stream else self._whole)
        self._hold = hold
        reach("meter.held")
        self._desk.journal.held(self.id, hold)
        if not self._ask.stream:
            # An answer in one piece cannot be cut, so that all it may have must be held.
            while self._reach.held < self._whole and not self._reach.exhausted:
                await self._paying.extend(hold, self._reach)

    def _end(self) -> asyncio.Task[None]:
        """The call is over: settle it, once."""
        if self._settled is None:
            self._desk.under_way -= 1
            metrics.CALLS.labels(self._outcome).inc()
            self._settled = self._desk.settling.begin(self.id)
        return self._settled

    async def _settle(self) -> None:
        """The call is over, and its caller waits a little for that to be booked."""
        await asyncio.wait([self._end()], timeout=self._desk.settings.settle_wait_s)

    def request(self) -> bytes:
        """The body that goes upstream."""
        limit = None
        if self._dialect.makes_tokens and not self._ask.stream:
            limit = self._reach.held // self._ask.choices
        return orjson.dumps(self._dialect.prepared(self._body, self._ask, limit, self._desk.settings.limit_field))

    def sent(self) -> None:
        """The request is on its way upstream."""
        reach("meter.sent")

    async def failed(self) -> None:
        """The upstream refused or failed before anything came back."""
        self._outcome = "upstream_failed"
        await self._settle()

    async def answered(self, answer: Body | None) -> None:
        """The whole answer is there. When this returns its usage is captured, or will be.

        Raises :class:`UpstreamFailed` when it is no JSON object.
        """
        if answer is None:
            raise UpstreamFailed("the answer is no JSON object")
        usage = self._dialect.usage(answer)
        if usage is None:
            made = total(self._desk.counter, self._ask.model, self._dialect.texts(answer))
            usage = {"input": self._call.input, "output": made}
        self._use(usage)
        await self._settle()

    async def stream(self, pieces: AsyncIterator[bytes], push: Push) -> list[bytes]:
        """Pass a stream on as it comes, its usage counted and paid, until it ends or the credits do.

        The events that it answers are what :meth:`finish` is to say, once the upstream is let go.
        """
        dialect = self._dialect
        assert isinstance(dialect, Streaming)  # noqa: S101 - no other has streams
        passage = dialect.passage(self._ask)
        try:
            async with asyncio.timeout(self._desk.settings.call_s_max):
                async for event, data in _events(pieces):
                    chunk = None if data == DONE else _chunk(data)
                    piece = await self._meter(passage, chunk) if chunk is not None else None
                    if data == DONE or (piece is not None and piece.last):
                        await _read_out(pieces)
                        return [event]
                    if piece is None or piece.shown is chunk:
                        await push(event)
                    elif piece.shown is not None:
                        await push(_event(piece.shown))
        except (Cut, TimeoutError):
            self._outcome = "cut"
            last = passage.ending(self._counted())
        except (orjson.JSONDecodeError, EventTooLong, UpstreamFailed, httpx.HTTPError) as error:
            self._outcome = "broken"
            logger.warning("the answer to call %s broke off: %s", self.id, error)
            last = passage.failing("upstream_failed", "The model's answer broke off.")
        return [*map(_event, last), *([event_of(DONE)] if passage.says_done else [])]

    async def finish(self, push: Push, last: Sequence[bytes]) -> None:
        """Settle, then say the last events: a stream that is over has been booked, or will be."""
        await self._settle()
        for event in last:
            await push(event)

    def left(self) -> None:
        """The caller went away."""
        self._outcome = "left"

    async def _meter(self, passage: Passage, chunk: Body) -> Piece:
        """Pay for a chunk. Raises :class:`Cut`."""
        piece = passage.take(chunk)
        if piece.texts:
            made = self._made + total(self._desk.counter, self._ask.model, piece.texts)
            await self._reached(made)
            self._made = made
            self._desk.journal.made(self.id, made)
            reach("meter.made")
        if piece.usage is not None:
            self._use(piece.usage)
        return piece

    async def _reached(self, made: int) -> None:
        """Return once `made` tokens are held, asking for more ahead of need. Raises :class:`Cut` if they never are."""
        while True:
            if self._extending is not None and self._extending.done():
                self._extending.result()
                self._extending = None
            if self._extending is None and self._reach.is_short(made):
                self._extending = asyncio.create_task(self._extend())
            if made <= self._reach.held:
                return
            if self._extending is None:
                raise Cut
            await asyncio.wait([self._extending])

    async def _extend(self) -> None:
        """Extend once, or as long as it takes to find the last token."""
        try:
            searching = True
            while searching:
                await self._paying.extend(self._hold, self._reach)
                searching = self._reach.beyond is not None and not self._reach.exhausted
        except TallystickError as error:
            # What cannot be held is not given away: the stream ends where the hold does.
            logger.warning("call %s could not be extended: %s", self.id, error)
            self._reach.beyond = self._reach.held + 1

    async def _prolong(self) -> None:
        """Keep the hold alive while the call goes on."""
        while True:
            await asyncio.sleep(self._desk.settings.hold_ttl_s / 2)
            try:
                await self._paying.prolong(self._hold)
            except TallystickError as error:
                logger.warning("the hold of call %s could not be prolonged: %s", self.id, error)

    def _use(self, usage: Usage) -> None:
        self._desk.journal.used(self.id, usage)
        reach("meter.used")

    def _counted(self) -> Usage:
        return {"input": self._call.input, "output": self._made}


async def _events(pieces: AsyncIterator[bytes]) -> AsyncIterator[tuple[bytes, bytes]]:
    """A stream's events, each with its data. Raises :class:`UpstreamFailed` at its end, which one of them tells."""
    splitter = EventSplitter()
    async for piece in pieces:
        for event in splitter.feed(piece):
            yield event, data_of(event)
    raise UpstreamFailed("the stream ended too early")


async def _read_out(pieces: AsyncIterator[bytes]) -> None:
    """Read what is left of an answer that is over: only then can its connection be used again."""
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(READ_OUT_S):
            async for _ in pieces:
                pass


def _chunk(data: bytes) -> Body | None:
    found = orjson.loads(data) if data else None
    return found if isinstance(found, dict) else None


def _event(chunk: Body) -> bytes:
    """A chunk as an event. Where chunks have types, these are the events' names too."""
    return event_of(orjson.dumps(chunk), chunk.get("type"))
