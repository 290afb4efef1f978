"""Holds: set credits aside, then capture what was used."""

from typing import Unpack

from .._request import Common, Request, one, read, write
from ..models import Capture, Hold, HoldRecord
from ..values import Amount, amount_text, path


def create_hold(
    user: str,
    amount: Amount,
    *,
    ttl_s: int | None = None,
    service: str | None = None,
    grant: str | None = None,
    partial: bool | None = None,
    **common: Unpack[Common],
) -> Request[Hold]:
    """Set credits aside for `ttl_s` seconds (the app's default when left out).

    `grant` takes them from that grant alone; `partial` takes what is available if that is less. Raises
    InsufficientCredits.
    """
    fields = {
        "user": user,
        "amount": amount_text(amount),
        "ttl_s": ttl_s,
        "service": service,
        "grant": grant,
        "partial": partial,
    }
    return write(path("holds"), Hold, fields, common)


def get_hold(hold_id: str) -> Request[HoldRecord]:
    """A hold as it stands now."""
    return read(path("holds", hold_id), one(HoldRecord))


def capture(
    hold_id: str, amount: Amount | None = None, *, final: bool | None = None, **common: Unpack[Common]
) -> Request[Capture]:
    """Charge `amount` from a hold, all that it still holds when left out. Unless `final` is False the rest is released.

    Raises HoldResolved when it had ended before, CaptureExceedsTolerance when it is too far above the hold.
    """
    return write(
        path("holds", hold_id, "capture"),
        Capture,
        {"amount": None if amount is None else amount_text(amount), "final": final},
        common,
    )


def extend(hold_id: str, ttl_s: int, **common: Unpack[Common]) -> Request[Hold]:
    """Let a hold live `ttl_s` seconds from now. Raises HoldResolved when it had ended before."""
    return write(path("holds", hold_id, "extend"), Hold, {"ttl_s": ttl_s}, common)


def release(hold_id: str, **common: Unpack[Common]) -> Request[Hold]:
    """Let go of what a hold still holds. Raises HoldResolved when it had ended before."""
    return write(path("holds", hold_id, "release"), Hold, {}, common)
