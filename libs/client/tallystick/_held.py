"""What a hold in a `with` statement knows about itself, the same in both clients."""

import logging
from decimal import Decimal

from ._lease import Lease
from ._request import Request
from .errors import HoldResolved, TallystickError
from .models import Capture, Hold

log = logging.getLogger("tallystick")


class Held:
    """A hold between its creation and its end."""

    def __init__(self, request: Request[Hold]) -> None:
        self._request = request
        self._hold: Hold | None = None
        self._lease: Lease | None = None
        self._entered = False
        self._open = False
        self._captured = Decimal(0)

    @property
    def hold(self) -> Hold:
        """The ledger's latest answer about it."""
        if self._hold is None:
            raise RuntimeError("a hold is made by entering its `with` statement")
        return self._hold

    @property
    def id(self) -> str:
        """The hold's id."""
        return self.hold.id

    @property
    def captured(self) -> Decimal:
        """Credits captured so far."""
        return self._captured

    @property
    def lost(self) -> bool:
        """Whether the ledger refused to extend it or had already ended it: stop working, its rest may be gone."""
        return self._lease is not None and self._lease.lost

    @property
    def is_open(self) -> bool:
        """Whether it is ours and has not ended."""
        return self._open

    def disown(self) -> None:
        """Leave it alone on leaving: it was made by an earlier request under the same key, which may be using it."""
        self._open = False

    def _enter_once(self) -> None:
        """One statement is one hold: its key would give the same, ended hold again."""
        if self._entered:
            raise RuntimeError("a hold is entered once; ask the client for another")
        self._entered = True

    def _begin(self, hold: Hold, sent_at: float) -> Lease:
        asked_ttl_s = (self._request.json or {}).get("ttl_s")
        self._hold, self._open, self._lease = hold, True, Lease(hold, asked_ttl_s, sent_at)
        return self._lease

    def _note(self, capture: Capture, final: bool) -> None:
        self._hold, self._captured = capture, capture.captured
        if final:
            self._end()

    def _end(self) -> None:
        self._open = False
        if self._lease is not None:
            self._lease.end()

    def _gone(self) -> None:
        """The ledger said that it had ended before."""
        self._open = False
        if self._lease is not None:
            self._lease.lose()

    def _left_over(self, error: Exception) -> None:
        """Releasing failed on the way out.

        That ends no caller's work: what was captured stands, and the rest has a time limit.
        """
        if not isinstance(error, HoldResolved):
            log.warning("hold %s could not be released and ends by its time limit: %s", self.id, _said(error))


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, TallystickError) else repr(error)
