"""An account as it changes: its state after each of its events, however far behind its reader is."""

from __future__ import annotations

from collections.abc import AsyncIterator

from services.ledger import past
from services.ledger.core import Core
from services.ledger.domain import codec
from services.ledger.domain import events as ev
from services.ledger.past import Folding, Moment
from services.ledger.store import journal, reads
from services.ledger.store.journal import LogRow


class Following:
    """One account, (app, user, asset), and how far it has been told."""

    def __init__(self, core: Core, key: tuple[str, str, str], partition: int) -> None:
        self._core = core
        self._key = key
        self._partition = partition
        self._folding: Folding | None = None

    async def catch_up(self, seen: int | None) -> AsyncIterator[Moment]:
        """The account after each event behind the version that was `seen`, up to the present one.

        Only the present one where nothing was seen, where more was missed than is told one by one, or where what was
        seen is of another log.
        """
        present = await self._present()
        settings, version = self._core.settings, present.account.version
        self._folding = Folding(present.account)
        if seen == version:
            return
        near = seen is not None and 0 < version - seen <= settings.stream_resume_max
        if seen is None or not near or version > settings.stream_fold_max:
            yield present
            return
        self._folding = past.beginning(self._key, self._partition)
        async for moment in past.moments(self._core, self._key, self._folding, present.position):
            if moment.account.version > seen:
                yield moment

    async def after(self, row: LogRow) -> Moment | None:
        """The account after an event, which is the next one; None for one that was told before."""
        if self._folding is None or row.version <= self._folding.account.version:
            return None
        event = codec.event_of(row.type, row.payload, row.time_us)
        assert isinstance(event, ev.AccountEvent)  # noqa: S101 - no other has an account's version
        if self._folding.knows_lots_of(event):
            account = self._folding.fold(event)
            return Moment(account, row.position, account.time_us)
        return await self._read_after(row)

    async def _read_after(self, row: LogRow) -> Moment:
        """The account after an event that names a dead lot, which was not read with the others."""
        present = await self._present()
        if present.account.version == row.version:
            self._folding = Folding(present.account)
            return present
        self._folding = past.beginning(self._key, self._partition)
        found = present
        async for moment in past.moments(self._core, self._key, self._folding, row.position):
            found = moment
        return found

    async def _present(self) -> Moment:
        """The account as of its last event."""
        seen = await reads.account_at_head(self._core.reads, self._key, self._partition)
        if seen.account is None:
            raise LookupError(f"{self._key} was open and is gone")
        position = await journal.position_of(self._core.reads, self._key, seen.account.version)
        return Moment(seen.account, position or seen.position, seen.account.time_us)
