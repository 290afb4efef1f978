"""The state of an account at a position or a time that has passed: its events up to there, folded again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from services.ledger.core import Core
from services.ledger.domain import events as ev
from services.ledger.domain.evolve import attach, evolve, lots_named
from services.ledger.domain.state import Account, Lot, Profile, pruned
from services.ledger.present import at_time
from services.ledger.store import journal

_YIELD_EVERY = 200
"""Events folded before other requests get their turn."""


@dataclass(slots=True)
class Moment:
    """An account as of a position and a time (microseconds)."""

    account: Account
    position: int
    time_us: int


@dataclass(slots=True)
class Folding:
    """An account whose events are folded one after another; `dead` are lots that a later event may name.

    `account` has no dead lots.
    """

    account: Account
    dead: dict[str, Lot] = field(default_factory=dict)

    def knows_lots_of(self, event: ev.AccountEvent) -> bool:
        """Whether every lot that the event names is known: the dead ones are not when the fold began later."""
        return all(name in self.account.lots or name in self.dead for name in lots_named(event))

    def fold(self, event: ev.AccountEvent) -> Account:
        """The account after one event more."""
        named = [self.dead[name] for name in lots_named(event) if name in self.dead]
        after = evolve(attach(self.account, named) if named else self.account, event)
        self.account = pruned(after)
        if self.account is not after:
            self.dead.update({key: lot for key, lot in after.lots.items() if lot.dead})
        return self.account


async def moments(
    core: Core, key: tuple[str, str, str], folding: Folding, position: int | None = None, at: int | None = None
) -> AsyncIterator[Moment]:
    """The account after each of its events up to a position and a time, where those are given, from the first one.

    `folding` is that of :func:`beginning`, and goes with it.
    """
    count = 0
    async for row in journal.account_events(core.reads, key, position, at):
        account = folding.fold(row.event)
        yield Moment(account, row.position, account.time_us)
        count += 1
        if count % _YIELD_EVERY == 0:
            await asyncio.sleep(0)


def beginning(key: tuple[str, str, str], partition: int) -> Folding:
    """An account before its first event."""
    return Folding(Account(Profile(*key, scale=0, partition=partition)))


async def logged(
    core: Core, key: tuple[str, str, str], partition: int, position: int | None, at: int | None
) -> Moment | None:
    """The account by its events up to `position`, or the time `at`, or both; None if it was not opened by then."""
    last: Moment | None = None
    async for moment in moments(core, key, beginning(key, partition), position, at):
        last = moment
    return last


async def state(
    core: Core, key: tuple[str, str, str], partition: int, position: int | None, at: int | None
) -> Moment | None:
    """As :func:`logged`, but at a time what was due by then has happened, under the configuration in force."""
    last = await logged(core, key, partition, position, at)
    if last is None or at is None:
        return last
    config = (await core.config(key[0])).at(at)
    return Moment(at_time(last.account, config, at), last.position, max(at, last.time_us))
