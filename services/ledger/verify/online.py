"""The verifier's loop: read anchors, follow the log, compare, patrol; record what is wrong, keep what was learnt."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from time import monotonic

from libs.events.tasks import in_thread
from libs.service.db import Connection, Pool
from services.ledger.store import log_reads, projected, violations
from services.ledger.store.heads import UNREACHABLE
from services.ledger.store.projected import OwnedHead
from services.ledger.store.violations import Found
from services.ledger.verify import metrics
from services.ledger.verify.follow import Follower, Pace
from services.ledger.verify.patrol import Patrol
from services.ledger.verify.state import State
from services.ledger.verify.watch import AnchorWatch

logger = logging.getLogger(__name__)

RECORDED_MAX = 1000
"""So many violations are recorded by one process; more say nothing new."""
_RETRY_S = 1.0


@dataclass(slots=True)
class Rhythm:
    """How hard the verifier works. `share` of the time it is at work, at most; the rest belongs to the writer.

    It looks for news every `poll_s` seconds, and rests for `rest_s` between two turns of the patrol.
    """

    share: float = 0.5
    poll_s: float = 0.2
    rest_s: float = 60.0
    pace: Pace = field(default_factory=Pace)


class Verifier:
    """Proves the books while they are written. :meth:`run` ends by cancellation only."""

    def __init__(self, pool: Pool, state: State, *, name: str, anchors: AnchorWatch | None, rhythm: Rhythm) -> None:
        self._pool = pool
        self._state = state
        self._name = name
        self._anchors = anchors
        self._rhythm = rhythm
        self.verified: dict[int, int] = {}
        """Position of each partition up to which everything has been checked, compared and kept."""

        self.turns = 0
        """How often everything stored has been looked through again."""

        self._follower: Follower | None = None
        self._patrol: Patrol | None = None
        self._patrol_at = float("-inf")
        self._said: set[tuple[str, int | None, int, str]] = set()
        self._shards: set[str] = set()

    async def run(self) -> None:
        """Work, and rest, in turn."""
        while True:
            began = monotonic()
            try:
                busy = await self.round()
            except Exception as error:
                if not isinstance(error, UNREACHABLE):
                    logger.exception("verifying failed")
                else:
                    logger.warning("the database cannot be read: %r", error)
                metrics.FAILURES.inc()
                # What memory holds may be ahead of the file.
                self._follower = None
                await in_thread(self._state.rollback)
                await asyncio.sleep(_RETRY_S)
                continue
            spent = monotonic() - began
            rest = spent * (1 / self._rhythm.share - 1)
            await asyncio.sleep(rest if busy else max(rest, self._rhythm.poll_s))

    async def round(self) -> bool:
        """Look once at what is new, or a little at what is old; whether there is more to be done at once."""
        streams = await log_reads.read_streams(self._pool)
        if self._anchors is not None:
            await self._anchors.read(streams)
        log = " ".join(stream.stream for stream in streams)
        async with projected.one_moment(self._pool) as connection:
            heads = await projected.owned_heads(connection)
            follower, patrol = await self._begin(log, heads)
            caught_up = await follower.follow(connection, heads)
            if self._anchors is not None:
                follower.found += await self._anchors.check(connection, heads, follower)
            patrolling = caught_up and monotonic() >= self._patrol_at
            if patrolling:
                await self._walk(patrol, connection)
        found = follower.found + patrol.found
        await self._tell(found)
        await in_thread(self._state.commit)
        follower.found.clear()
        patrol.found.clear()
        self._measure(heads, follower)
        return (not caught_up and follower.read > 0) or (patrolling and monotonic() >= self._patrol_at)

    async def _begin(self, log: str, heads: list[OwnedHead]) -> tuple[Follower, Patrol]:
        """Go on from the file, or, where it is of another log or incarnation, from the beginning."""
        same = await in_thread(self._state.identify, log)
        if self._follower is None or self._patrol is None or not same:
            if not same:
                logger.info("the log is verified from its beginning")
            ahead: dict[int, dict[int, bytes]] = {}
            if self._anchors is not None:
                self._anchors.forget()
                ahead = self._anchors.ahead
                for owned in heads:
                    ahead.setdefault(owned.head.partition, {})
            self._follower = Follower(self._state, heads, ahead, self._rhythm.pace)
            self._patrol = Patrol(self._state, self._follower)
        return self._follower, self._patrol

    async def _walk(self, patrol: Patrol, connection: Connection) -> None:
        if await patrol.step(connection):
            metrics.PATROLS.inc()
            self.turns += 1
            self._patrol_at = monotonic() + self._rhythm.rest_s

    async def _tell(self, found: list[Found]) -> None:
        """Record what is wrong: that is what stops the writers."""
        fresh = [one for one in found if one.position is None or self._key(one) not in self._said]
        if not fresh or len(self._said) >= RECORDED_MAX:
            return
        for one in await violations.record(self._pool, fresh, self._name):
            metrics.VIOLATIONS.labels(one.invariant).inc()
            logger.critical(
                "invariant %s is violated: partition %s, position %s: %s",
                one.invariant,
                one.partition,
                one.position,
                one.detail,
            )
        self._said.update(self._key(one) for one in fresh)

    @staticmethod
    def _key(one: Found) -> tuple[str, int | None, int, str]:
        return (one.invariant, one.partition, one.position or 0, one.detail)

    def _measure(self, heads: list[OwnedHead], follower: Follower) -> None:
        by_shard: dict[str, int] = dict.fromkeys(self._shards, 0)
        lag = 0
        for owned in heads:
            followed = follower.partitions[owned.head.partition]
            by_shard[owned.shard] = by_shard.get(owned.shard, 0) + followed.check.position
            lag += max(0, owned.head.position - followed.compared)
            self.verified[owned.head.partition] = followed.compared
        self._shards = set(by_shard)
        for shard, position in by_shard.items():
            metrics.VERIFIED.labels(shard).set(position)
        metrics.LAG.set(lag)
