"""The parts that add up to each balance of an account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.ledger.domain.explain.flows import Debt
from services.ledger.domain.explain.reason import Reason
from services.ledger.domain.explain.reasons import debt_reason
from services.ledger.domain.state import Account, Phase


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a balance."""

    reason: Reason
    amount: int


def _some(why: str, sentence: str, amount: int) -> list[Part]:
    """A part that is there when it is not nothing."""
    return [Part(Reason(why, sentence), amount)] if amount else []


def settled(account: Account) -> list[Part]:
    """What the account has: what remains of its lots, less the overdraft that is used."""
    lots = account.lots.values()
    found: dict[str, int] = {}
    for lot in lots:
        if lot.phase == Phase.LIVE:
            found[lot.terms.source] = found.get(lot.terms.source, 0) + lot.remaining
    parts = [
        part
        for source, amount in sorted(found.items())
        for part in _some(f"lots_{source}", f"What remains of lots from the source '{source}'.", amount)
    ]
    expired = sum(lot.pinned for lot in lots if lot.phase == Phase.EXPIRED)
    parts += _some("held_of_expired", "What holds keep of lots that have expired.", expired)
    return parts + _some("overdraft_used", "The overdraft that is used.", -account.overdraft_used)


def held(account: Account) -> list[Part]:
    """What is set aside: one part for each hold."""
    return [
        Part(Reason("hold", f"What the hold {hold.terms.id} pins."), hold.remaining) for hold in account.holds.values()
    ]


def owed(debts: Sequence[Debt]) -> list[Part]:
    """What is owed: one part for each debt that is still open."""
    return [Part(debt_reason(debt), debt.open) for debt in debts]


def available(account: Account, service: str | None) -> list[Part]:
    """What can be spent on `service`: free credits and what is left of the overdraft, less what is owed."""
    free = account.free()
    parts = _some("free", "What is free of lots that can be spent on anything.", free)
    if service is not None:
        scoped = account.free(service) - free
        parts += _some("free_for_service", f"What is free of lots for '{service}'.", scoped)
    parts += _some("overdraft_left", "What is left of the overdraft.", account.overdraft_left)
    return parts + _some("owed", "What is owed is not to be spent.", -account.owed)
