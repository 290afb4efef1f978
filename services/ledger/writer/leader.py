"""Who writes a shard. The lease is about liveness only: what makes two writers safe is the epoch in every append.

A standby that saw the lease's counter unchanged for 5 s of its own monotonic clock takes over. A leader answers
nothing from 4 s after it *sent* its last successful renewal: it drops its connections and is a standby again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from libs.events.tasks import end
from libs.service.clock import Clock
from libs.service.db import Connection, Pool
from services.ledger import metrics
from services.ledger.domain.config import AppConfig
from services.ledger.store import heads as store
from services.ledger.store.append import FencedError
from services.ledger.store.heads import UNREACHABLE, Halt, Head
from services.ledger.writer.engine import Writer
from services.ledger.writer.surroundings import Limits, Surroundings

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class LeaseTimes:
    """Seconds of the monotonic clock. `answer_s` must stay below `stale_s`, or two writers could both answer.

    After `silent_s` without an answer to an append the server is asked whether it is working on it at all.
    """

    renew_s: float = 1.0
    answer_s: float = 4.0
    stale_s: float = 5.0
    poll_s: float = 0.25
    silent_s: float = 3.0


def process_name() -> str:
    """What this process calls itself in a lease: host, process id, and a token of this start."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def _is_dead(holder: str) -> bool:
    """Whether the holder ran on this host and is gone for certain: then there is nothing to wait for."""
    host, _, rest = holder.partition(":")
    pid = rest.partition(":")[0]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    if int(pid) == os.getpid():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


