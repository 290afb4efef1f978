"""Earning rules: what an action brings in."""

from __future__ import annotations

from pydantic import Field

from services.ledger.domain.specs.base import DURATION_S_MAX, Name, Strict


class EarningRuleSpec(Strict):
    """An action that earns once per user; rules that name the same group earn once together."""

    amount: str
    asset: Name | None = None
    group: Name | None = None
    expires_after_s: int | None = Field(default=None, gt=0, le=DURATION_S_MAX)
