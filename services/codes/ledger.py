"""The ledger over HTTP: its feed, and balances for answers. What changes a balance goes by Kafka."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import quote

import httpx

from libs.events.feed import FeedClient
from libs.service.auth import EVENTS_READ
from libs.service.keys import issue_token, newest_key
from services.codes.core import SOURCE
from services.codes.settings import CodesSettings

TTL_S = 300
FEED_TIMEOUT_S = 10.0


class OwnTokens:
    """Short-lived tokens that the service signs for its own calls, with the key at `path` (a file, or the newest of a
    folder). The same one is given for half of its life."""

    def __init__(self, path: Path, audience: str) -> None:
        self._path = path
        self._audience = audience
        self._token = ""
        self._renew_at = 0.0

    def __call__(self) -> str:
        """A token; :class:`FileNotFoundError` where there is no key."""
        if time.monotonic() >= self._renew_at:
            key = newest_key(self._path) if self._path.is_dir() else self._path
            if key is None:
                raise FileNotFoundError(f"there is no signing key in {self._path}")
            self._token = issue_token(
                key,
                sub=SOURCE,
                audience=self._audience,
                role="system",
                scopes=[f"{self._audience}:read", EVENTS_READ],
                apps=["*"],
                ttl_s=TTL_S,
            )
            self._renew_at = time.monotonic() + TTL_S / 2
        return self._token


class Ledger:
    """What is asked of the ledger."""

    def __init__(self, settings: CodesSettings) -> None:
        self._url = settings.ledger_url
        self._timeout_s = settings.balance_s
        self._tokens = OwnTokens(settings.signing_path, "ledger")
        self._http = httpx.AsyncClient(timeout=FEED_TIMEOUT_S)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    @property
    def feed(self) -> FeedClient:
        """The ledger's feed."""
        return FeedClient(self._http, self._url, self._tokens)

    async def available(self, app: str, user: str) -> str | None:
        """What the user can spend; None when the ledger does not say so in time."""
        headers = {"Authorization": f"Bearer {self._tokens()}", "Tallystick-App": app}
        try:
            answer = await self._http.get(
                f"{self._url}/v1/accounts/{quote(user, safe='')}/state", headers=headers, timeout=self._timeout_s
            )
            return str(answer.json()["available"]) if answer.status_code == 200 else None
        except (httpx.HTTPError, ValueError, KeyError):
            return None
