"""The ledger as the proxy uses it: a client for each app, all with the proxy's own token."""

from __future__ import annotations

from collections.abc import Callable

from tallystick import AsyncClient, Retry

from libs.service.auth import ROLE_SCOPES
from libs.service.keys import issue_token, newest_key
from services.meter.settings import MeterSettings

OWN_TOKEN_S = 3600
CALLER = "meter"
"""The `sub` of a token of the proxy's own making, to which its idempotency keys belong."""


class NoToken(RuntimeError):
    """There is nothing that the proxy could show the ledger."""


class Ledgers:
    """Clients by app; close it at the end."""

    def __init__(self, settings: MeterSettings) -> None:
        self._settings = settings
        self._clients: dict[str, AsyncClient] = {}
        token_source(settings)()

    def of(self, app: str) -> AsyncClient:
        """The client that speaks for this app."""
        if app not in self._clients:
            settings = self._settings
            self._clients[app] = AsyncClient(
                settings.ledger,
                token_source(settings),
                app=app,
                timeout_s=settings.ledger_s,
                retry=Retry(attempts=5, total_s=settings.ledger_s, first_s=0.02, max_s=1.0),
                connections_max=settings.calls_max,
            )
        return self._clients[app]

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.aclose()


def token_source(settings: MeterSettings) -> Callable[[], str]:
    """What gives the token, and a new one when it has expired. Raises :class:`NoToken` when asked in vain."""

    def given() -> str:
        if settings.token_file is not None:
            return settings.token_file.read_text().strip()
        if settings.token is not None:
            return settings.token.get_secret_value()
        key = newest_key(settings.data / "keys")
        if key is None:
            raise NoToken("set TALLYSTICK_METER_TOKEN or TALLYSTICK_METER_TOKEN_FILE: this machine has no key")
        return issue_token(
            key,
            sub=CALLER,
            audience="ledger",
            role="service",
            scopes=sorted(ROLE_SCOPES["service"]),
            apps=["*"],
            ttl_s=OWN_TOKEN_S,
        )

    return given
