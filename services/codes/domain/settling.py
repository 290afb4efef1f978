"""How a redemption at a checkout ends, whatever is told about its order, in whatever order, and however often.

Every message claims an end, ends have ranks, and the highest one that was claimed stands. So a payment wins over the
failure or the expiry that was told before or after it, and a refund of the whole over all.
"""

from __future__ import annotations

from typing import Literal

Status = Literal["reserved", "expired", "released", "confirmed", "rolled_back"]
Count = Literal["reserved", "redeemed"]

_RANK: dict[Status, int] = {"reserved": 0, "expired": 1, "released": 2, "confirmed": 3, "rolled_back": 4}


def settled(status: Status, claim: Status) -> Status:
    """The status after a message that claims `claim`."""
    return max(status, claim, key=_RANK.__getitem__)


def claim_of_payment(started_us: int, expires_us: int) -> Status:
    """What a payment claims: it confirms a reservation that stood when it began; otherwise that has expired.

    Times are microseconds since the epoch; a reservation stands until just before `expires_us`.
    """
    return "confirmed" if started_us < expires_us else "expired"


def counted(status: Status) -> Count | None:
    """Under which counter of its code, customer and campaign a redemption counts."""
    if status == "reserved":
        return "reserved"
    return "redeemed" if status == "confirmed" else None
