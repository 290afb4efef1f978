"""Transfers between accounts."""

from __future__ import annotations

from libs.events.contracts.base import contract
from libs.events.contracts.ledger.events.parts import AccountEvent, MovedLot, NewLot, SliceOf
from libs.events.contracts.ledger.fields import Credits


@contract("ledger.transfer_debited.v1")
class TransferDebited(AccountEvent):
    """Credits left for another account."""

    transfer: str
    to_user: str
    amount: Credits
    slices: tuple[MovedLot, ...]


@contract("ledger.transfer_credited.v1")
class TransferCredited(AccountEvent):
    """Credits arrived from another account."""

    transfer: str
    from_user: str
    amount: Credits
    lots: tuple[NewLot, ...]


@contract("ledger.transfer_returned.v1")
class TransferReturned(AccountEvent):
    """Credits came back, because the other account refused them with `refusal`."""

    transfer: str
    to_user: str
    amount: Credits
    refusal: str
    slices: tuple[SliceOf, ...] = ()
    lots: tuple[NewLot, ...] = ()
