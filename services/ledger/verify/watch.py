"""Anchors as they are written: what they say of the log is looked for in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from libs.service.db import Connection
from libs.service.keys import read_jwks
from services.ledger.anchors import AnchorBook, AnchorPlace, read_anchors
from services.ledger.store import projected
from services.ledger.store.log_reads import LogStream
from services.ledger.store.projected import OwnedHead
from services.ledger.store.violations import Found
from services.ledger.verify.follow import Follower

logger = logging.getLogger(__name__)

_READ_S = 5.0
_SHARE = 0.05
"""Of the time, so much may go into reading anchors, however many there are."""


@dataclass
class AnchorWatch:
    """Reads what is new in a directory of anchors; one that cannot be read, or is not there, says nothing.

    An anchor that cannot be trusted (a key that is not known, a torn line) is told in the log, and by `verify`.
    """

    directory: Path
    jwks_file: Path
    ahead: dict[int, dict[int, bytes]] = field(default_factory=dict)
    """Hashes by partition and position, of positions that are not checked yet."""

    def __post_init__(self) -> None:
        self._seen: dict[Path, int] = {}
        self._fresh: dict[int, dict[int, bytes]] = {}
        self._next_at = float("-inf")

    def forget(self) -> None:
        """Read everything again, for another incarnation of the log."""
        self._seen.clear()
        self._fresh.clear()
        for hashes in self.ahead.values():
            hashes.clear()
        self._next_at = float("-inf")

    async def read(self, streams: Sequence[LogStream]) -> None:
        """Read what was written since the last time. What it says was in the database before any later moment."""
        began = monotonic()
        if began < self._next_at:
            return
        try:
            book = await asyncio.to_thread(self._read, streams)
        except (OSError, ValueError) as error:
            logger.warning("the anchors cannot be read: %s", error)
            book = AnchorBook()
        self._next_at = monotonic() + max(_READ_S, (monotonic() - began) / _SHARE)
        for fault in book.faults:
            logger.warning("an anchor is not to be trusted: %s", fault)
        for partition, hashes in book.hashes.items():
            self._fresh.setdefault(partition, {}).update(hashes)

    def _read(self, streams: Sequence[LogStream]) -> AnchorBook:
        sizes = {path: path.stat().st_size for path in self.directory.glob("*.jsonl")}
        if sizes == self._seen:
            return AnchorBook()
        book = read_anchors(AnchorPlace(self.directory, read_jwks(self.jwks_file)), streams)
        self._seen = sizes
        return book

    async def check(self, connection: Connection, heads: list[OwnedHead], follower: Follower) -> list[Found]:
        """What is wrong as of this moment with what was read before it."""
        found = []
        for owned in heads:
            partition, end = owned.head.partition, owned.head.position
            checked = follower.partitions[partition].check.position
            ahead = self.ahead.setdefault(partition, {})
            for position in [position for position in ahead if position <= checked]:
                del ahead[position]
            fresh = self._fresh.pop(partition, {})
            ahead.update({position: digest for position, digest in fresh.items() if position > checked})
            behind = {position: digest for position, digest in fresh.items() if 0 < position <= checked}
            if behind:
                stored = await projected.hashes_at(connection, partition, list(behind))
                wrong = min((p for p, digest in behind.items() if stored.get(p) != digest), default=None)
                if wrong is not None:
                    found.append(Found("I4", partition, wrong, "an anchor saw another hash at this position"))
            beyond = max(ahead, default=0)
            if beyond > end:
                detail = f"an anchor saw position {beyond}, but the log ends here: its tail is missing"
                found.append(Found("I4", partition, end, detail))
        return found