class Leader:
    """Stands by for a shard, writes it while it holds the lease, and stands by again."""

    def __init__(
        self,
        *,
        shard: str,
        url: str,
        pool: Pool,
        connect: Callable[[], Awaitable[Connection]],
        read_configs: Callable[[], Awaitable[dict[str, AppConfig]]],
        clock: Clock,
        app_now: Callable[[str], int | None],
        partitions: int,
        limits: Limits,
        times: LeaseTimes,
    ) -> None:
        self._shard = shard
        self._url = url
        self._pool = pool
        self._connect = connect
        self._read_configs = read_configs
        self._clock = clock
        self._app_now = app_now
        self._partitions = partitions
        self._limits = limits
        self._times = times
        self._name = process_name()
        self._renewed_at = float("-inf")
        self.writer: Writer | None = None
        """The writer while this process leads, else None."""

    def leads(self) -> bool:
        """Whether an answer may be given now."""
        return self._clock.monotonic() - self._renewed_at < self._times.answer_s

    async def run(self) -> None:
        """Stand by and lead in turn, until cancelled; then let go of the lease, so that another need not wait."""
        while True:
            try:
                await self._stand_by()
                await self._lead()
            except FencedError as error:
                logger.warning("no longer the writer of shard %s: %s", self._shard, error)
            except UNREACHABLE as error:
                logger.warning("the database cannot be reached: %s", error)
                await asyncio.sleep(self._times.poll_s)
            except Exception:
                # Whatever it was, memory is forgotten and the lease let go: what is committed is what counts.
                logger.exception("writing shard %s failed", self._shard)
                await asyncio.sleep(self._times.poll_s)

    async def _stand_by(self) -> None:
        """Return when the lease is free or has gone stale."""
        connection = await self._connect()
        try:
            seen: tuple[str, int] | None = None
            since = self._clock.monotonic()
            while True:
                # A link that has gone silent would be waited for for ever.
                async with asyncio.timeout(self._times.answer_s):
                    lease = await store.read_lease(connection, self._shard)
                if lease is None or not lease.holder or _is_dead(lease.holder):
                    return
                if (lease.holder, lease.beat) != seen:
                    seen, since = (lease.holder, lease.beat), self._clock.monotonic()
                elif self._clock.monotonic() - since >= self._times.stale_s:
                    logger.warning("the lease of shard %s is stale: taking over from %s", self._shard, lease.holder)
                    return
                await asyncio.sleep(self._times.poll_s)
        finally:
            connection.terminate()

    async def _take_over(self) -> tuple[Connection, dict[int, Head]]:
        connection = await self._connect()
        sent = self._clock.monotonic()
        try:
            # A lease that comes later than this would have run out.
            async with asyncio.timeout(self._times.answer_s):
                heads = await store.take_over(connection, self._shard, self._name, self._url)
        except BaseException:
            connection.terminate()
            raise
        self._renewed_at = sent
        return connection, heads

    async def _recover(self) -> tuple[Connection, dict[int, Head]]:
        """A new connection, with the past of the old one fenced; tried for as long as the lease lasts."""
        while True:
            try:
                lease_connection = await self._connect()
                try:
                    lease = await store.read_lease(lease_connection, self._shard)
                finally:
                    lease_connection.terminate()
                if lease is None or lease.holder != self._name:
                    raise FencedError("another process holds the lease")
                return await self._take_over()
            except UNREACHABLE as error:
                if not self.leads():
                    raise FencedError("the lease ran out while the database was away") from error
                await asyncio.sleep(self._times.poll_s / 5)

    async def _lead(self) -> None:
        connection, heads = await self._take_over()
        try:
            halt = await store.read_halt(connection, self._shard)
            configs = await self._read_configs()
        except BaseException:
            connection.terminate()
            raise
        writer = Writer(
            Surroundings(
                pool=self._pool,
                clock=self._clock,
                app_now=self._app_now,
                partitions=self._partitions,
                shard=self._shard,
                may_answer=self.leads,
                recover=self._recover,
                limits=self._limits,
            ),
            connection,
            heads,
            configs,
        )
        self._heed(writer, halt)
        self.writer = writer
        metrics.LEADER.set(1)
        metrics.EPOCH.set(max((head.epoch for head in heads.values()), default=0))
        logger.info("writing shard %s: %d partitions", self._shard, len(heads))
        tasks = [asyncio.create_task(writer.run()), asyncio.create_task(self._keep_lease(writer))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self.writer = None
            self._renewed_at = float("-inf")
            metrics.LEADER.set(0)
            metrics.HALTED.set(0)
            await end(*tasks)
            writer.close()
            writer.disconnect()
            await self._let_go()

    def _heed(self, writer: Writer, halt: Halt | None) -> None:
        """Stop writes while the books are known to be wrong; nothing else is stopped."""
        told = None if halt is None else f"Writes are stopped: {halt}."
        if told != writer.halted:
            logger.critical("shard %s: %s", self._shard, told or "Writes go on: the violations have been cleared.")
            writer.halt(told)
        metrics.HALTED.set(halt is not None)

    async def _keep_lease(self, writer: Writer) -> None:
        """Raise the counter every second; :class:`FencedError` when it belongs to another or cannot be raised.

        What the verifier found wrong is learnt with it.
        """
        connection: Connection | None = None
        try:
            while True:
                await asyncio.sleep(self._times.renew_s)
                sent = self._clock.monotonic()
                try:
                    if connection is None:
                        connection = await self._connect()
                    left = max(self._renewed_at + self._times.answer_s - self._clock.monotonic(), 0.01)
                    # Not `wait_for`: on Python 3.11 it can swallow a cancellation that comes with the answer.
                    async with asyncio.timeout(left):
                        renewal = await store.renew(connection, self._shard, self._name)
                        await self._look_after(writer, connection)
                except UNREACHABLE as error:
                    logger.warning("the lease was not renewed: %s", error)
                    if connection is not None:
                        connection.terminate()
                        connection = None
                    if not self.leads():
                        raise FencedError("the lease could not be renewed in time") from error
                    continue
                if renewal is None:
                    raise FencedError("another process holds the lease")
                self._renewed_at = sent
                self._heed(writer, renewal.halt)
        finally:
            if connection is not None:
                connection.terminate()

    async def _look_after(self, writer: Writer, connection: Connection) -> None:
        """Drop an append whose answer was lost on the way: there is no time-out on it, for it may just be slow."""
        waiting = writer.appending
        if waiting is None or waiting[1] < self._times.silent_s:
            return
        if not await store.is_working(connection, waiting[0].get_server_pid()):
            logger.warning("the database does nothing about an append of %.1f s ago: its link is cut", waiting[1])
            waiting[0].terminate()

    async def _let_go(self) -> None:
        """Free the lease if it is still ours; a database that is away is told nothing."""
        with contextlib.suppress(*UNREACHABLE):
            connection = await self._connect()
            try:
                async with asyncio.timeout(self._times.answer_s):
                    await store.give_up(connection, self._shard, self._name)
            finally:
                connection.terminate()
