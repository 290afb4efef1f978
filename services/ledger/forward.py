"""Requests for accounts that another process writes are passed on to it, with the caller's own token."""

from __future__ import annotations

from time import monotonic

import httpx
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from libs.service.db import Pool
from libs.service.problems import NotLeader, Unavailable
from services.ledger.store import heads

FORWARDED = "tallystick-forwarded"
"""Set on what is passed on; it is never passed on again."""
FORGET_S = 1.0
TIMEOUT_S = 15.0
CONNECTIONS_MAX = 64
_REQUEST_HEADERS = (
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "tallystick-app",
    "traceparent",
    "x-request-id",
)
_ANSWER_HEADERS = ("content-type", "etag", "idempotency-replayed", "retry-after", "www-authenticate")


class Peers:
    """Knows who writes which partition, and passes requests on. `own_url` is the address of this process."""

    def __init__(self, pool: Pool, own_url: str) -> None:
        self._pool = pool
        self._own_url = own_url
        self._client = httpx.AsyncClient(
            timeout=TIMEOUT_S,
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX),
        )
        self._owners: dict[int, str] = {}
        self._read_at = float("-inf")

    async def owner(self, partition: int) -> str | None:
        """The address of the process that writes a partition, if one was ever known to; at most a second old."""
        if monotonic() - self._read_at > FORGET_S:
            self._owners = {number: url for number, (_, url) in (await heads.owners(self._pool)).items()}
            self._read_at = monotonic()
        return self._owners.get(partition)

    async def pass_on(self, request: HttpRequest, partition: int, body: bytes) -> Response:
        """The owner's answer. :class:`NotLeader` if there is none, :class:`Unavailable` if it does not answer."""
        url = await self.owner(partition)
        if url is None or url == self._own_url or FORWARDED in request.headers:
            raise NotLeader("No process known here writes this account just now.")
        headers = {name: request.headers[name] for name in _REQUEST_HEADERS if name in request.headers}
        headers["x-request-id"] = request.scope["state"]["request_id"]
        headers[FORWARDED] = "1"
        path = request.scope["raw_path"].decode("ascii")
        query = request.scope["query_string"].decode("ascii")
        target = f"{url}{path}?{query}" if query else f"{url}{path}"
        try:
            answer = await self._client.request(request.method, target, content=body, headers=headers)
        except httpx.HTTPError:
            self._read_at = float("-inf")
            raise Unavailable("The process that writes this account does not answer.") from None
        kept = {name: answer.headers[name] for name in _ANSWER_HEADERS if name in answer.headers}
        return Response(answer.content, answer.status_code, kept)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()
