"""Readiness: named checks that all must pass before traffic should come here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

logger = logging.getLogger(__name__)

Check: TypeAlias = Callable[[], Awaitable[object]]

CHECK_TIMEOUT_S = 2.0


class NotReady(Exception):
    """Raised by a check to say in its own words, fit for anybody's eyes, why traffic should not come."""


class Health:
    """The checks of one process. A check is an async function that raises when its part cannot serve."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}

    def add(self, name: str, check: Check) -> None:
        """Add a named check."""
        self._checks[name] = check

    async def run(self) -> tuple[bool, dict[str, dict[str, Any]]]:
        """Whether all pass, and each by name as `{"ok": bool, "detail": str}` (detail only of a failure)."""
        results = await asyncio.gather(*(self._one(name, check) for name, check in self._checks.items()))
        checks = dict(zip(self._checks, results, strict=True))
        return all(result["ok"] for result in results), checks

    async def _one(self, name: str, check: Check) -> dict[str, Any]:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await check()
        except NotReady as error:
            return {"ok": False, "detail": str(error)}
        except TimeoutError:
            return {"ok": False, "detail": f"no answer within {CHECK_TIMEOUT_S:g} s"}
        except Exception as error:
            # The page is open to everybody: what went wrong inside stays in the log.
            logger.warning("a readiness check failed", extra={"check": name, "error": str(error)})
            return {"ok": False, "detail": "failed; see the log"}
        return {"ok": True}
