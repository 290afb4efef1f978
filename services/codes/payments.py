"""Payments over HTTP: the feed that heals what Kafka lost of its events."""

from __future__ import annotations

import httpx

from libs.events.feed import FeedClient
from services.codes.ledger import FEED_TIMEOUT_S, OwnTokens
from services.codes.settings import CodesSettings

AUDIENCE = "payments"


class Payments:
    """Payments, where it is; None of this is asked for where no address is set."""

    def __init__(self, settings: CodesSettings, url: str) -> None:
        self._url = url.rstrip("/")
        self._tokens = OwnTokens(settings.signing_path, AUDIENCE)
        self._http = httpx.AsyncClient(timeout=FEED_TIMEOUT_S)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    @property
    def feed(self) -> FeedClient:
        """The feed of payments."""
        return FeedClient(self._http, self._url, self._tokens)
