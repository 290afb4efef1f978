"""Asking the ledger for the credits of redemptions, and for them back."""

from __future__ import annotations

from libs.events.commands import send_command
from libs.events.contracts.ledger.commands import GrantCredits, RevokeGrant
from libs.events.db import Connection
from libs.events.outbox import Cause
from libs.service.clock import SECOND_US, to_datetime
from services.codes.core import Core
from services.codes.domain.amounts import format_amount
from services.codes.domain.codes import Code
from services.codes.domain.redemptions import Redemption


async def send_grant(core: Core, connection: Connection, redemption: Redemption, code: Code, cause: Cause) -> str:
    """Ask the ledger for the credits of a redemption, once for ever; the command's id. They expire from now on."""
    now_us = await core.now_us(redemption.app)
    promised = code.terms.credits
    assert promised is not None and redemption.amount is not None  # noqa: S101 - only such redemptions come here
    expires = promised.expires_after_s
    command = GrantCredits(
        user=redemption.user_id,
        amount=format_amount(redemption.amount),
        source=code.source,
        scope=promised.scope,
        expires_at=None if expires is None else to_datetime(now_us + expires * SECOND_US),
        unique_ref=redemption.id,
        reference=redemption.id,
        reason=f"{code.kind}_code",
    )
    return await send_command(
        connection,
        core.outbox,
        command,
        app=redemption.app,
        user=redemption.user_id,
        idempotency_key=redemption.id,
        cause=cause,
    )


async def send_revoke(core: Core, connection: Connection, redemption: Redemption, grant: str, cause: Cause) -> str:
    """Ask the ledger to take the credits of a redemption back, by the app's policy; the command's id."""
    command = RevokeGrant(
        grant=grant,
        policy=core.configs.get(redemption.app).document.codes.refund_policy,
        unique_ref=redemption.id,
        reference=redemption.id,
        reason="payment_refunded",
    )
    return await send_command(
        connection,
        core.outbox,
        command,
        app=redemption.app,
        user=redemption.user_id,
        idempotency_key=f"{redemption.id}:revoke",
        cause=cause,
    )
