"""The blocking client."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TypeVar

import httpx

from ._hold import Holding
from ._request import Request
from ._routes import moves
from ._settings import DEFAULT_URL, Settings, environment, headers_of
from ._sse import SseReader
from ._steps import (
    Conduct,
    Outcome,
    RenewToken,
    Retry,
    Send,
    Sleep,
    Step,
    Steps,
    converse,
    failure,
    refusal,
    settle,
)
from ._stream import PATIENCE_S, Following, Subject, account_changes, app_events
from ._surface import Surface
from .errors import ConnectionFailed, TallystickError
from .models import Event, Hold, Page, State, Transfer

T = TypeVar("T")

Token = str | Callable[[], str]
"""A bearer token, or what gives one; it is asked again when a token has expired."""


class Caller:
    """Carries out requests, blocking; may be used by several threads at once."""

    def __init__(self, token: Token | None, settings: Settings, transport: httpx.BaseTransport | None) -> None:
        self._source = token
        self._token = token if isinstance(token, str) else None
        self._token_lock = threading.Lock()
        self._conduct = Conduct(settings.retry, settings.timeout_s, renewable=callable(token))
        self._http = httpx.Client(
            base_url=settings.base_url, headers=settings.headers, limits=settings.limits, transport=transport
        )

    def call(self, request: Request[T], retry: Retry | None = None) -> T:
        """Carry out a request, under another retry policy than the client's if one is given."""
        return self._drive(converse(request, self._conduct.under(retry)))

    def every(self, request: Request[Page[T]]) -> Iterator[T]:
        """Every item of a list, page by page."""
        while True:
            page = self.call(request)
            yield from page
            if page.next_cursor is None:
                return
            request = request.at(page.next_cursor)

    def changes(
        self, user: str, *, asset: str | None = None, after: int | None = None, patience_s: float = PATIENCE_S
    ) -> Generator[State, None, None]:
        """An account's state now and after every change of it, for as long as one iterates.

        `after` is the `account_version` that was seen last, so that nothing in between is missed. A broken connection
        is taken up where it broke, with growing pauses. What cannot succeed is raised at once, and ConnectionFailed
        or Unavailable when nothing was heard for `patience_s` seconds.
        """
        return self._follow(account_changes(user, asset, after), patience_s)

    def stream(self, *, after: str | None = None, patience_s: float = PATIENCE_S) -> Generator[Event, None, None]:
        """The app's events as they are committed, for as long as one iterates.

        `after` is the `place` of the event that was seen last; `"0"` begins with the app's first event. Broken
        connections and errors are as of :meth:`changes`.
        """
        return self._follow(app_events(after), patience_s)

    def _follow(self, subject: Subject[T], patience_s: float) -> Generator[T, None, None]:
        following, after = Following(self._conduct, patience_s), subject.after
        while True:
            token = self._bearer(stale=None)
            reader = SseReader(after)
            error: TallystickError
            try:
                with self._listening(subject, after, token) as lines:
                    for line in lines:
                        event = reader.line(line)
                        after = reader.id
                        if event is not None and (told := subject.read(event)) is not None:
                            following.heard()
                            yield told
                error = ConnectionFailed("the stream ended")
            except httpx.RequestError as lost:
                error = failure(lost, None)
            except TallystickError as refused:
                error = refused
            time.sleep(following.pause_s(error))
            if error.code == "token_expired":
                self._bearer(token)

    @contextmanager
    def _listening(self, subject: Subject[T], after: str | None, token: str | None) -> Iterator[Iterator[str]]:
        """The lines of a stream. Raises the error that stands for an answer which is none."""
        with self._http.stream("GET", subject.path, **subject.asked(after, token, self._conduct)) as response:
            if not response.is_success:
                response.read()
                raise refusal(response, None)
            yield response.iter_lines()

    def holding(self, request: Request[Hold]) -> Holding:
        """The `with` statement of a hold that this request creates."""
        return Holding(self, request)

    def _drive(self, steps: Steps[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                result: T = done.value
                return result
            outcome = self._take(step)

    def _take(self, step: Step) -> Outcome:
        match step:
            case Send(request, timeout_s):
                headers = headers_of(request, self._bearer(stale=None))
                try:
                    return self._http.request(
                        request.method,
                        request.path,
                        params=dict(request.params),
                        json=request.json,
                        headers=headers,
                        timeout=timeout_s,
                    )
                except httpx.RequestError as error:
                    return error
            case Sleep(seconds):
                time.sleep(seconds)
            case RenewToken(stale):
                self._bearer(stale)
        return None

    def _bearer(self, stale: str | None) -> str | None:
        """The token in use. One that is not there yet, or is `stale`, is asked for once for all threads that wait."""
        if callable(self._source):
            with self._token_lock:
                if self._token is None or self._token == stale:
                    self._token = self._source()
        return self._token


class Client(Surface, Caller):
    """The ledger, blocking; may be shared by threads. Use it as a context manager, or close it.

    `token` is a bearer token or a callable that gives one, `app` names the app for tokens that hold several,
    `timeout_s` bounds one attempt and `retry` all of them, `connections_max` the open connections; `transport`
    replaces the network.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        token: Token | None = None,
        *,
        app: str | None = None,
        timeout_s: float = 10.0,
        retry: Retry | None = None,
        connections_max: int = 100,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(token, Settings(base_url, app, timeout_s, retry or Retry(), connections_max), transport)

    @classmethod
    def from_env(cls) -> Self:
        """A client by TALLYSTICK_URL, TALLYSTICK_TOKEN and TALLYSTICK_APP."""
        env = environment()
        return cls(env.base_url, env.token, app=env.app)

    def wait(self, transfer_id: str, *, timeout_s: float = 30.0) -> Transfer:
        """The transfer once its outcome is there.

        Raises WaitTimedOut when that takes longer than `timeout_s` seconds.
        """
        return self._drive(settle(moves.get_transfer(transfer_id), self._conduct, timeout_s))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
