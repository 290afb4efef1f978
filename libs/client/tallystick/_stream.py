"""Streams of the ledger: what they tell, when a broken one is taken up again, and when it is given up."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import httpx

from ._decode import decode
from ._sse import ServerEvent
from ._steps import RETRIED, Conduct
from .errors import ConnectionFailed, TallystickError, UnexpectedAnswer
from .models import Event, State
from .values import path, present

SILENCE_S = 60.0
"""A stream that says nothing for so long, not even that it is alive, is taken for dead."""
PATIENCE_S = 300.0
"""How long a stream is tried again without anything being heard."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Subject(Generic[T]):
    """What is followed: `read` makes what is told of an event, None of one of another kind; `after` was seen last."""

    path: str
    read: Callable[[ServerEvent], T | None]
    after: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)

    def asked(self, after: str | None, token: str | None, conduct: Conduct) -> dict[str, Any]:
        """The arguments of the GET that goes on behind `after`."""
        bearer = f"Bearer {token}" if token else None
        return {
            "params": self.params,
            "headers": present({"Accept": "text/event-stream", "Last-Event-ID": after, "Authorization": bearer}),
            "timeout": httpx.Timeout(conduct.timeout_s, read=SILENCE_S),
        }


def account_changes(user: str, asset: str | None, after: int | None) -> Subject[State]:
    """An account's states."""
    seen = None if after is None else str(after)
    return Subject(path("accounts", user, "stream"), _state, seen, present({"asset": asset}))


def app_events(after: str | None) -> Subject[Event]:
    """An app's events."""
    return Subject(path("stream"), _event, after)


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


def _state(event: ServerEvent) -> State | None:
    return decode(State, _data(event)) if event.event == "account" else None


def _event(event: ServerEvent) -> Event | None:
    data = _data(event)
    # What ends a stream is an event too, but none of the log: those have their type as their name.
    told = isinstance(data, Mapping) and data.get("type") == event.event
    return decode(Event, data, place=event.id) if told else None


def _data(event: ServerEvent) -> object:
    try:
        return json.loads(event.data)
    except ValueError as error:
        raise UnexpectedAnswer("an event of the stream is not JSON") from error
