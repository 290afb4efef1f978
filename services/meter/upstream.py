"""The API behind the proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx

from services.meter.settings import MeterSettings

_PASSED_ON = frozenset({"openai-organization", "openai-project", "openai-beta", "user-agent", "accept-language"})
_PASSED_BACK = frozenset({"content-type", "retry-after", "openai-processing-ms", "openai-version"})


class UpstreamFailed(Exception):
    """The upstream could not be reached, broke off, or took too long."""


class Upstream:
    """Sends requests with the proxy's own key; nothing is tried twice."""

    def __init__(self, settings: MeterSettings) -> None:
        headers = {"Accept-Encoding": "identity"}
        if (token := settings.upstream_token) is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx.AsyncClient(
            base_url=settings.upstream_root,
            headers=headers,
            timeout=httpx.Timeout(settings.silence_s, connect=settings.connect_s, pool=settings.connect_s),
            limits=httpx.Limits(max_connections=settings.calls_max, max_keepalive_connections=settings.calls_max),
            follow_redirects=False,
        )

    @asynccontextmanager
    async def send(
        self, method: str, target: str, content: bytes, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        """An answer whose body is still to be read; leaving closes it. Raises :class:`UpstreamFailed`."""
        passed = {name: value for name, value in headers.items() if name.lower() in _PASSED_ON}
        if content:
            passed["Content-Type"] = "application/json"
        try:
            async with self._http.stream(method, target, content=content, headers=passed) as response:
                yield response
        except httpx.HTTPError as error:
            raise UpstreamFailed(f"{type(error).__name__}: {error}".rstrip(": ")) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()


def passed_back(response: httpx.Response) -> dict[str, str]:
    """The headers of an answer that its caller gets."""
    return {name: value for name, value in response.headers.items() if name.lower() in _PASSED_BACK}


async def body_of(response: httpx.Response, bytes_max: int) -> bytes:
    """A whole body. Raises :class:`UpstreamFailed` when it is longer than that."""
    pieces, length = [], 0
    async for piece in response.aiter_raw():
        pieces.append(piece)
        length += len(piece)
        if length > bytes_max:
            raise UpstreamFailed(f"the answer is longer than {bytes_max} bytes")
    return b"".join(pieces)
