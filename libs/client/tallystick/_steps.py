"""How a request is carried out, as a generator without I/O: what to send, how long to wait, when to give up.

Both clients drive the same generators, one awaiting and one blocking, so that they cannot differ in anything but that.
"""

import json
import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx

from ._request import Reply, Request
from .errors import ConnectionFailed, TallystickError, UnexpectedAnswer, WaitTimedOut, error_of
from .models import Transfer

T = TypeVar("T")

RETRIED = frozenset({429, 502, 503, 504})
_HOPELESS = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)
_WAIT_FIRST_S = 0.05
_WAIT_MAX_S = 2.0


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how long a request is tried: up to `attempts` times, all within `total_s` seconds.

    Before attempt n + 1 it waits a random time up to `first_s * 2**(n - 1)`, at most `max_s`, or as long as the
    ledger asked for.
    """

    attempts: int = 6
    total_s: float = 30.0
    first_s: float = 0.1
    max_s: float = 5.0

    def pause_s(self, attempt: int, uniform: Callable[[float, float], float]) -> float:
        """Seconds to wait after the failed attempt number `attempt` (from 1)."""
        return uniform(0.0, min(self.max_s, self.first_s * 2.0 ** (attempt - 1)))


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request; the outcome is a response, or the error that came instead."""

    request: Request[Any]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class RenewToken:
    """Ask for a token anew, unless the one in use is no longer `stale`, the one that was refused."""

    stale: str


Step = Send | Sleep | RenewToken
Outcome = httpx.Response | httpx.RequestError | None
Steps = Generator[Step, Outcome, T]


@dataclass(frozen=True, slots=True)
class Conduct:
    """How a client carries out its requests. `clock` gives monotonic seconds."""

    retry: Retry
    timeout_s: float
    renewable: bool
    clock: Callable[[], float] = time.monotonic
    uniform: Callable[[float, float], float] = random.SystemRandom().uniform

    def under(self, retry: Retry | None) -> "Conduct":
        """The same under another retry policy, if one is given."""
        return self if retry is None else replace(self, retry=retry)


def converse(request: Request[T], conduct: Conduct) -> Steps[T]:
    """Carry out one request: retries with the same key what may be retried, renews an expired token once."""
    retry, deadline = conduct.retry, conduct.clock() + conduct.retry.total_s
    attempt, renewed = 0, False
    while True:
        left_s = max(deadline - conduct.clock(), 0.001)
        outcome = yield Send(request, min(conduct.timeout_s, left_s))
        attempt += 1
        if isinstance(outcome, httpx.Response):
            if outcome.is_success:
                return _parsed(outcome, request)
            error = refusal(outcome, request.key)
            if error.code == "token_expired" and conduct.renewable and not renewed:
                renewed = True
                yield RenewToken(outcome.request.headers.get("Authorization", "").removeprefix("Bearer "))
                continue
            again = outcome.status_code in RETRIED
        else:
            error = failure(outcome, request.key)
            again = not isinstance(outcome, _HOPELESS)
        pause_s = max(retry.pause_s(attempt, conduct.uniform), error.retry_after_s or 0.0)
        if not again or attempt >= retry.attempts or conduct.clock() + pause_s >= deadline:
            raise error from (outcome if isinstance(outcome, Exception) else None)
        yield Sleep(pause_s)


def settle(request: Request[Transfer], conduct: Conduct, wait_s: float) -> Steps[Transfer]:
    """Ask for a transfer until its outcome is there, for at most `wait_s` seconds. Raises WaitTimedOut after that."""
    deadline, pause_s = conduct.clock() + wait_s, _WAIT_FIRST_S
    while True:
        transfer = yield from converse(request, conduct)
        if not transfer.pending:
            return transfer
        left_s = deadline - conduct.clock()
        if left_s <= 0:
            raise WaitTimedOut(f"{transfer.id} is still pending after {wait_s} s; it will be settled all the same")
        yield Sleep(min(pause_s, left_s))
        pause_s = min(pause_s * 2, _WAIT_MAX_S)


def _parsed(response: httpx.Response, request: Request[T]) -> T:
    try:
        return request.parse(_reply(response))
    except UnexpectedAnswer as error:
        error.status, error.idempotency_key = response.status_code, request.key
        raise


def _reply(response: httpx.Response) -> Reply:
    return Reply(
        _body(response),
        replayed=_replayed(response),
        etag=response.headers.get("ETag"),
    )


def _body(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content)
    except ValueError as error:
        asked = f"{response.request.method} {response.request.url}"
        raise UnexpectedAnswer(f"{asked} answered {response.status_code} with something that is not JSON") from error


def _replayed(response: httpx.Response) -> bool:
    return bool(response.headers.get("Idempotency-Replayed", "").lower() == "true")


def refusal(response: httpx.Response, key: str | None) -> TallystickError:
    """The error that an answer which is no success stands for; its body has been read."""
    try:
        problem = _body(response)
    except UnexpectedAnswer:
        problem = {}
    return error_of(
        response.status_code,
        problem if isinstance(problem, Mapping) else {},
        idempotency_key=key,
        retry_after_s=_retry_after_s(response.headers.get("Retry-After")),
        replayed=_replayed(response),
    )


def failure(error: httpx.RequestError | None, key: str | None) -> ConnectionFailed:
    """What it means that no answer came."""
    return ConnectionFailed(f"{type(error).__name__}: {error}".rstrip(": "), idempotency_key=key)


def _retry_after_s(header: str | None) -> float | None:
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds())
