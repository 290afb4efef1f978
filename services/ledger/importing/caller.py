"""How an import reaches the ledger: batches of commands over HTTP, sent again with the same keys until answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx

from libs.service.cli_support import EXIT_UNREACHABLE, CliError
from services.ledger.importing.sending import Command

RETRIED = frozenset({429, 502, 503, 504})
PAUSE_FIRST_S, PAUSE_MAX_S = 0.2, 5.0
ATTEMPTS = 12
"""About a minute of trying, which a take-over or a restart of the ledger needs less than half of."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one command came to: the body of its answer, or of its problem."""

    status: int
    body: dict[str, Any]
    replayed: bool

    @property
    def done(self) -> bool:
        """Whether it has its effect, now or by an earlier run."""
        return self.status < HTTPStatus.BAD_REQUEST


class Caller:
    """The ledger of one app. `token` gives a bearer token that is good now, asked for each request."""

    def __init__(self, http: httpx.AsyncClient, app: str, token: Callable[[], str]) -> None:
        self._http = http
        self._app = app
        self._token = token

    async def batch(self, commands: Sequence[Command]) -> list[Result]:
        """The results of these commands, in order; each may be refused by itself."""
        again = list(range(len(commands)))
        results: list[Result | None] = [None] * len(commands)
        for attempt in range(ATTEMPTS):
            answer = await self._call("POST", "/v1/batch", {"atomic": False, "commands": [commands[i] for i in again]})
            for i, item in zip(again, answer["results"], strict=True):
                results[i] = Result(item["status"], item.get("body") or item.get("problem") or {}, item["replayed"])
            again = [i for i in again if (found := results[i]) is not None and found.status in RETRIED]
            if not again:
                break
            await asyncio.sleep(min(PAUSE_FIRST_S * 2**attempt, PAUSE_MAX_S))
        return [result for result in results if result is not None]

    async def get(self, path: str) -> dict[str, Any] | None:
        """What a route answers, None for 404."""
        found: dict[str, Any] | None = await self._call("GET", path, None, missing=True)
        return found

    async def _call(self, method: str, path: str, json: Any, *, missing: bool = False) -> Any:
        headers = {"Tallystick-App": self._app}
        problem = "no answer"
        for attempt in range(ATTEMPTS):
            headers["Authorization"] = f"Bearer {self._token()}"
            try:
                response = await self._http.request(method, path, json=json, headers=headers)
            except httpx.TransportError as error:
                problem = str(error) or type(error).__name__
            else:
                if response.is_success:
                    return response.json()
                if missing and response.status_code == HTTPStatus.NOT_FOUND:
                    return None
                problem = response.text[:300]
                if response.status_code not in RETRIED:
                    raise CliError(f"the ledger answered {response.status_code} to {method} {path}: {problem}")
            await asyncio.sleep(min(PAUSE_FIRST_S * 2**attempt, PAUSE_MAX_S))
        raise CliError(f"the ledger does not answer {method} {path}: {problem}", EXIT_UNREACHABLE)
