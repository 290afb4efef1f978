"""A hold as a `with` statement."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from ._held import Held
from ._lease import BRIEF, Lease
from ._request import Common, Request
from ._routes import holds
from .errors import HoldResolved
from .models import Capture, Hold
from .values import Amount, Usage

if TYPE_CHECKING:
    from ._client import Caller


class Holding(Held):
    """Created on entering; on leaving, by whatever way, what was not captured is released.

    While the block runs a thread extends it, up to the ledger's maximum.
    """

    def __init__(self, caller: Caller, request: Request[Hold]) -> None:
        super().__init__(request)
        self._caller = caller
        self._left = threading.Event()
        self._extending: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._enter_once()
        try:
            sent_at = time.monotonic()
            lease = self._begin(self._caller.call(self._request), sent_at)
            self._extending = threading.Thread(target=self._extend, args=(lease,), daemon=True)
            self._extending.start()
        except Exception:
            raise
        except BaseException:
            self._abandon()
            raise
        return self

    def capture(
        self, amount: Amount | None = None, *, usage: Usage | None = None, final: bool = True, **common: Unpack[Common]
    ) -> Capture:
        """Charge `amount` of it, what `usage` costs, or all it has. Unless `final` is False this ends it.

        The rest is released then. Raises HoldResolved when it had ended.
        """
        try:
            capture = self._caller.call(holds.capture(self.id, amount, usage=usage, final=final, **common))
        except HoldResolved:
            self._gone()
            raise
        self._note(capture, final)
        return capture

    def extend(
        self,
        *,
        amount: Amount | None = None,
        usage: Usage | None = None,
        partial: bool | None = None,
        **common: Unpack[Common],
    ) -> Hold:
        """Hold `amount` more, or all of a new estimated `usage`. Its time is extended without that.

        Raises InsufficientCredits, and HoldResolved when it had ended.
        """
        self._hold = self._caller.call(holds.extend(self.id, amount=amount, usage=usage, partial=partial, **common))
        return self._hold

    def release(self) -> None:
        """Let it go now. Raises HoldResolved when it had ended."""
        self._hold = self._caller.call(holds.release(self.id))
        self._end()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        if self._open:
            self._let_go(self.id)
        if self._extending is not None:
            self._extending.join(BRIEF.total_s)

    def _extend(self, lease: Lease) -> None:
        while (pause_s := lease.pause_s(time.monotonic())) is not None:
            if self._left.wait(pause_s):
                return
            sent_at = time.monotonic()
            try:
                lease.extended(self._caller.call(holds.extend(self.id, lease.ttl_s or 1), BRIEF), sent_at)
            except Exception as failure:  # A daemon thread has nobody to raise to: the lease tells by `lost`.
                lease.failed(failure, time.monotonic())

    def _let_go(self, hold_id: str) -> None:
        try:
            self._caller.call(holds.release(hold_id), BRIEF)
        except Exception as failure:
            self._left_over(failure)
        self._end()

    def _abandon(self) -> None:
        """Interrupted while it was being created: the same key gives it, or makes it, so that it can be released."""
        self._left.set()
        with suppress(Exception):
            if self._hold is None:
                self._hold = self._caller.call(self._request, BRIEF)
            self._let_go(self.id)
