"""The loop of the single writer: queue, read, decide, append, answer; a batch commits while the next is decided.

There is no waiting timer: what arrives during a commit is the next batch. An answer is given after its commit, and
only while the lease is valid.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter

from libs.events.failpoints import reach
from libs.events.ids import UlidSource
from libs.service.clock import Clock
from libs.service.db import Connection, Pool
from libs.service.problems import Overloaded, Problem, ReadOnly, Unavailable
from services.ledger import metrics
from services.ledger.domain.config import AppConfig
from services.ledger.requests import Answer, Request
from services.ledger.store.append import AmbiguousError, FencedError, RefusedError, append, parameters
from services.ledger.store.heads import Head
from services.ledger.writer.batch import Batch
from services.ledger.writer.finding import Situation
from services.ledger.writer.layer import Committed, Layer, Layers
from services.ledger.writer.line import Line
from services.ledger.writer.reading import read_for

logger = logging.getLogger(__name__)

READ_ONLY = "The database takes no writes at present."
READ_ONLY_S = 1.0
"""How long nothing new is tried after the database would not write. Even what fails takes room for its traces, and
PostgreSQL stops altogether where a full disk has none left for them."""

ATTEMPTS_MAX = 3
"""How often a request is decided again after a batch that the database refused, before its caller is told."""


class NotStored(Unavailable):
    """The database refuses this request, again and again, even alone."""


@dataclass(slots=True)
class Limits:
    """How much a writer takes on. `recent_max` must exceed what two batches can touch."""

    queue_max: int = 4096
    batch_max: int = 512
    sweeps_max: int = 128
    accounts_max: int = 200_000
    recent_max: int = 50_000


@dataclass(slots=True)
class Surroundings:
    """What a writer works with.

    `recover` opens a new appending connection, fences the old one's past and answers the heads as they are then; it
    waits for a database that is away and raises :class:`FencedError` when the lease has been lost meanwhile.
    """

    pool: Pool
    clock: Clock
    app_now: Callable[[str], int | None]
    partitions: int
    shard: str
    may_answer: Callable[[], bool]
    recover: Callable[[], Awaitable[tuple[Connection, dict[int, Head]]]]
    limits: Limits


class Writer:
    """Decides what is submitted, one after another. :meth:`run` ends only by cancellation or :class:`FencedError`."""

    def __init__(
        self,
        surroundings: Surroundings,
        connection: Connection,
        heads: dict[int, Head],
        configs: dict[str, AppConfig],
    ) -> None:
        self._with = surroundings
        self._connection = connection
        self._heads = heads
        limits = surroundings.limits
        self._base = Committed(limits.accounts_max, limits.recent_max)
        self._base.configs.update(configs)
        self._queue = Line()
        self._sweeps = Line()
        self._arrived = asyncio.Event()
        self._deciding: list[Request] = []
        """Taken from the queue, and not yet in a batch that is being appended."""

        self._decided: Batch | None = None
        """Decided on top of the batch in flight, and appended as soon as that one stands."""

        self._inflight: Batch | None = None
        self._commit: asyncio.Task[bool] | None = None
        self._appending_since: float | None = None
        self._ulids = UlidSource()
        self._last_us = max((head.time_us for head in heads.values()), default=0)
        self._closed = False
        self._read_only_until = float("-inf")
        self.halted: str | None = None
        """Why nothing is written at present, in words for callers."""

        metrics.QUEUE_LIMIT.set(limits.queue_max)

    # Callers

    def submit(self, request: Request) -> asyncio.Future[Answer]:
        """Queue a request; its future gets the answer after the commit, or a Problem (503) when there is none.

        Raises :class:`Overloaded` when the queue is full. Sweeps wait behind live commands.
        """
        if self._closed:
            raise Unavailable("This process no longer writes this shard.")
        if self.halted is not None:
            raise ReadOnly(self.halted)
        if self._with.clock.monotonic() < self._read_only_until:
            raise ReadOnly(READ_ONLY)
        queue = self._sweeps if request.type == "sweep" else self._queue
        if len(queue) + request.size > self._with.limits.queue_max:
            raise Overloaded()
        request.queued_at = perf_counter()
        queue.append(request)
        self._arrived.set()
        return request.answer

    @property
    def owned(self) -> set[int]:
        """The partitions that this writer owns."""
        return set(self._heads)

    @property
    def configs(self) -> dict[str, AppConfig]:
        """Every app's configuration as last committed or read."""
        return dict(self._base.configs)

    def set_config(self, config: AppConfig) -> None:
        """Take over a version that another shard applied."""
        known = self._base.configs.get(config.app)
        if known is None or known.version < config.version:
            self._base.configs[config.app] = config

    @property
    def appending(self) -> tuple[Connection, float] | None:
        """The connection that an append waits for, and how long it has (seconds); None when there is no append."""
        since = self._appending_since
        return None if since is None else (self._connection, self._with.clock.monotonic() - since)

    def halt(self, why: str | None) -> None:
        """Write nothing of what waits or comes from now on, because of `why`; None: go on."""
        self.halted = why
        if why is None:
            return
        for request in (*self._queue, *self._sweeps):
            self._fail(request, ReadOnly(why))
        self._queue.clear()
        self._sweeps.clear()

    def close(self) -> None:
        """Refuse what is queued and what comes; the outcome of what is in flight can be asked by its key."""
        self._closed = True
        waiting = [*self._deciding, *self._queue, *self._sweeps]
        if self._inflight is not None:
            waiting += [request for request, _ in self._inflight.answers]
        for request in waiting:
            self._fail(request, Unavailable("The writer of this account has changed; send the request again."))
        self._queue.clear()
        self._sweeps.clear()

    def disconnect(self) -> None:
        """Drop the appending connection; what it has sent is fenced by whoever takes over."""
        self._connection.terminate()

    # The loop

    async def run(self) -> None:
        """Decide and append until fenced or cancelled."""
        try:
            while True:
                self._deciding = await self._take()
                self._decided = await self._decide(self._deciding)
                await self._settle()
                if self._decided is not None:
                    self._start(self._decided)
        finally:
            if self._commit is not None:
                self._commit.cancel()
                with contextlib.suppress(asyncio.CancelledError, FencedError):
                    await self._commit
            self.close()

    async def _take(self) -> list[Request]:
        """The next batch: live commands first, then sweeps; a request that may have spoilt a batch comes alone."""
        while not self._queue and not self._sweeps:
            if self._commit is not None and self._commit.done():
                await self._settle()
            self._arrived.clear()
            if self._commit is None:
                await self._arrived.wait()
            else:
                arrived = asyncio.ensure_future(self._arrived.wait())
                await asyncio.wait({arrived, self._commit}, return_when=asyncio.FIRST_COMPLETED)
                arrived.cancel()
        if self._queue and self._queue[0].attempts:
            return [self._queue.popleft()]
        limits = self._with.limits
        requests: list[Request] = []
        room = limits.batch_max
        while self._queue and len(requests) < limits.batch_max and not self._queue[0].attempts:
            room -= self._queue[0].size
            if room < 0 and requests:
                # What is to be done as one may be more than a batch takes otherwise: then it comes first.
                break
            requests.append(self._queue.popleft())
        while self._sweeps and len(requests) < limits.sweeps_max:
            requests.append(self._sweeps.popleft())
        metrics.QUEUE.set(len(self._queue))
        return requests

    def _below(self) -> tuple[Layer | Committed, ...]:
        return (self._base,) if self._inflight is None else (self._inflight.layer, self._base)

    async def _decide(self, requests: list[Request]) -> Batch | None:
        """The requests decided on top of all that went before; None if the database could not be read."""
        try:
            commands = [item for request in requests for item in request.items or (request,)]
            loaded = await read_for(self._with.pool, commands, Layers(*self._below()))
        except Exception as error:
            logger.warning("reading for a batch failed: %s", error)
            for request in requests:
                self._fail(request, Unavailable("The database cannot be read at present."))
            return None
        reach("decide.read")
        self._last_us = max(self._with.clock.now_us(), self._last_us)
        heads = self._heads if self._inflight is None else self._inflight.heads
        batch = Batch(
            Situation(
                self._below(), loaded, heads, self._last_us, self._with.app_now, self._ulids, self._with.partitions
            )
        )
        for request in requests:
            reach("decide.command")
            try:
                batch.decide(request)
            except Exception:
                # The batch may hold half of what this request did: it is dropped, and the others are decided anew.
                logger.exception("deciding %s failed", request.type)
                self._fail(request, Problem())
                self._queue.extendleft(r for r in reversed(requests) if r is not request)
                return None
        batch.finish()
        return batch

    async def _settle(self) -> None:
        """Wait for the batch in flight. One that was decided on top of it is on its way then, or to be decided anew."""
        commit = self._commit
        if commit is None:
            return
        # When this raises, the batch stays in flight: nobody knows what became of it, and `close` says so.
        stands = await commit
        if self._commit is not commit:
            return
        self._commit = None
        self._inflight = None
        if self._decided is not None and not stands:
            # What it was decided on did not come to be, or the epochs have changed.
            self._again(self._decided)
            self._decided = None

    def _start(self, decided: Batch) -> None:
        """Append what has been decided."""
        self._inflight, self._decided, self._deciding = decided, None, []
        self._commit = asyncio.create_task(self._append(decided))

    async def _append(self, batch: Batch) -> bool:
        if not batch.writes:
            self._answer(batch)
            return True
        started = perf_counter()
        self._appending_since = self._with.clock.monotonic()
        try:
            try:
                await append(self._connection, parameters(batch.rows))
            finally:
                self._appending_since = None
        except FencedError:
            metrics.APPEND_FAILURES.labels("fenced").inc()
            raise
        except RefusedError as error:
            metrics.APPEND_FAILURES.labels("read_only" if error.read_only else "other").inc()
            logger.warning("a batch was refused: %s", error)
            self._refused(batch, read_only=error.read_only)
            return False
        except (ValueError, TypeError):
            # What cannot even be sent is one request's doing, whatever door let it in.
            metrics.APPEND_FAILURES.labels("other").inc()
            logger.exception("a batch could not be written")
            self._refused(batch, read_only=False)
            return False
        except AmbiguousError as error:
            metrics.APPEND_FAILURES.labels("ambiguous").inc()
            logger.warning("the connection was lost during an append: %s", error)
            await self._recover(batch)
            return False
        metrics.APPEND.observe(perf_counter() - started)
        reach("append.unmerged")
        self._commit_done(batch)
        return True

    def _commit_done(self, batch: Batch) -> None:
        self._base.pour(batch.layer)
        self._heads = batch.heads
        metrics.HEAD.labels(self._with.shard).set(sum(head.position for head in self._heads.values()))
        reach("append.unanswered")
        if self._decided is not None:
            # It is sent before the answers are written, so that the database need not wait for those.
            self._start(self._decided)
        self._answer(batch)

    async def _recover(self, batch: Batch) -> None:
        """Find out whether a batch was committed: fence the lost connection's transaction, then read the heads."""
        self._connection.terminate()
        self._connection, heads = await self._with.recover()
        reach("append.recovered")
        # Heads that a batch of refusals left where they were tell nothing: it is decided anew, and finds its outcomes.
        moved = [after for start, after in batch.rows.heads if after.position > start.position]
        committed = bool(moved) and all(heads[after.partition].hash == after.hash for after in moved)
        self._heads = heads
        if not committed:
            self._again(batch)
            return
        self._base.pour(batch.layer)
        self._answer(batch)

    # Endings

    def _again(self, batch: Batch) -> None:
        """Nothing of this batch happened: its requests are decided anew, before everything else."""
        for request, _ in reversed(batch.answers):
            if not request.answer.done():
                (self._sweeps if request.type == "sweep" else self._queue).appendleft(request)
        self._arrived.set()

    def _refused(self, batch: Batch, *, read_only: bool) -> None:
        """The database would not take the batch. Its requests come again one by one, to find the one that spoils."""
        if read_only:
            self._read_only_until = self._with.clock.monotonic() + READ_ONLY_S
        for request, _ in batch.answers:
            request.attempts += 1
            if read_only:
                self._fail(request, ReadOnly(READ_ONLY))
            elif request.attempts >= ATTEMPTS_MAX:
                self._fail(request, NotStored("This request could not be stored."))
        self._again(batch)

    def _answer(self, batch: Batch) -> None:
        if not self._with.may_answer():
            for request, _ in batch.answers:
                self._fail(request, Unavailable("The outcome is stored; ask for it by its idempotency key."))
            return
        for request, answer in batch.answers:
            if not request.answer.done():
                request.answer.set_result(answer)
        metrics.answered(batch.answers, perf_counter())

    @staticmethod
    def _fail(request: Request, problem: Problem) -> None:
        if not request.answer.done():
            request.answer.set_exception(problem)
            # A caller that went away asks no more; its exception is not news.
            request.answer.exception()
