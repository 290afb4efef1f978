"""The client for asyncio."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from ._async_hold import AsyncHolding
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

AsyncToken = str | Callable[[], str | Awaitable[str]]
"""A bearer token, or what gives one, at once or when awaited; it is asked again when a token has expired."""


class AsyncCaller:
    """Carries out requests on the running event loop."""

    def __init__(
        self, token: AsyncToken | None, settings: Settings, transport: httpx.AsyncBaseTransport | None
    ) -> None:
        self._source = token
        self._token = token if isinstance(token, str) else None
        self._token_lock = asyncio.Lock()
        self._conduct = Conduct(settings.retry, settings.timeout_s, renewable=callable(token))
        self._background: set[asyncio.Task[None]] = set()
        self._http = httpx.AsyncClient(
            base_url=settings.base_url, headers=settings.headers, limits=settings.limits, transport=transport
        )

    async def call(self, request: Request[T], retry: Retry | None = None) -> T:
        """Carry out a request, under another retry policy than the client's if one is given."""
        return await self._drive(converse(request, self._conduct.under(retry)))

    async def every(self, request: Request[Page[T]]) -> AsyncIterator[T]:
        """Every item of a list, page by page."""
        while True:
            page = await self.call(request)
            for item in page:
                yield item
            if page.next_cursor is None:
                return
            request = request.at(page.next_cursor)

    def changes(
        self, user: str, *, asset: str | None = None, after: int | None = None, patience_s: float = PATIENCE_S
    ) -> AsyncGenerator[State, None]:
        """An account's state now and after every change of it, for as long as one iterates.

        `after` is the `account_version` that was seen last, so that nothing in between is missed. A broken connection
        is taken up where it broke, with growing pauses. What cannot succeed is raised at once, and ConnectionFailed
        or Unavailable when nothing was heard for `patience_s` seconds.
        """
        return self._follow(account_changes(user, asset, after), patience_s)

    def stream(self, *, after: str | None = None, patience_s: float = PATIENCE_S) -> AsyncGenerator[Event, None]:
        """The app's events as they are committed, for as long as one iterates.

        `after` is the `place` of the event that was seen last; `"0"` begins with the app's first event. Broken
        connections and errors are as of :meth:`changes`.
        """
        return self._follow(app_events(after), patience_s)

    async def _follow(self, subject: Subject[T], patience_s: float) -> AsyncGenerator[T, None]:
        following, after = Following(self._conduct, patience_s), subject.after
        while True:
            token = await self._bearer(stale=None)
            reader = SseReader(after)
            error: TallystickError
            try:
                async with self._listening(subject, after, token) as lines:
                    async for line in lines:
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
            await asyncio.sleep(following.pause_s(error))
            if error.code == "token_expired":
                await self._bearer(token)

    @asynccontextmanager
    async def _listening(
        self, subject: Subject[T], after: str | None, token: str | None
    ) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of a stream. Raises the error that stands for an answer which is none."""
        request = subject.asked(after, token, self._conduct)
        async with self._http.stream("GET", subject.path, **request) as response:
            if not response.is_success:
                await response.aread()
                raise refusal(response, None)
            yield response.aiter_lines()

    def holding(self, request: Request[Hold]) -> AsyncHolding:
        """The `async with` statement of a hold that this request creates."""
        return AsyncHolding(self, request)

    def in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run what must end even if nobody waits for it any more; closing the client waits."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _drive(self, steps: Steps[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as done:
                result: T = done.value
                return result
            outcome = await self._take(step)

    async def _take(self, step: Step) -> Outcome:
        match step:
            case Send(request, timeout_s):
                headers = headers_of(request, await self._bearer(stale=None))
                try:
                    return await self._http.request(
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
                await asyncio.sleep(seconds)
            case RenewToken(stale):
                await self._bearer(stale)
        return None

    async def _bearer(self, stale: str | None) -> str | None:
        """The token in use. One that is not there yet, or is `stale`, is asked for once for all tasks that wait."""
        if callable(self._source):
            async with self._token_lock:
                if self._token is None or self._token == stale:
                    given = self._source()
                    self._token = given if isinstance(given, str) else await given
        return self._token


class AsyncClient(Surface, AsyncCaller):
    """The ledger, for asyncio; belongs to one event loop. Use it as an async context manager, or `aclose` it.

    `token` is a bearer token or a callable that gives one, plain or async, `app` names the app for tokens that hold
    several, `timeout_s` bounds one attempt and `retry` all of them, `connections_max` the open connections;
    `transport` replaces the network.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        token: AsyncToken | None = None,
        *,
        app: str | None = None,
        timeout_s: float = 10.0,
        retry: Retry | None = None,
        connections_max: int = 100,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(token, Settings(base_url, app, timeout_s, retry or Retry(), connections_max), transport)

    @classmethod
    def from_env(cls) -> Self:
        """A client by TALLYSTICK_URL, TALLYSTICK_TOKEN and TALLYSTICK_APP."""
        env = environment()
        return cls(env.base_url, env.token, app=env.app)

    async def wait(self, transfer_id: str, *, timeout_s: float = 30.0) -> Transfer:
        """The transfer once its outcome is there.

        Raises WaitTimedOut when that takes longer than `timeout_s` seconds.
        """
        return await self._drive(settle(moves.get_transfer(transfer_id), self._conduct, timeout_s))

    async def aclose(self) -> None:
        """Let releases that still run end (each is bound in time), then close the connections."""
        try:
            if self._background:
                await asyncio.wait(self._background)
        finally:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
