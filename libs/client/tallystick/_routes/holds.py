"""Holds: set credits aside, then capture what was used."""

from typing import Unpack

from .._request import Common, Request, Spend, cost_fields, one, read, write
from ..models import Capture, Hold, HoldRecord
from ..values import Amount, Usage, optional_amount, optional_usage, path


def create_hold(
    user: str,
    amount: Amount | None = None,
    *,
    ttl_s: int | None = None,
    service: str | None = None,
    grant: str | None = None,
    partial: bool | None = None,
    **common: Unpack[Spend],
) -> Request[Hold]:
    """Set credits aside for `ttl_s` seconds (the app's default when left out).

    How many is said by `amount`, by `price` and `quantity`, by `model` and an estimated `usage`, or by `quote`.
    `grant` takes them from that grant alone; `partial` takes what is available if that is less. Raises
    InsufficientCredits, BudgetExceeded.
    """
    fields = {"user": user, "ttl_s": ttl_s, "service": service, "grant": grant, "partial": partial}
    return write(path("holds"), Hold, fields, cost_fields(amount, common))


def get_hold(hold_id: str) -> Request[HoldRecord]:
    """A hold as it stands now."""
    return read(path("holds", hold_id), one(HoldRecord))


def capture(
    hold_id: str,
    amount: Amount | None = None,
    *,
    usage: Usage | None = None,
    final: bool | None = None,
    **common: Unpack[Common],
) -> Request[Capture]:
    """Charge `amount` from a hold, or what `usage` costs at its prices, or all that it still holds.

    Unless `final` is False the rest is released. Raises HoldResolved when it had ended before,
    CaptureExceedsTolerance when it is too far above the hold.
    """
    return write(
        path("holds", hold_id, "capture"),
        Capture,
        {"amount": optional_amount(amount), "usage": optional_usage(usage), "final": final},
        common,
    )


def extend(
    hold_id: str,
    ttl_s: int | None = None,
    *,
    amount: Amount | None = None,
    usage: Usage | None = None,
    partial: bool | None = None,
    **common: Unpack[Common],
) -> Request[Hold]:
    """Let a hold live `ttl_s` seconds from now, and hold more: `amount` beside what it has, or all of `usage`.

    `usage` is the whole new estimate of a hold that was made by a model; `partial` takes what is available if that is
    less. Raises InsufficientCredits, and HoldResolved when it had ended before.
    """
    fields = {
        "ttl_s": ttl_s,
        "amount": optional_amount(amount),
        "usage": optional_usage(usage),
        "partial": partial,
    }
    return write(path("holds", hold_id, "extend"), Hold, fields, common)


def release(hold_id: str, **common: Unpack[Common]) -> Request[Hold]:
    """Let go of what a hold still holds. Raises HoldResolved when it had ended before."""
    return write(path("holds", hold_id, "release"), Hold, {}, common)
