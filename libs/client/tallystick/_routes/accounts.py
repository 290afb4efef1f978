"""Accounts: their state, lots, holds and journal, and what is done to them as a whole."""

from collections.abc import Sequence
from datetime import datetime
from typing import Unpack

from .._request import Common, Request, one, page_of, read, write
from ..models import Account, Explanation, HoldRecord, Lot, Page, State, Threshold, Transaction
from ..values import Amount, amount_text, optional_amount, path, present, time_text


def get_account(user: str, *, asset: str | None = None) -> Request[Account]:
    """An account and its settings. Raises NotFound for one that was never written to."""
    return read(path("accounts", user), one(Account), asset=asset)


def put_account(
    user: str,
    *,
    zone: str | None = None,
    overdraft: Amount | None = None,
    price_list: str | None = None,
    **common: Unpack[Common],
) -> Request[Account]:
    """Set an account's time zone, overdraft or price list, opening it if need be. What is left out stays."""
    fields = {"zone": zone, "overdraft": optional_amount(overdraft), "price_list": price_list}
    return write(path("accounts", user), Account, fields, common, method="PUT")


def state(
    user: str,
    *,
    asset: str | None = None,
    at: datetime | None = None,
    position: int | None = None,
    min_position: int | None = None,
    service: str | None = None,
) -> Request[State]:
    """The one authoritative answer about an account: now, `at` a moment or at a `position` of the past.

    `min_position`, from a write's answer, makes sure that the write is in it; `service` counts the credits scoped
    to it too.
    """
    return read(
        path("accounts", user, "state"),
        one(State),
        asset=asset,
        at=time_text(at) if at else None,
        position=position,
        min_position=min_position,
        service=service,
    )


def lots(
    user: str, *, asset: str | None = None, limit: int | None = None, cursor: str | None = None
) -> Request[Page[Lot]]:
    """What remains of the grants of an account."""
    return read(path("accounts", user, "lots"), page_of(Lot), asset=asset, limit=limit, cursor=cursor)


def holds(
    user: str, *, asset: str | None = None, limit: int | None = None, cursor: str | None = None
) -> Request[Page[HoldRecord]]:
    """The holds of an account."""
    return read(path("accounts", user, "holds"), page_of(HoldRecord), asset=asset, limit=limit, cursor=cursor)


def transactions(
    user: str,
    *,
    asset: str | None = None,
    type: str | None = None,  # noqa: A002 -- the filter's own name
    since: datetime | None = None,
    until: datetime | None = None,
    reference: str | None = None,
    member: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Request[Page[Transaction]]:
    """The journal of an account. `since` is inclusive, `until` is not."""
    return read(
        path("accounts", user, "transactions"),
        page_of(Transaction),
        asset=asset,
        type=type,
        since=time_text(since) if since else None,
        until=time_text(until) if until else None,
        reference=reference,
        member=member,
        limit=limit,
        cursor=cursor,
    )


def freeze(user: str, **common: Unpack[Common]) -> Request[Account]:
    """Block charges, new holds and transfers out. A freeze is named by `unique_ref` (`manual` when left out)."""
    return write(path("accounts", user, "freeze"), Account, {}, common)


def unfreeze(user: str, **common: Unpack[Common]) -> Request[Account]:
    """Lift the freeze named by `unique_ref`; the account stays frozen while another stands."""
    return write(path("accounts", user, "unfreeze"), Account, {}, common)


def close(user: str, **common: Unpack[Common]) -> Request[Account]:
    """Close an account for good."""
    return write(path("accounts", user, "close"), Account, {}, common)


def put_thresholds(user: str, thresholds: Sequence[Threshold], **common: Unpack[Common]) -> Request[Account]:
    """Replace an account's own thresholds, beside the app's."""
    entries = [
        present({"below": amount_text(each.below), "rearm_at": optional_amount(each.rearm_at)}) for each in thresholds
    ]
    return write(path("accounts", user, "thresholds"), Account, {"thresholds": entries}, common, method="PUT")


def erase(user: str, **common: Unpack[Common]) -> Request[Account]:
    """Erase the free text of an account's history; the books stay whole."""
    return write(path("accounts", user, "erase"), Account, {}, common)


def explain(
    user: str,
    *,
    asset: str | None = None,
    service: str | None = None,
    at: datetime | None = None,
    position: int | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Request[Explanation]:
    """Why the balance is what it is, now or in the past: the lots, where they came from and what spent them."""
    return read(
        path("accounts", user, "explain"),
        one(Explanation),
        asset=asset,
        service=service,
        at=time_text(at) if at else None,
        position=position,
        limit=limit,
        cursor=cursor,
    )
