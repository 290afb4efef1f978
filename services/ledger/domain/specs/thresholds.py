"""Thresholds: levels whose crossing the ledger tells of."""

from __future__ import annotations

from services.ledger.domain.specs.base import Name, Strict


class ThresholdSpec(Strict):
    """A level of `available`, crossed downward; armed again at `rearm_at` (the level itself by default)."""

    below: str
    rearm_at: str | None = None
    asset: Name | None = None
