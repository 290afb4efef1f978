"""Requests that are answered without the framework, where they come by the thousand a second.

A task, two coroutines for the messages and the layers around them cost a small request more than it takes to read,
check and decide it. An express route takes the whole request at once and gives a future; the answer is written when
that is done. What is read, checked and answered is done by the functions of the ordinary route; a request that is
anything but plain (its body large or in chunks, asked for step by step, sent behind another), or that the express
route hands back, goes the ordinary way. Request ids, metrics and logs are those of :class:`ServiceMiddleware`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from libs.service.bounded_http import BoundedHttp
from libs.service.metrics import HttpMetrics
from libs.service.middleware import REQUEST_ID, UNANSWERED, failed, log_access, read_headers
from libs.service.problems import Problem, problem_response

BODY_BYTES_MAX = 16_384
"""What is longer may come in pieces that must be waited for."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ExpressRoute(Generic[T]):
    """`accept` takes a request with its body, or hands it back with None; `answer` is the answer of what comes of it.

    Both raise a Problem where the ordinary route does.
    """

    accept: Callable[[Request, bytes], asyncio.Future[T] | None]
    answer: Callable[[T], Response]


class Express:
    """The express routes of an application, by method and path; `body_bytes_max` as for its other routes."""

    def __init__(self, app: Any, routes: Mapping[tuple[str, str], ExpressRoute[Any]], body_bytes_max: int) -> None:
        self._app = app
        self._routes = routes
        self._body_bytes_max = min(body_bytes_max, BODY_BYTES_MAX)
        self._metrics = HttpMetrics()

    def takes(self, cycle: RequestResponseCycle) -> str | None:
        """The id of a request that is one for here, by its head; None for others."""
        scope = cycle.scope
        if (scope["method"], scope["path"]) not in self._routes or cycle.waiting_for_100_continue:
            return None
        request_id, length, chunked = read_headers(scope["headers"])
        return request_id if 0 < length <= self._body_bytes_max and not chunked else None

    def begin(self, cycle: RequestResponseCycle, request_id: str) -> bool:
        """Take a request that is whole; False if it must go the ordinary way."""
        started = perf_counter()
        scope: Any = cycle.scope
        scope["app"] = self._app
        scope["state"]["request_id"] = request_id
        token = REQUEST_ID.set(request_id)
        route = self._routes[scope["method"], scope["path"]]
        try:
            future = route.accept(Request(scope), bytes(cycle.body))
        except Exception as error:
            self._end(cycle, started, request_id, _told(error, scope, request_id))
            return True
        finally:
            REQUEST_ID.reset(token)
        if future is None:
            return False

        def done(future: asyncio.Future[Any]) -> None:
            error = future.exception()
            response = route.answer(future.result()) if error is None else _told(error, scope, request_id)
            self._end(cycle, started, request_id, response)

        future.add_done_callback(done)
        return True

    def _end(self, cycle: RequestResponseCycle, started: float, request_id: str, response: Response) -> None:
        """Write an answer, unless the client is gone, and count it."""
        seconds = perf_counter() - started
        scope: Any = cycle.scope
        status = UNANSWERED if cycle.disconnected else response.status_code
        self._metrics.observe(scope["method"], scope["path"], status, seconds)
        log_access(scope, scope["path"], status, seconds, request_id)
        cycle.response_started = cycle.response_complete = True
        if cycle.disconnected:
            return
        parts = [STATUS_LINE[status]]
        for name, value in (*cycle.default_headers, *response.raw_headers, (b"x-request-id", request_id.encode())):
            parts += (name, b": ", value, b"\r\n")
        parts += (b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n", bytes(response.body))
        cycle.transport.write(b"".join(parts))
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()


def _told(error: BaseException, scope: Any, request_id: str) -> Response:
    """The answer that says what went wrong."""
    return problem_response(error if isinstance(error, Problem) else failed(scope, request_id, error), request_id)


class ExpressHttp(BoundedHttp):
    """A connection whose application may have express routes, as `app.state.express`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._express: Express | None = getattr(getattr(self.app, "state", None), "express", None)
        self._awaited: tuple[RequestResponseCycle, str] | None = None
        """A request for an express route, of which the body is still to come, and its id."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        express = self._express
        # A request that waited behind another is whole already.
        if express is not None and cycle.more_body and not self.flow.write_paused:
            request_id = express.takes(cycle)
            if request_id is not None:
                self._awaited = (cycle, request_id)
                return
        super()._start_asgi_task(cycle, app)

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        awaited, self._awaited = self._awaited, None
        if awaited is not None and self._express is not None and not self._express.begin(*awaited):
            super()._start_asgi_task(awaited[0], self.app)
