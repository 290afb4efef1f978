"""Following an account as it changes: when a broken stream is taken up again, and when it is given up."""

from __future__ import annotations

import json

from ._decode import decode
from ._sse import ServerEvent
from ._steps import RETRIED, Conduct
from .errors import ConnectionFailed, TallystickError, UnexpectedAnswer
from .models import State

SILENCE_S = 60.0
"""A stream that says nothing for so long, not even that it is alive, is taken for dead."""
PATIENCE_S = 300.0
"""How long a stream is tried again without anything being heard."""


class Following:
    """The state of one subscription; times are monotonic seconds."""

    def __init__(self, conduct: Conduct, patience_s: float) -> None:
        self._conduct = conduct
        self._patience_s = patience_s
        self._attempt = 0
        self._heard_at = conduct.clock()

    def heard(self) -> None:
        """An event came: the next failure is a first one again."""
        self._attempt, self._heard_at = 0, self._conduct.clock()

    def pause_s(self, error: TallystickError) -> float:
        """Seconds to wait before connecting again. Raises the error when that has no hope, or lasted too long."""
        passing = isinstance(error, ConnectionFailed) or error.status in RETRIED
        renewed = error.code == "token_expired" and self._conduct.renewable and self._attempt == 0
        self._attempt += 1
        pause_s = self._conduct.retry.pause_s(self._attempt, self._conduct.uniform)
        pause_s = 0.0 if renewed else max(pause_s, error.retry_after_s or 0.0)
        if not (passing or renewed) or self._conduct.clock() + pause_s - self._heard_at > self._patience_s:
            raise error
        return pause_s


def state_of(event: ServerEvent) -> State | None:
    """The state that an event tells; None for an event of another kind."""
    if event.event != "account":
        return None
    try:
        return decode(State, json.loads(event.data))
    except ValueError as error:
        raise UnexpectedAnswer("an event of the stream is not JSON") from error
