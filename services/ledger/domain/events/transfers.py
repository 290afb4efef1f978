"""Transfers between accounts."""

from __future__ import annotations

from dataclasses import dataclass

from services.ledger.domain.events.parts import AccountEvent, MovedLot, NewLot, SliceOf, Units


@dataclass(slots=True, kw_only=True)
class TransferDebited(AccountEvent):
    transfer: str
    to_user: str
    amount: Units
    slices: tuple[MovedLot, ...]


@dataclass(slots=True, kw_only=True)
class TransferCredited(AccountEvent):
    transfer: str
    from_user: str
    amount: Units
    lots: tuple[NewLot, ...]


@dataclass(slots=True, kw_only=True)
class TransferReturned(AccountEvent):
    """The debit undone, because the other side refused the credit with `refusal`."""

    transfer: str
    to_user: str
    amount: Units
    refusal: str
    slices: tuple[SliceOf, ...] = ()
    lots: tuple[NewLot, ...] = ()
