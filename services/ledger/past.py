"""The state of an account at a position or a time that has passed: its events up to there, folded again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

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


async def state(
    core: Core, key: tuple[str, str, str], partition: int, position: int | None, at: int | None
) -> Moment | None:
    """The account by its events up to `position`, or up to the time `at`, or both; None if it was not opened by then.

    At a time, what was due by then has happened, under the configuration that was in force.
    """
    account = Account(Profile(*key, scale=0, partition=partition))
    dead: dict[str, Lot] = {}
    last = count = 0
    async for row in journal.account_events(core.reads, key, position, at):
        account = _folded(account, row.event, dead)
        last = row.position
        count += 1
        if count % _YIELD_EVERY == 0:
            await asyncio.sleep(0)
    if not count:
        return None
    if at is None:
        return Moment(account, last, account.time_us)
    config = (await core.config(key[0])).at(at)
    return Moment(at_time(account, config, at), last, max(at, account.time_us))


def _folded(account: Account, event: ev.AccountEvent, dead: dict[str, Lot]) -> Account:
    """The account after `event`, without its dead lots, which are kept aside: a later event may name them."""
    named = [dead[name] for name in lots_named(event) if name in dead]
    after = evolve(attach(account, named) if named else account, event)
    kept = pruned(after)
    if kept is not after:
        dead.update({key: lot for key, lot in after.lots.items() if lot.dead})
    return kept
