"""What may become of a code that is there: its status as people see it, and which terms may still change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from services.codes.domain.codes import Code

Shown = Literal["active", "paused", "void", "expired", "used_up"]
"""A code that is not valid yet is active: its `starts_at` says so."""

CHANGEABLE = frozenset({"name", "ends_at"})
"""What may change after the first use; so may `max_uses`, upwards."""


def shown_status(code: Code, now_us: int) -> Shown:
    """The status of a code as it is listed; the first that holds of void, paused, expired, used up."""
    if code.status != "active":
        return code.status
    if code.ends_at is not None and now_us >= code.ends_at:
        return "expired"
    if (code.max_uses is not None and code.reserved + code.redeemed >= code.max_uses) or code.balance == 0:
        return "used_up"
    return "active"


def changed_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The names of what differs between two specifications, in their order."""
    return [name for name in before if before[name] != after[name]]


def frozen_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Those of the differences that a code in use does not allow."""
    return [
        name for name in changed_fields(before, after) if name not in CHANGEABLE and not _raised(name, before, after)
    ]


def _raised(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether this is a number of uses that grew; None is without a limit."""
    if name != "max_uses":
        return False
    return after[name] is None or (before[name] is not None and after[name] > before[name])
