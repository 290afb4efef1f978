"""Things that outlive the state of their account and are folded from their own events when a command names them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from services.ledger.domain import events as ev
from services.ledger.domain.pricing.card import RateCard


@dataclass(slots=True)
class ChargePart:
    """Where a part of a charge came from: a lot, the overdraft, or what became owed."""

    kind: Literal["lot", "overdraft", "owed"]
    amount: int
    lot: str = ""


@dataclass(slots=True)
class ChargeRecord:
    """A charge (or a capture) in the order in which its parts were taken, and what was refunded of it."""

    id: str
    amount: int
    parts: tuple[ChargePart, ...]
    refunded: int = 0
    service: str | None = None
    hold: str | None = None
    reference: str | None = None
    member: str | None = None
    charged_at: int = 0
    version: int = 0
    """That of the account after it."""

    budgets: tuple[ev.BudgetUse, ...] = ()
    """The budgets that counted it, each in a period."""
    priced: ev.Priced | None = None


def _parts(lots: Iterable[ev.SliceOf], overdraft: int, owed: int = 0) -> tuple[ChargePart, ...]:
    parts = [ChargePart("lot", s.amount, s.lot) for s in lots]
    if overdraft:
        parts.append(ChargePart("overdraft", overdraft))
    if owed:
        parts.append(ChargePart("owed", owed))
    return tuple(parts)


def charge_record(events: Iterable[ev.Event]) -> ChargeRecord | None:
    """The charge that these events, all of one charge and in order, tell of; None if there is none."""
    record: ChargeRecord | None = None
    for event in events:
        match event:
            case ev.CreditsCharged():
                record = ChargeRecord(event.charge, event.amount, _parts(event.slices, event.overdraft))
                record.service, record.budgets, record.priced = event.service, event.budgets, event.priced
            case ev.HoldCaptured():
                parts = _parts((*event.slices, *event.excess), event.overdraft, event.shortfall)
                record = ChargeRecord(event.charge, event.amount, parts)
                record.service, record.hold, record.priced = event.service, event.hold, event.priced
                record.budgets = event.budgets
            case ev.ChargeRefunded() if record is not None:
                record.refunded = event.refunded_total
                continue
            case _:
                continue
        record.reference, record.member, record.charged_at = event.reference, event.member, event.at
        record.version = event.account_version
    return record


@dataclass(slots=True)
class Resolution:
    """How a hold ended (captured, released, expired, revoked): what a late capture, release or extension is told."""

    status: str
    captured: int
    resolved_at: int


@dataclass(slots=True)
class QuoteRecord:
    """A price that was promised until `valid_until`: to a user of an app, or to all of them (`user` is "")."""

    id: str
    app: str
    user: str
    asset: str
    card: RateCard
    usage: Mapping[str, int]
    made_at: int
    valid_until: int


@dataclass(slots=True)
class Loaded:
    """What a decision needs besides its account: found by the ids that the command names, None where there is none.

    Dead lots that the command may touch have been attached to the account itself.
    """

    charge: ChargeRecord | None = None
    resolution: Resolution | None = None
    debit: ev.TransferDebited | None = None
    quote: QuoteRecord | None = None
