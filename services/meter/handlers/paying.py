"""One call's credits: held before it, more of them while it goes on, and settled once in the end.

Every key is made of the call's id, so that whoever settles a call, and however often, does it once.
"""

from __future__ import annotations

import logging
from typing import Any

from tallystick import (
    AsyncClient,
    CaptureExceedsTolerance,
    ConnectionFailed,
    HoldResolved,
    InsufficientCredits,
    NotFound,
    RateLimited,
    ServerError,
    TallystickError,
    Unauthorized,
)

from libs.events.failpoints import reach
from services.meter import metrics
from services.meter.domain.calls import Call, Usage
from services.meter.domain.reach import Reach
from services.meter.settings import MeterSettings

logger = logging.getLogger(__name__)

PASSING = (ConnectionFailed, RateLimited, ServerError, Unauthorized)
"""What may be otherwise when it is tried again: the ledger is away, or a token is being replaced."""


class Paying:
    """A call's dealings with the ledger."""

    def __init__(self, client: AsyncClient, settings: MeterSettings, call: Call) -> None:
        self._client = client
        self._settings = settings
        self._call = call
        self._common: dict[str, Any] = {"asset": settings.asset, "service": settings.spent_on}

    async def hold(self, output: int) -> tuple[str, Reach]:
        """Hold what the prompt and `output` tokens cost, or as many tokens as the account can pay.

        Raises InsufficientCredits when it cannot pay a single one, and whatever else the ledger refuses with.
        """
        wanted = Reach(held=0, step=max(output, 1))
        attempt = 0
        while True:
            try:
                hold = await self._client.create_hold(
                    self._call.user,
                    model=self._call.model,
                    usage={"input": self._call.input, "output": wanted.target if output else 0},
                    ttl_s=self._settings.hold_ttl_s,
                    reference=self._call.id,
                    idempotency_key=self._hold_key(attempt),
                    **self._common,
                )
            except InsufficientCredits:
                wanted.refused()
                if wanted.exhausted:
                    raise
                attempt += 1
                continue
            wanted.granted()
            wanted.step = self._settings.step_tokens
            return hold.id, wanted

    async def extend(self, hold: str, reach_: Reach) -> None:
        """Hold a step more, or find that there is no more: `reach_` tells."""
        output = reach_.target
        try:
            await self._client.extend(
                hold,
                self._settings.hold_ttl_s,
                usage={"input": self._call.input, "output": output},
                idempotency_key=f"{self._call.id}-reach-{output}",
            )
        except InsufficientCredits:
            reach_.refused()
        else:
            reach_.granted()

    async def prolong(self, hold: str) -> None:
        """Let the hold last longer."""
        await self._client.extend(hold, self._settings.hold_ttl_s)

    async def find_hold(self) -> str | None:
        """The hold that this call made before its process died, if it made one."""
        attempt = 0
        while True:
            try:
                outcome = await self._client.get_command(self._hold_key(attempt), self._call.user)
            except NotFound:
                return None
            if outcome.status < 300:
                found: str = outcome.body["id"]
                return found
            attempt += 1

    async def settle(self, hold: str | None, due: Usage | None) -> None:
        """Capture what is due, or let the hold go. Raises one of :data:`PASSING` when it must be tried again."""
        try:
            outcome = await self._settle(hold, due)
        except PASSING:
            raise
        except TallystickError as refused:
            # No repetition changes a refusal. It is for people: nothing can be taken from this account for this call.
            logger.error("call %s could not be settled: %s", self._call.id, refused)  # noqa: TRY400
            outcome = "uncollected"
        metrics.SETTLEMENTS.labels(outcome).inc()
        for unit, count in (due or {}).items():
            metrics.TOKENS.labels(unit).inc(count)

    async def _settle(self, hold: str | None, due: Usage | None) -> str:
        if hold is None:
            return "unheld"
        try:
            if due is None:
                await self._client.release(hold, idempotency_key=f"{self._call.id}-released")
                return "released"
            outcome = await self._capture(hold, due)
        except HoldResolved as ended:
            if due is None or ended.hold.get("status") != "expired":
                return "resolved"
            return await self._late(due)
        reach("meter.captured")
        return outcome

    async def _capture(self, hold: str, due: Usage) -> str:
        """Capture the usage. Where it exceeds the hold, that is widened; if the account has no more, all is taken."""
        key = f"{self._call.id}-captured"
        try:
            await self._client.capture(hold, usage=due, idempotency_key=key)
        except CaptureExceedsTolerance:
            try:
                await self._client.extend(hold, usage=due, idempotency_key=f"{self._call.id}-widened")
            except InsufficientCredits:
                logger.warning("call %s used more than its account could pay", self._call.id)
                await self._client.capture(hold, idempotency_key=f"{key}-whole")
                return "short"
            await self._client.capture(hold, usage=due, idempotency_key=f"{key}-widened")
        return "captured"

    async def _late(self, due: Usage) -> str:
        """The hold ended before its usage could be captured."""
        if self._settings.late == "drop":
            logger.warning("call %s ended after its hold; its usage is dropped", self._call.id)
            return "dropped"
        await self._client.charge(
            self._call.user,
            model=self._call.model,
            usage=due,
            reference=self._call.id,
            unique_ref=self._call.id,
            reason="late_usage",
            idempotency_key=f"{self._call.id}-late",
            **self._common,
        )
        return "late"

    def _hold_key(self, attempt: int) -> str:
        return f"{self._call.id}-hold-{attempt}"
