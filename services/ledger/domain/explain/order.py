"""Why the lots of a charge were taken in the order in which they were."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from services.ledger.domain.explain.reasons import Reason
from services.ledger.domain.state import NEVER, LotTerms

PINNED = Reason("pinned_by_hold", "The hold had set these credits aside when it was made.")
LAST = Reason("enough", "With this nothing more was needed.")
_SCOPED = Reason("scoped_first", "Credits for this service alone are spent before those that can be spent on anything.")
_PRIORITY = Reason("priority", "Its priority has the lower number, so that it is spent before the next one.")
_EXPIRY = Reason("expires_first", "It expires before the next one.")
_UNPAID = Reason("unpaid_first", "What was not paid for is spent before what was.")
_OLDER = Reason("older", "It is older than the next one; nothing else tells them apart.")
_SAME = Reason("same_moment", "It was made together with the next one; the order of their ids decides.")


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
