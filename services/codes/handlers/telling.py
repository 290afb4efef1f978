"""What events say of a redemption."""

from __future__ import annotations

from typing import Any

from libs.service.clock import to_datetime
from services.codes.domain.amounts import format_amount
from services.codes.domain.redemptions import Redemption


def time_text(time_us: int) -> str:
    """RFC 3339 in UTC with microseconds, as events write times."""
    return to_datetime(time_us).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def facts_of(redemption: Redemption) -> dict[str, Any]:
    """The fields that every event of a redemption has."""
    return {
        "redemption": redemption.id,
        "code": redemption.code_id,
        "kind": redemption.kind,
        "campaign": redemption.campaign_id,
        "batch": redemption.batch_id,
        "checkout": redemption.checkout,
        "amount": None if redemption.amount is None else format_amount(redemption.amount),
        "discount_minor": redemption.discount_minor,
        "currency": redemption.currency,
    }
