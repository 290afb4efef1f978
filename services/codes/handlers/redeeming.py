"""A redemption from its request to its answer: reserve, wait for the ledger, settle, and say what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import orjson

from libs.events.commands import Answers
from libs.events.db import Connection
from libs.events.failpoints import reach
from libs.service.clock import format_time
from libs.service.once import Effect, Result, Wish, amend, once, refusal
from libs.service.problems import NotFound, Problem
from services.codes import metrics
from services.codes.core import Core
from services.codes.domain.amounts import format_amount
from services.codes.domain.redemptions import Redemption
from services.codes.handlers import guarding
from services.codes.handlers.guarding import Told
from services.codes.handlers.outcomes import settle
from services.codes.handlers.refusing import refused
from services.codes.handlers.reserving import Order
from services.codes.ledger import Ledger
from services.codes.store import redemptions


class GrantRefused(Problem):
    """The ledger did not take the credits; the use of the code was given back."""

    status = 409
    code = "grant_refused"
    title = "The credits could not be added"
    next = "The code was not used. `reason` is the ledger's: clear it there and redeem the code again."


@dataclass(slots=True)
class Desk:
    """What redeems: the process's core, what waits for outcomes, and the ledger for the new balance."""

    core: Core
    answers: Answers
    ledger: Ledger

    async def redeem(self, wish: Wish, order: Order) -> Result:
        """Redeem once under the wish's key. 201 with what came of it, or 202 while the ledger has not told."""

        async def effect(connection: Connection) -> Result:
            try:
                redemption = await guarding.redeem(self.core, connection, order)
            except Told as told:
                return refused(self.core, told, order, wish)
            reach("redemption.reserved")
            return _result(redemption)

        with metrics.DURATION.time():
            return await self._redeemed(wish, order, effect)

    async def _redeemed(self, wish: Wish, order: Order, effect: Effect) -> Result:
        result = await once(self.core.pool, wish, effect)
        reach("redemption.committed")
        if result.status != 202:
            return result
        told = await self._finished(wish, order.app, orjson.loads(result.body)["id"])
        if told.status != 202:
            # From now on a repeat gets these bytes.
            await amend(self.core.pool, wish, told)
        return replace(told, replayed=result.replayed)

    async def _finished(self, wish: Wish, app: str, redemption_id: str) -> Result:
        """What came of a redemption whose command was sent, if the ledger tells in time."""
        redemption = await self.find(app, redemption_id)
        if redemption.waiting and redemption.command_id is not None:
            redemption = await self._settled(redemption, redemption.command_id)
        if redemption.status == "released":
            return refusal(grant_refused(redemption), wish)
        available = None
        if redemption.status == "confirmed":
            available = await self.ledger.available(app, redemption.user_id)
        return _result(redemption, available)

    async def _settled(self, redemption: Redemption, command_id: str) -> Redemption:
        try:
            outcome = await self.answers.outcome(command_id, self.core.settings.answer_s)
        except TimeoutError:
            return redemption
        async with self.core.pool.acquire() as connection, connection.transaction():
            await settle(self.core, connection, {command_id: outcome})
        reach("redemption.told")
        return await self.find(redemption.app, redemption.id)

    async def find(self, app: str, redemption_id: str) -> Redemption:
        """The redemption; 404 `redemption_not_found`."""
        redemption = await redemptions.by_id(self.core.pool, app, redemption_id)
        if redemption is None:
            raise NotFound("redemption")
        return redemption


def grant_refused(redemption: Redemption) -> GrantRefused:
    """Why the ledger did not take the credits of a released redemption."""
    told = redemption.granted or {}
    return GrantRefused(told.get("detail"), extra={"id": redemption.id, "reason": redemption.refusal})


def shown(redemption: Redemption) -> dict[str, Any]:
    """A redemption as answers show it."""
    return {
        "id": redemption.id,
        "status": redemption.status,
        "code": redemption.code_id,
        "kind": redemption.kind,
        "user": redemption.user_id,
        "amount": None if redemption.amount is None else format_amount(redemption.amount),
        "balance": None if redemption.balance is None else format_amount(redemption.balance),
        "checkout": redemption.checkout,
        "discount_minor": redemption.discount_minor,
        "currency": redemption.currency,
        "grant": (redemption.granted or {}).get("grant"),
        "reason": redemption.refusal,
        "entitlement": redemption.entitlement_id,
        "campaign": redemption.campaign_id,
        "batch": redemption.batch_id,
        "reserved_at": format_time(redemption.reserved_at),
        "expires_at": None if redemption.expires_at is None else format_time(redemption.expires_at),
        "ended_at": None if redemption.ended_at is None else format_time(redemption.ended_at),
    }


def status_url(redemption_id: str) -> str:
    """Where it is told what becomes of a redemption."""
    return f"/v1/redemptions/{redemption_id}"


def _result(redemption: Redemption, available: str | None = None) -> Result:
    body = {**shown(redemption), "available": available}
    if redemption.waiting:
        return Result(202, orjson.dumps({**body, "status_url": status_url(redemption.id)}))
    return Result(201, orjson.dumps(body))
