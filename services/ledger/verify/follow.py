"""Following the log: what is new is checked and folded, and what it touched is compared with the projections.

Everything of one round is seen as of one moment: the heads, the events up to them, the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic

from libs.events.tasks import in_thread
from libs.service.db import Connection
from services.ledger.store import log_reads, projected
from services.ledger.store.log_reads import LogEvent
from services.ledger.store.projected import OwnedHead
from services.ledger.store.violations import Found
from services.ledger.verify.checks import PartitionCheck
from services.ledger.verify.compare import Comparison
from services.ledger.verify.kept import KeptFold
from services.ledger.verify.run import text_digest
from services.ledger.verify.state import Kept, State, canonical

DIRTY_MAX = 5000
"""Rows of a partition that wait for being compared; beyond that they are left to the patrol."""
_FRESH_S = 6 * 3600.0
"""Outcomes are kept for a day at least: of an event that is not older than this, one must be there."""


@dataclass(slots=True)
class Pace:
    """How much is done at once: events of one round, accounts in memory."""

    events_max: int = 2000
    accounts_max: int = 50_000


@dataclass(slots=True)
class Followed:
    """One partition as it is followed."""

    check: PartitionCheck
    fold: KeptFold
    fresh_after: int
    """Events behind this position are younger than a day."""

    dirty: dict[tuple[str, str], None] = field(default_factory=dict)
    """(kind, key) of rows that were touched and not compared yet."""

    compared: int = 0
    """Position at which the projections were last compared."""


class Follower:
    """Follows all partitions. What it learns is in `state`, to be committed by whoever recorded what was found."""

    def __init__(
        self,
        state: State,
        heads: list[OwnedHead],
        anchors: Mapping[int, Mapping[int, bytes]],
        pace: Pace,
    ) -> None:
        self.found: list[Found] = []
        self.broken = state.broken()
        self.read = 0
        """Events that the last round checked."""

        self._state = state
        self._pace = pace
        self._turn = 0
        self._fresh_since = monotonic()
        self.partitions: dict[int, Followed] = {}
        for owned in heads:
            number, position = owned.head.partition, owned.head.position
            place, clearing = state.place(number)
            fold = KeptFold(number, state=state, accounts_max=pace.accounts_max // len(heads), partitions=len(heads))
            check = PartitionCheck(
                number, len(heads), anchors.get(number), fold=fold, place=place, clearing=Counter(clearing)
            )
            check.broken = self.broken
            self.partitions[number] = Followed(check, fold, position, compared=place.position)

    async def follow(self, connection: Connection, heads: list[OwnedHead]) -> bool:
        """One round; whether everything up to the heads is checked and compared now."""
        self._refresh(heads)
        left = self._pace.events_max
        self.read = 0
        self._turn = (self._turn + 1) % len(heads)
        caught_up = True
        for owned in heads[self._turn :] + heads[: self._turn]:
            followed = self.partitions[owned.head.partition]
            self.read += await self._follow(connection, followed, owned, left - self.read)
            caught_up = self._check_head(followed, owned) and caught_up
        await self._compare(connection, heads, caught_up=caught_up)
        if caught_up:
            await self._check_in_flight(connection)
        return caught_up

    def _refresh(self, heads: list[OwnedHead]) -> None:
        if monotonic() - self._fresh_since > _FRESH_S:
            self._fresh_since = monotonic()
            for owned in heads:
                self.partitions[owned.head.partition].fresh_after = owned.head.position

    # The log

    async def _follow(self, connection: Connection, followed: Followed, owned: OwnedHead, limit: int) -> int:
        """Check and fold the next events of a partition; how many there were."""
        check, head = followed.check, owned.head
        if head.position <= check.position or limit <= 0:
            return 0
        rows = await projected.read_page(connection, head.partition, check.position, head.position, limit)
        changes = await in_thread(self._fold, followed, rows)
        await self._check_texts(connection, followed)
        await self._check_outcomes(connection, followed, rows)
        for row in changes:
            followed.dirty.pop((row.kind, row.key), None)
            followed.dirty["transfers" if row.kind == "credits" else row.kind, row.key] = None
        while len(followed.dirty) > DIRTY_MAX:
            del followed.dirty[next(iter(followed.dirty))]
        self._take_found(followed)
        if len(rows) < limit and check.position < head.position:
            self._say("I3", head.partition, check.position, f"the log ends here, its head says at {head.position}")
        return len(rows)

    def _fold(self, followed: Followed, rows: list[LogEvent]) -> list[Kept]:
        check = followed.check
        for row in rows:
            check.feed(row)
        changes = followed.fold.changes()
        self._state.put(changes)
        self._state.put_broken(self.broken)
        self._state.put_place(followed.fold.partition, check.place, check.clearing)
        return changes

    def _check_head(self, followed: Followed, owned: OwnedHead) -> bool:
        """Whether the partition is checked up to its head."""
        check, head = followed.check, owned.head
        if head.epoch < check.place.epoch:
            detail = f"the head's epoch {head.epoch} is less than the log's {check.place.epoch}"
            self._say("I8", head.partition, head.position, detail)
        if head.position < check.position:
            detail = f"the head says that the log ends here, but it was verified up to {check.position}"
            self._say("I3", head.partition, head.position, detail)
        elif head.position == check.position and head.hash != check.place.hash:
            self._say("I4", head.partition, head.position, "the head's hash is not that of the last event")
        return head.position == check.position

    async def _check_texts(self, connection: Connection, followed: Followed) -> None:
        digests = followed.check.digests
        if not digests:
            return
        for event_id, text in (await log_reads.read_texts(connection, list(digests))).items():
            followed.check.check_text(event_id, text.app, text.user, text_digest(text.salt, text.body))
        kept = (
            Kept("texts", event_id, "", False, canonical({"app": app, "user_id": user, "digest": digest}))
            for event_id, (app, user, digest, _) in digests.items()
        )
        self._state.put(kept)
        digests.clear()

    async def _check_outcomes(self, connection: Connection, followed: Followed, rows: list[LogEvent]) -> None:
        """What a command did is kept under its key, so that a repeat does not do it again."""
        keyed = {
            row.command_id: row
            for row in rows
            if row.key and row.account_version and row.position > followed.fresh_after
        }
        if not keyed:
            return
        outcomes = await projected.outcomes(connection, [(row.app, row.user, row.key) for row in keyed.values()])
        for command, row in keyed.items():
            outcome = outcomes.get(command)
            if outcome is None:
                detail = f"the outcome of {row.event_id} is not kept under its key"
            elif outcome.partition != row.partition or outcome.position < row.position:
                detail = f"the outcome of {row.event_id} is kept as one of position {outcome.position}"
            else:
                continue
            self._say("I6", row.partition, row.position, detail)

    # The projections

    async def _compare(self, connection: Connection, heads: list[OwnedHead], *, caught_up: bool) -> None:
        """Compare what was touched in the partitions that are checked up to their heads, as far as that tells all."""
        comparison = Comparison(connection, self._state, self.broken)
        for owned in heads:
            followed = self.partitions[owned.head.partition]
            if followed.check.position != owned.head.position:
                continue
            by_kind: dict[str, list[str]] = {}
            for kind, key in followed.dirty:
                if kind != "transfers" or caught_up:
                    by_kind.setdefault(kind, []).append(key)
            for kind, keys in by_kind.items():
                await comparison.compare(kind, keys)
                for key in keys:
                    del followed.dirty[kind, key]
            followed.compared = followed.check.position
        self.found += comparison.found

    async def _check_in_flight(self, connection: Connection) -> None:
        booked: Counter[tuple[str, str]] = Counter()
        for followed in self.partitions.values():
            booked.update(followed.check.clearing)
        moving = await projected.in_flight(connection)
        for app, asset in sorted(booked.keys() | moving.keys()):
            clearing, carried = booked[app, asset], moving.get((app, asset), 0)
            if clearing != carried:
                detail = f"@clearing of {app}/{asset} holds {clearing} units, but {carried} are in flight"
                self.found.append(Found("I11", None, None, detail))

    # What was found

    def _take_found(self, followed: Followed) -> None:
        found = followed.check.found
        self.found += [Found(v.invariant, v.partition, v.position, v.detail) for v in found.kept]
        found.kept.clear()
        found.count = 0

    def _say(self, invariant: str, partition: int, position: int, detail: str) -> None:
        self.found.append(Found(invariant, partition, position, detail))
