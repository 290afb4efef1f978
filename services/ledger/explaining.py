"""What an account's explanation is made of: its state at a moment, and the story of its events up to there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from services.ledger import past
from services.ledger.core import Core
from services.ledger.domain import codec
from services.ledger.domain import events as ev
from services.ledger.domain.explain.flows import new_lots
from services.ledger.domain.explain.story import Story
from services.ledger.domain.state import Account, Lot
from services.ledger.past import Moment
from services.ledger.present import due_by
from services.ledger.store import journal, reads
from services.ledger.store.journal import LogRow

_YIELD_EVERY = 200
"""Events told before other requests get their turn."""


@dataclass(slots=True)
class Explained:
    """An account, as its log (up to `version`) and then time alone (`due`) made it.

    `story` is of the last events and of what is due. `made` has the event that made each lot and each hold of the
    account, as far as it can be found.
    """

    account: Account
    version: int
    position: int
    time_us: int
    due: list[ev.AccountEvent]
    story: Story
    made: dict[str, LogRow] = field(default_factory=dict)


async def explained(
    core: Core, key: tuple[str, str, str], partition: int, position: int | None = None, at: int | None = None
) -> Explained | None:
    """The account now, at a position, or at a time (microseconds), as `state` has it; None if it was not opened."""
    present = position is None and at is None
    if present:
        seen = await reads.account_at_head(core.reads, key, partition)
        at = core.clocks.now_us(key[0])
        moment = None if seen.account is None else Moment(seen.account, seen.position, at)
    else:
        moment = await past.logged(core, key, partition, position, at)
    if moment is None:
        return None
    account, due = moment.account, list[ev.AccountEvent]()
    if at is not None:
        config = await core.config(key[0])
        account, due = due_by(account, config if present else config.at(at), at)
    time_us = max(at or 0, account.time_us)
    found = Explained(account, moment.account.version, moment.position, time_us, due, Story())
    await _tell(core, key, found)
    return found


async def _tell(core: Core, key: tuple[str, str, str], found: Explained) -> None:
    wanted = {*found.account.lots, *found.account.holds}
    count = 0
    after = found.version - core.settings.explain_events_max
    async for row in journal.history(core.reads, key, max(after, 0), found.version):
        event = event_of(row)
        found.story.tell(event)
        found.made.update({name: row for name in made_by(event) if name in wanted})
        count += 1
        if count % _YIELD_EVERY == 0:
            await asyncio.sleep(0)
    for event in found.due:
        found.story.tell(event)
    await _look_up(core, key[0], found, wanted - found.made.keys())


async def _look_up(core: Core, app: str, found: Explained, missing: set[str]) -> None:
    """Find what made the lots and holds that are older than the story."""
    origins = {name: origin for name in missing if (origin := _origin_id(found.account.lots.get(name))) is not None}
    rows = await journal.of_objects(core.reads, app, [*missing, *origins.values()])
    for row in rows:
        if row.version and (row.user, row.asset) == (found.account.profile.user, found.account.profile.asset):
            for name in made_by(event_of(row)):
                if name in missing:
                    found.made.setdefault(name, row)


def _origin_id(lot: Lot | None) -> str | None:
    return None if lot is None or lot.terms.origin is None else lot.terms.origin.id


def event_of(row: LogRow) -> ev.AccountEvent:
    """The event of a row of an account."""
    event = codec.event_of(row.type, row.payload, row.time_us)
    if not isinstance(event, ev.AccountEvent):
        raise TypeError(f"{row.type} is no event of an account")
    return event


def made_by(event: ev.AccountEvent) -> list[str]:
    """The lots and the hold that an event makes."""
    if isinstance(event, ev.HoldCreated):
        return [event.hold]
    return [lot.grant for lot in new_lots(event)]
