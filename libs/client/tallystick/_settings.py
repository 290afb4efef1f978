"""What both clients are configured with, and the headers that follow from it."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx

from ._request import Request
from ._steps import Retry
from ._version import __version__

DEFAULT_URL = "http://127.0.0.1:8001"
USER_AGENT = f"tallystick-python/{__version__} python/{platform.python_version()} httpx/{httpx.__version__}"


@dataclass(frozen=True, slots=True)
class Settings:
    """`app` names the app for tokens that hold several; `timeout_s` bounds one attempt, `retry` all of them.

    At most `connections_max` connections are open at once, of which half are kept when idle.
    """

    base_url: str = DEFAULT_URL
    app: str | None = None
    timeout_s: float = 10.0
    retry: Retry = field(default_factory=Retry)
    connections_max: int = 100

    @property
    def limits(self) -> httpx.Limits:
        """Connection limits as httpx wants them."""
        return httpx.Limits(max_connections=self.connections_max, max_keepalive_connections=self.connections_max // 2)

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
        return headers | ({"Tallystick-App": self.app} if self.app else {})


class Environment(NamedTuple):
    """TALLYSTICK_URL, TALLYSTICK_TOKEN and TALLYSTICK_APP, read when a client is built from them."""

    base_url: str
    token: str | None
    app: str | None


def environment() -> Environment:
    """What the environment says now; the address defaults to a ledger on this machine."""
    get = os.environ.get
    return Environment(get("TALLYSTICK_URL") or DEFAULT_URL, get("TALLYSTICK_TOKEN"), get("TALLYSTICK_APP"))


def headers_of(request: Request[Any], token: str | None) -> Mapping[str, str]:
    """Headers of this request beside those of every request."""
    headers = dict(request.headers)
    if request.key is not None:
        headers["Idempotency-Key"] = request.key
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return headers
