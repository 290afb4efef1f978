"""Why the lots of a charge were taken in the order in which they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from services.ledger.domain import events as ev
from services.ledger.domain.explain.reason import Reason
from services.ledger.domain.records import ChargePart, ChargeRecord
from services.ledger.domain.state import NEVER, Lot, LotTerms

PINNED = Reason("pinned_by_hold", "The hold had set these credits aside when it was made.")
LAST = Reason("last", "It was the last to be taken from.")
_SCOPED = Reason("scoped_first", "Credits for this service alone are spent before those that can be spent on anything.")
_PRIORITY = Reason("priority", "Its priority has the lower number, so that it is spent before the next one.")
_EXPIRY = Reason("expires_first", "It expires before the next one.")
_UNPAID = Reason("unpaid_first", "What was not paid for is spent before what was.")
_OLDER = Reason("older", "It is older than the next one; nothing else tells them apart.")
_SAME = Reason("same_moment", "It was made together with the next one; the order of their ids decides.")

_OVERDRAFT = Reason("overdraft", "The lots did not suffice; the account may be overdrawn.")
_OWED = Reason("owed", "Nothing covered this part of the capture: it is owed.")


def of_parts(record: ChargeRecord, event: ev.AccountEvent, lots: Mapping[str, Lot]) -> list[Reason]:
    """Why each part of a charge, which `event` made, came when it did."""
    pinned = len(event.slices) if isinstance(event, ev.HoldCaptured) else 0
    free = [lots[part.lot].terms for part in record.parts[pinned:] if part.lot]
    return [PINNED] * pinned + reasons(free, record.service) + [_beyond(p) for p in record.parts if not p.lot]


def _beyond(part: ChargePart) -> Reason:
    return _OVERDRAFT if part.kind == "overdraft" else _OWED


def reasons(lots: Sequence[LotTerms], service: str | None) -> list[Reason]:
    """For each of these lots, which were taken in this order for `service`, why it came before the next one."""
    found = [_before(lot, following, service) for lot, following in pairwise(lots)]
    return [*found, LAST] if lots else []


def _before(lot: LotTerms, following: LotTerms, service: str | None) -> Reason:
    if service is not None and bool(lot.scope) != bool(following.scope):
        return _SCOPED
    if lot.priority != following.priority:
        return _PRIORITY
    if (lot.expires_at or NEVER) != (following.expires_at or NEVER):
        return _EXPIRY
    if (lot.source == "paid") != (following.source == "paid"):
        return _UNPAID
    return _OLDER if lot.granted_at != following.granted_at else _SAME
