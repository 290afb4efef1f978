"""A piece of work that is paid for: credits are held before it, captured after it, and released if it fails.

What decorator and middleware share. Under a key of the caller's, work that failed may be tried again: a hold that was
let go, or a refusal that is only being repeated, makes way for another under the next key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from ._async_client import AsyncClient
from ._async_hold import AsyncHolding
from ._client import Client
from ._hold import Holding
from .errors import TallystickError
from .models import Capture
from .values import Amount, Usage

ATTEMPTS_MAX = 100
"""How often work under one key may fail before it is refused for good."""
_ENDED_IN_VAIN = frozenset({"released", "expired"})


@dataclass(frozen=True, slots=True)
class Terms:
    """Whose credits are held, and how many: `cost` are the arguments of `hold` beside the user and the key."""

    user: str
    cost: Mapping[str, Any]
    key: str | None = None

    def arguments(self, attempt: int) -> dict[str, Any]:
        """The arguments of `hold` for this attempt, counted from 0."""
        key = self.key if attempt == 0 or self.key is None else f"{self.key}~{attempt}"
        return {**self.cost, "idempotency_key": key}

    def is_over(self, refused: TallystickError, attempt: int) -> bool:
        """Whether a refusal is the answer. A repeated one only says that an earlier attempt could not pay."""
        return self.key is None or not refused.replayed or attempt + 1 >= ATTEMPTS_MAX


def captured_once(hold_id: str, amount: Amount | None, usage: Usage | None) -> dict[str, Any]:
    """The arguments of the one capture that ends a hold, whoever sends it and however often."""
    return {"amount": amount, "usage": usage, "idempotency_key": f"{hold_id}-captured"}


class Sale:
    """Paid work of the blocking client, as a `with` statement. Raises what `hold` raises."""

    def __init__(self, client: Client, terms: Terms) -> None:
        self._client, self._terms = client, terms
        self.hold: Holding
        self.repeats: str | None = None
        """The status of the hold that an earlier attempt under this key left: `open` or `captured`; else None."""

    def __enter__(self) -> Self:
        for attempt in range(ATTEMPTS_MAX):
            hold = self._client.hold(self._terms.user, **self._terms.arguments(attempt))
            try:
                hold.__enter__()
            except TallystickError as refused:
                if self._terms.is_over(refused, attempt):
                    raise
                continue
            self.hold, self.repeats = hold, None
            if not hold.hold.replayed:
                return self
            hold.disown()
            try:
                self.repeats = self._client.get_hold(hold.id).status
            except BaseException:
                hold.__exit__(None, None, None)
                raise
            if self.repeats not in _ENDED_IN_VAIN:
                return self
            hold.__exit__(None, None, None)
        raise RuntimeError(f"the work under the key {self._terms.key!r} failed {ATTEMPTS_MAX} times")

    def capture(self, amount: Amount | None = None, usage: Usage | None = None) -> Capture:
        """Charge for the work, all that is held unless it is said; once, however often it is called."""
        return self.hold.capture(**captured_once(self.hold.id, amount, usage))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hold.__exit__(kind, error, trace)


class AsyncSale:
    """Paid work of the asyncio client, as an `async with` statement. Raises what `hold` raises."""

    def __init__(self, client: AsyncClient, terms: Terms) -> None:
        self._client, self._terms = client, terms
        self.hold: AsyncHolding
        self.repeats: str | None = None
        """The status of the hold that an earlier attempt under this key left: `open` or `captured`; else None."""

    async def __aenter__(self) -> Self:
        for attempt in range(ATTEMPTS_MAX):
            hold = self._client.hold(self._terms.user, **self._terms.arguments(attempt))
            try:
                await hold.__aenter__()
            except TallystickError as refused:
                if self._terms.is_over(refused, attempt):
                    raise
                continue
            self.hold, self.repeats = hold, None
            if not hold.hold.replayed:
                return self
            hold.disown()
            try:
                self.repeats = (await self._client.get_hold(hold.id)).status
            except BaseException:
                await hold.__aexit__(None, None, None)
                raise
            if self.repeats not in _ENDED_IN_VAIN:
                return self
            await hold.__aexit__(None, None, None)
        raise RuntimeError(f"the work under the key {self._terms.key!r} failed {ATTEMPTS_MAX} times")

    async def capture(self, amount: Amount | None = None, usage: Usage | None = None) -> Capture:
        """Charge for the work, all that is held unless it is said; once, however often it is called."""
        return await self.hold.capture(**captured_once(self.hold.id, amount, usage))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.hold.__aexit__(kind, error, trace)
