"""When a hold in use is extended, and when it counts as lost.

One rule for both clients; times are monotonic seconds.
"""

from datetime import UTC, datetime

from ._steps import Retry
from .errors import ConnectionFailed, RateLimited, ServerError, TallystickError
from .models import Hold

BRIEF = Retry(attempts=3, total_s=5.0, max_s=1.0)
"""How hard a hold is released on leaving, and extended each time.

The hold's own time limit releases what this could not.
"""

_AGAIN_MAX_S = 1.0
_TRANSIENT = (ConnectionFailed, RateLimited, ServerError)


class Lease:
    """How long a hold is known to live. It is extended when half of its time is over, for the same time again.

    That time is what was asked for, else the difference of two of the ledger's own times, so that clocks which
    disagree do no harm. It counts from before the request was sent.
    """

    __slots__ = ("_ended", "_expires_at", "_next", "_until", "lost", "ttl_s")

    def __init__(self, hold: Hold, asked_ttl_s: int | None, sent_at: float) -> None:
        self.ttl_s = asked_ttl_s or _given_s(hold)
        self.lost = False
        self._ended = False
        self._expires_at = hold.expires_at
        self._next: float | None = None
        self._until = sent_at
        if self.ttl_s is not None:
            self._renew(self.ttl_s, sent_at)

    def pause_s(self, now: float) -> float | None:
        """Seconds until it is to be extended; None when there is nothing to gain by that."""
        return None if self._next is None else max(0.0, self._next - now)

    def extended(self, hold: Hold, sent_at: float) -> None:
        """The ledger extended it. If its end did not move, it is at the maximum and is let run out."""
        if hold.expires_at is not None and hold.expires_at == self._expires_at:
            self._next = None
        elif self.ttl_s is not None and not self._ended:
            self._expires_at = hold.expires_at
            self._renew(self.ttl_s, sent_at)

    def failed(self, error: Exception, now: float) -> None:
        """An extension failed. Refused, or failing until the time was over, the hold is lost."""
        transient = isinstance(error, _TRANSIENT) or not isinstance(error, TallystickError)
        if transient and now < self._until and not self._ended:
            self._next = now + min(_AGAIN_MAX_S, (self._until - now) / 4)
        else:
            self.lose()

    def lose(self) -> None:
        """The ledger will not, or no longer, keep it."""
        self.lost, self._next = not self._ended, None

    def end(self) -> None:
        """It ended as it should: by a final capture or a release."""
        self.lost, self._ended, self._next = False, True, None

    def _renew(self, ttl_s: int, sent_at: float) -> None:
        self._next, self._until = sent_at + ttl_s / 2, sent_at + ttl_s


def _given_s(hold: Hold) -> int | None:
    """Whole seconds given to a hold which asked for none; by this machine's clock if the answer has no start."""
    if hold.expires_at is None:
        return None
    return max(1, int((hold.expires_at - (hold.created_at or datetime.now(UTC))).total_seconds()))
