"""The loop of the single writer: queue, read, decide, append, answer; a batch commits while the next is decided.

There is no waiting timer: what arrives during a commit is decided as it arrives, and sent when that commit ends. An
answer is given after its commit, and only while the lease is valid.

Idempotency keys that are not in memory are nearly always new, so they are not looked up: the append stores the outcome
under each key, which the database refuses when there is one. Then nothing of the batch has happened, its requests are
decided anew, and for a while keys are looked up first: repeats seldom come alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from time import perf_counter

from libs.events.failpoints import reach
from libs.events.ids import UlidSource
from libs.service.db import Connection
from libs.service.problems import Overloaded, Problem, ReadOnly, Unavailable
from services.ledger import metrics
from services.ledger.domain.config import AppConfig
from services.ledger.replies import Group
from services.ledger.requests import Answer, Request
from services.ledger.store.append import AmbiguousError, FencedError, RefusedError, append, parameters
from services.ledger.store.heads import Head
from services.ledger.writer.answering import READ_ONLY, NotStored, answer_all, fail, fail_all
from services.ledger.writer.batch import Batch, UnknownKeyError
from services.ledger.writer.finding import Situation
from services.ledger.writer.layer import Committed, Layer, Layers
from services.ledger.writer.line import Line
from services.ledger.writer.reading import read_for
from services.ledger.writer.surroundings import Surroundings

logger = logging.getLogger(__name__)

READ_ONLY_S = 1.0
"""How long nothing new is tried after the database would not write. Even what fails takes room for its traces, and
PostgreSQL stops altogether where a full disk has none left for them."""

ATTEMPTS_MAX = 3
"""How often a request is decided again after a batch that the database refused, before its caller is told."""

GROUP_MAX = 64
"""Requests that are decided in one go, so that callers who wait for other things do not wait for long."""


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
        """Taken from the queue, and not yet decided."""

        self._open: Batch | None = None
        """Decided on top of the batch in flight, appended as soon as that one stands, and until then added to."""

        self._inflight: Batch | None = None
        self._commit: asyncio.Task[None] | None = None
        self._dropped = 0
        """How often decided batches came to nothing: what was read beside them is of no use then."""

        self._doubtful = limits.doubtful_max
        """For how many batches keys are still looked up."""

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
        request.answer = answer = asyncio.get_running_loop().create_future()
        self._enqueue(request, perf_counter())
        return answer

    def submit_all(self, requests: Sequence[Request]) -> Group:
        """Queue requests, in order, that are waited for together: each gets its answer in a part of the group."""
        group, now = Group(len(requests)), perf_counter()
        for request, part in zip(requests, group.parts, strict=True):
            request.answer = part
            try:
                self._enqueue(request, now)
            except Problem as problem:
                part.set_exception(problem)
        return group

    def _enqueue(self, request: Request, now: float) -> None:
        if self._closed:
            raise Unavailable("This process no longer writes this shard.")
        if self.halted is not None:
            raise ReadOnly(self.halted)
        if self._with.clock.monotonic() < self._read_only_until:
            raise ReadOnly(READ_ONLY)
        queue = self._sweeps if request.type == "sweep" else self._queue
        if len(queue) + request.size > self._with.limits.queue_max:
            raise Overloaded()
        request.queued_at = now
        queue.append(request)
        self._arrived.set()

    def owns(self, partition: int) -> bool:
        """Whether this writer owns a partition."""
        return partition in self._heads

    @property
    def room(self) -> int:
        """For how many more commands the queue has room."""
        return self._with.limits.queue_max - len(self._queue)

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
        fail_all([*self._queue, *self._sweeps], ReadOnly(why))
        self._queue.clear()
        self._sweeps.clear()

    def close(self) -> None:
        """Refuse what is queued and what comes; the outcome of what is in flight can be asked by its key."""
        self._closed = True
        waiting = [*self._deciding, *self._queue, *self._sweeps]
        for batch in (self._inflight, self._open):
            if batch is not None:
                waiting += [request for request, _ in batch.answers]
        fail_all(waiting, Unavailable("The writer of this account has changed; send the request again."))
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
                self._deciding = await self._next()
                await self._decide(self._deciding)
                self._deciding = []
                if self._commit is None:
                    self._start()
                # Between two groups the answers of the database and new requests are noticed, however many wait.
                await asyncio.sleep(0)
        finally:
            if self._commit is not None:
                self._commit.cancel()
                with contextlib.suppress(asyncio.CancelledError, FencedError):
                    await self._commit
            self.close()

    async def _next(self) -> list[Request]:
        """What is to be decided next, waited for; raises what has ended the appending."""
        while True:
            if self._commit is not None and self._commit.done():
                self._commit.result()
            requests = self._take()
            if requests:
                return requests
            self._arrived.clear()
            await self._arrived.wait()

    def _take(self) -> list[Request]:
        """Live commands, then sweeps, as many as the open batch has room for.

        A request that may have spoilt a batch comes alone, and its batch takes no other.
        """
        limits = self._with.limits
        decided, size = ([], 0) if self._open is None else (self._open.answers, self._open.size)
        if self._queue and self._queue[0].attempts:
            return [] if decided else [self._queue.popleft()]
        if decided and decided[0][0].attempts:
            return []
        room = limits.batch_max - size
        requests: list[Request] = []
        while self._queue and len(requests) < GROUP_MAX and not self._queue[0].attempts:
            room -= self._queue[0].size
            if room < 0 and (requests or decided):
                # What is to be done as one may be more than a batch takes otherwise: then it comes first.
                break
            requests.append(self._queue.popleft())
        while self._sweeps and not self._queue and size + len(requests) < limits.sweeps_max:
            requests.append(self._sweeps.popleft())
        metrics.QUEUE.set(len(self._queue))
        return requests

    def _below(self) -> tuple[Layer | Committed, ...]:
        return (self._base,) if self._inflight is None else (self._inflight.layer, self._base)

    async def _decide(self, requests: list[Request]) -> None:
        """Decide requests in the open batch, on top of all that went before."""
        dropped = self._dropped
        above = () if self._open is None else (self._open.layer,)
        try:
            commands = [item for request in requests for item in request.items or (request,)]
            loaded = await read_for(
                self._with.pool, commands, Layers(*above, *self._below()), all_keys=self._doubtful > 0
            )
        except Exception as error:
            logger.warning("reading for a batch failed: %s", error)
            fail_all(self._deciding, Unavailable("The database cannot be read at present."))
            return
        reach("decide.read")
        if self._dropped != dropped:
            # What was noted from the layers may be of a batch that did not come to be; these wait behind it again.
            return
        self._last_us = max(self._with.clock.now_us(), self._last_us)
        batch = self._open or self._new_batch()
        batch.proceed(loaded, self._last_us)
        for number, request in enumerate(requests):
            reach("decide.command")
            try:
                batch.decide(request)
            except UnknownKeyError:
                self._doubt()
                request.read_key = True
                self._again(requests[number:])
                break
            except Exception:
                # The batch may hold half of what this request did: it is dropped, and the others are decided anew.
                logger.exception("deciding %s failed", request.type)
                fail(request, Problem())
                self._again([*(each for each, _ in batch.answers), *requests[number + 1 :]])
                self._open = None
                return
        if batch.answers:
            self._open = batch

    def _new_batch(self) -> Batch:
        heads = self._heads if self._inflight is None else self._inflight.heads
        return Batch(Situation(self._below(), heads, self._with.app_now, self._ulids, self._with.partitions))

    def _start(self) -> None:
        """Append what has been decided."""
        batch = self._open
        if batch is None:
            return
        self._inflight, self._open = batch, None
        self._commit = asyncio.create_task(self._append(batch))
        self._commit.add_done_callback(lambda _: self._arrived.set())

    async def _append(self, batch: Batch) -> None:
        batch.finish()
        if not batch.writes:
            self._stands(batch)
            return
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
            if error.repeat and batch.keys_unread:
                self._doubt()
                self._dropped_with(batch)
                return
            metrics.APPEND_FAILURES.labels("read_only" if error.read_only else "other").inc()
            logger.warning("a batch was refused: %s", error)
            self._refused(batch, read_only=error.read_only)
        except (ValueError, TypeError):
            # What cannot even be sent is one request's doing, whatever door let it in.
            metrics.APPEND_FAILURES.labels("other").inc()
            logger.exception("a batch could not be written")
            self._refused(batch, read_only=False)
        except AmbiguousError as error:
            metrics.APPEND_FAILURES.labels("ambiguous").inc()
            logger.warning("the connection was lost during an append: %s", error)
            await self._recover(batch)
        else:
            metrics.APPEND.observe(perf_counter() - started)
            reach("append.unmerged")
            self._base.pour(batch.layer)
            self._heads = batch.heads
            metrics.RESETS.inc(batch.resets)
            metrics.HEAD.labels(self._with.shard).set(sum(head.position for head in self._heads.values()))
            self._doubtful = max(0, self._doubtful - 1)
            reach("append.unanswered")
            self._stands(batch)

    def _stands(self, batch: Batch) -> None:
        """A batch is committed. The next is sent before the answers are written: the database need not wait for those.

        When this is not reached because the append was fenced, the batch stays in flight: nobody knows what became of
        it, and `close` says so.
        """
        self._inflight = self._commit = None
        try:
            self._start()
        finally:
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
        self._doubt()
        if not committed:
            self._dropped_with(batch)
            return
        self._base.pour(batch.layer)
        # What was decided on top has the epochs of before.
        self._dropped_with()
        self._answer(batch)

    def _dropped_with(self, *batches: Batch) -> None:
        """The batch in flight is over, and what was decided on top of it stands on nothing: all is decided anew."""
        self._dropped += 1
        on_top = () if self._open is None else (self._open,)
        self._inflight = self._commit = self._open = None
        self._again(self._deciding)
        for batch in (*on_top, *batches):
            self._again([request for request, _ in batch.answers])

    def _again(self, requests: Sequence[Request]) -> None:
        """Nothing of these happened: they are decided anew, before everything else."""
        for request in reversed(requests):
            if not request.answer.done():
                (self._sweeps if request.type == "sweep" else self._queue).appendleft(request)
        self._arrived.set()

    def _doubt(self) -> None:
        """Look keys up for a while: where one repeat was, there are more."""
        self._doubtful = max(1, self._with.limits.doubtful_max)

    def _refused(self, batch: Batch, *, read_only: bool) -> None:
        """The database would not take the batch. Its requests come again one by one, to find the one that spoils."""
        if read_only:
            self._read_only_until = self._with.clock.monotonic() + READ_ONLY_S
        for request, _ in batch.answers:
            request.attempts += 1
            if read_only:
                fail(request, ReadOnly(READ_ONLY))
            elif request.attempts >= ATTEMPTS_MAX:
                fail(request, NotStored("This request could not be stored."))
        self._dropped_with(batch)

    def _answer(self, batch: Batch) -> None:
        answer_all(batch.answers, may_answer=self._with.may_answer())
