"""How codes and batches are shown."""

from __future__ import annotations

from typing import Any

from libs.service.clock import format_time
from services.codes.domain.amounts import format_amount
from services.codes.domain.codes import Code
from services.codes.domain.discounts import Discount
from services.codes.domain.managing import shown_status
from services.codes.store.batches import Batch


def code_view(code: Code, now_us: int) -> dict[str, Any]:
    """A code as staff see it. `code` is the text of a public one; of the others only the last four are known."""
    lot, discount = code.terms.credits, code.terms.discount or Discount()
    return {
        "id": code.id,
        "code": code.text,
        "last4": code.last4,
        "kind": code.kind,
        "name": code.name,
        "status": shown_status(code, now_us),
        "amount": None if lot is None else format_amount(lot.amount),
        "scope": [] if lot is None else list(lot.scope),
        "source": None if lot is None else code.source,
        "expires_after_s": None if lot is None else lot.expires_after_s,
        "percent_off": None if discount.percent_off is None else format_amount(discount.percent_off),
        "amount_off": discount.amount_off_minor,
        "currency": discount.currency,
        "min_minor": discount.min_minor,
        "max_off_minor": discount.max_off_minor,
        "service": discount.service,
        "max_uses": code.max_uses,
        "per_user_limit": code.per_user_limit,
        "reserved": code.reserved,
        "redeemed": code.redeemed,
        "balance": None if code.balance is None else format_amount(code.balance),
        "starts_at": _time(code.starts_at),
        "ends_at": _time(code.ends_at),
        "audience": {"who": code.audience.who, "users": sorted(code.audience.users), "days": code.audience.days},
        "campaign": code.campaign_id,
        "batch": code.batch_id,
        "frozen_at": _time(code.frozen_at),
        "version": code.version,
        "created_at": _time(code.created_at),
        "created_by": code.created_by,
    }


def batch_view(batch: Batch) -> dict[str, Any]:
    """A batch with its progress: `made` of `count`."""
    return {
        "id": batch.id,
        "name": batch.name,
        "status": batch.status,
        "count": batch.count,
        "made": batch.made,
        "progress": batch.made / batch.count,
        "campaign": batch.campaign_id,
        "exported_at": _time(batch.exported_at),
        "ready_at": _time(batch.ready_at),
        "created_at": _time(batch.created_at),
        "created_by": batch.created_by,
        "terms": batch.spec,
    }


def _time(time_us: int | None) -> str | None:
    return None if time_us is None else format_time(time_us)
