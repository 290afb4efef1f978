"""An account as it is at a time: what is due has happened, and nothing is written."""

from __future__ import annotations

import asyncio
from time import monotonic

from libs.events.ids import Ids, UlidSource
from libs.service.problems import Unavailable
from services.ledger.core import Core
from services.ledger.domain import events as ev
from services.ledger.domain.config import AppConfig
from services.ledger.domain.decide import Context, present
from services.ledger.domain.records import Loaded
from services.ledger.domain.state import Account
from services.ledger.store import reads

_POLL_S = 0.02
_ULIDS = UlidSource()
"""What is due makes no ids that anybody sees, but the rules ask for a source."""


def at_time(account: Account, config: AppConfig, time_us: int) -> Account:
    """The account at `time_us`, or at its last event if that is later."""
    return due_by(account, config, time_us)[0]


def due_by(account: Account, config: AppConfig, time_us: int) -> tuple[Account, list[ev.AccountEvent]]:
    """As :func:`at_time`, with the events that have become due and are not in the log yet."""
    now = max(time_us, account.time_us)
    return present(account, Context(config, now, Ids(_ULIDS, account.profile.partition, now), Loaded()))


async def current(core: Core, config: AppConfig, key: tuple[str, str, str], partition: int) -> tuple[reads.Seen, int]:
    """The account as it is now, and the time of that (microseconds)."""
    seen = await reads.account_at_head(core.reads, key, partition)
    now = core.clocks.now_us(key[0])
    if seen.account is not None:
        seen.account = at_time(seen.account, config, now)
        now = max(now, seen.account.time_us)
    return seen, now


async def reach(core: Core, partition: int, position: int) -> None:
    """Wait until the partition's log has come to `position`; :class:`Unavailable` if that takes too long."""
    deadline = monotonic() + core.settings.read_wait_s
    while await reads.head_position(core.reads, partition) < position:
        if monotonic() > deadline:
            raise Unavailable(f"Position {position} has not been reached yet.")
        await asyncio.sleep(_POLL_S)
