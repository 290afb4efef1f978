"""Accounts as they were: their events up to a time or a position, and what those add up to. For support."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson

from libs.events.partition import partition_of
from libs.service.clock import to_datetime
from libs.service.db import Pool
from services.ledger.domain.amounts import format_units
from services.ledger.domain.codec import TYPE_NAMES, encode, format_time
from services.ledger.domain.state import Account
from services.ledger.present import at_time
from services.ledger.store import journal, log_reads, reads
from services.ledger.store.journal import EventRow
from services.ledger.verify.fold import Fold


@dataclass(slots=True)
class Replayed:
    """An account after `events`; at a time, with all that was due by then."""

    account: Account
    events: list[EventRow]


async def replay(
    pool: Pool, app: str, user: str | None = None, *, until_us: int | None = None, position: int | None = None
) -> AsyncIterator[Replayed]:
    """Every account of an app or user that was open by a time (microseconds) or a position of its partition."""
    partitions = await log_reads.read_partitions(pool)
    config = None if until_us is None else await reads.config_at(pool, app, to_datetime(until_us))
    async for key in log_reads.accounts_of(pool, app, user):
        fold = Fold(partition_of(key[0], key[1], partitions))
        events = []
        async for row in journal.account_events(pool, key, position, until_us):
            fold.apply(key, row.event)
            events.append(row)
        if not events:
            continue
        account = fold.account(key)
        if config is not None and until_us is not None:
            account = at_time(account, config, until_us)
        yield Replayed(account, events)


def replayed_view(replayed: Replayed) -> dict[str, Any]:
    """A replayed account in JSON terms: balances, lots and holds as they were, and the events that made them."""
    account = replayed.account
    profile = account.profile

    def amount(units: int) -> str:
        return format_units(units, profile.scale)

    def moment(time_us: int | None) -> str | None:
        return None if time_us is None else format_time(time_us)

    return {
        "app": profile.app,
        "user": profile.user,
        "asset": profile.asset,
        "partition": profile.partition,
        "position": replayed.events[-1].position,
        "account_version": replayed.events[-1].event.account_version,
        "time": format_time(account.time_us),
        "settled": amount(account.settled),
        "held": amount(account.held),
        "owed": amount(account.owed),
        "available": amount(account.available()),
        "overdraft": amount(profile.overdraft_limit),
        "freezes": list(profile.frozen),
        "closed_at": moment(profile.closed_at),
        "lots": [
            {
                "id": lot.terms.id,
                "source": lot.terms.source,
                "amount": amount(lot.terms.amount),
                "remaining": amount(lot.remaining),
                "held": amount(lot.pinned),
                "state": lot.phase.name.lower(),
                "expires_at": moment(lot.terms.expires_at),
                "scope": list(lot.terms.scope),
            }
            for lot in account.lots.values()
        ],
        "holds": [
            {
                "id": hold.terms.id,
                "amount": amount(hold.terms.amount),
                "captured": amount(hold.captured),
                "remaining": amount(hold.remaining),
                "expires_at": moment(hold.expires_at),
            }
            for hold in account.holds.values()
        ],
        "events": [_event_view(row, profile.scale) for row in replayed.events],
    }


def _event_view(row: EventRow, scale: int) -> dict[str, Any]:
    event = row.event
    return {
        "position": row.position,
        "account_version": event.account_version,
        "time": format_time(event.at),
        "type": TYPE_NAMES[type(event)].split(".")[1],
        "payload": orjson.Fragment(encode(event, scale)),
    }
