"""Accounts, lots, holds and charges as answers show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from services.ledger.domain.allowances import shown, threshold_shown
from services.ledger.domain.amounts import format_units
from services.ledger.domain.codec import format_time, plain
from services.ledger.domain.decide.budgets import describe as budgets_view
from services.ledger.domain.state import Account, Hold, Lot, Phase, Threshold, reset_due
from services.ledger.store.reads import ChargeRow, HoldRow


def optional_time(time_us: int | None) -> str | None:
    """An RFC 3339 time, or None."""
    return None if time_us is None else format_time(time_us)


def status_of(account: Account) -> str:
    """`open`, `frozen` or `closed`."""
    profile = account.profile
    return "closed" if profile.closed_at is not None else "frozen" if profile.frozen else "open"


def thresholds_view(thresholds: Sequence[Threshold], scale: int) -> list[dict[str, Any]]:
    """Thresholds with their levels, or in per cent of the allowance."""
    return [threshold_shown(threshold, scale) for threshold in thresholds]


def lot_status(lot: Lot) -> str:
    """`scheduled`, `live`, `expired`, `revoked` or `spent`."""
    if lot.phase == Phase.SCHEDULED:
        return "scheduled"
    if lot.phase == Phase.EXPIRED:
        return "expired"
    if lot.remaining:
        return "live"
    return "revoked" if lot.revoked else "spent"


def lot_view(lot: Lot, scale: int) -> dict[str, Any]:
    """What remains of a grant."""
    terms = lot.terms
    basis, origin = terms.cost_basis, terms.origin
    return {
        "id": terms.id,
        "status": lot_status(lot),
        "amount": format_units(terms.amount, scale),
        "remaining": format_units(lot.remaining, scale),
        "held": format_units(lot.pinned, scale),
        "spent": format_units(lot.spent, scale),
        "revoked": format_units(lot.revoked, scale),
        "breakage": format_units(lot.broken, scale),
        "source": terms.source,
        "priority": terms.priority,
        "scope": list(terms.scope),
        "granted_at": format_time(terms.granted_at),
        "effective_at": format_time(terms.effective_at),
        "expires_at": optional_time(terms.expires_at),
        "cost_basis": None if basis is None else {"amount_minor": basis.amount_minor, "currency": basis.currency},
        "origin": None if origin is None else {"kind": origin.kind, "id": origin.id},
    }


def hold_view(row: HoldRow, scale: int) -> dict[str, Any]:
    """A hold, open or resolved."""
    hold = row.hold
    terms = hold.terms
    return {
        "id": terms.id,
        "user": row.user,
        "asset": row.asset,
        "status": row.status,
        "amount": format_units(terms.amount, scale),
        "captured": format_units(hold.captured, scale),
        "remaining": format_units(hold.remaining if row.status == "open" else 0, scale),
        "service": terms.service,
        "grant": terms.grant,
        "reference": terms.reference,
        "member": terms.member,
        "created_at": format_time(terms.created_at),
        "expires_at": format_time(hold.expires_at),
        "limit_at": format_time(terms.limit_at),
        "resolved_at": optional_time(row.resolved_at),
    }


def open_hold_row(account: Account, hold: Hold) -> HoldRow:
    """An open hold of an account."""
    return HoldRow(account.profile.user, account.profile.asset, hold, "open", None)


def balances(account: Account, service: str | None = None) -> dict[str, str]:
    """The four balances; `available` counts lots scoped to `service` if one is named."""
    scale = account.profile.scale
    return {
        "settled": format_units(account.settled, scale),
        "held": format_units(account.held, scale),
        "owed": format_units(account.owed, scale),
        "available": format_units(account.available(service), scale),
    }


def _identity(account: Account) -> dict[str, Any]:
    profile = account.profile
    return {
        "user": profile.user,
        "asset": profile.asset,
        "status": status_of(account),
        "zone": profile.zone,
        "overdraft": format_units(profile.overdraft_limit, profile.scale),
        "freezes": list(profile.frozen),
        "price_list": profile.price_list,
    }


def account_view(account: Account, position: int) -> dict[str, Any]:
    """An account and its settings."""
    profile = account.profile
    return {
        **_identity(account),
        "thresholds": thresholds_view(profile.thresholds, profile.scale),
        **balances(account),
        **shown(account),
        "opened_at": format_time(profile.opened_at),
        "closed_at": optional_time(profile.closed_at),
        "account_version": account.version,
        "position": position,
        "partition": profile.partition,
    }


def state_view(
    account: Account, position: int, time_us: int, service: str | None, app_zone: ZoneInfo
) -> dict[str, Any]:
    """The one authoritative answer about an account; periods of budgets go by its zone, else by the app's."""
    profile = account.profile
    scale = profile.scale
    expiries = [
        lot.terms.expires_at
        for lot in account.lots.values()
        if lot.phase == Phase.LIVE and lot.remaining and lot.terms.expires_at is not None
    ]
    return {
        **_identity(account),
        **balances(account, service),
        "service": service,
        "overdraft_used": format_units(account.overdraft_used, scale),
        "total_granted": format_units(account.granted_total, scale),
        "total_spent": format_units(account.spent_total, scale),
        "lots": [lot_view(lot, scale) for lot in account.lots.values() if not lot.dead],
        "holds": [hold_view(open_hold_row(account, hold), scale) for hold in account.holds.values()],
        "next_expiry": optional_time(min(expiries, default=None)),
        "budgets": budgets_view(account, app_zone, time_us),
        **shown(account),
        "next_reset": optional_time(reset_due(account)),
        "account_version": account.version,
        "time": format_time(time_us),
        "position": position,
        "partition": profile.partition,
    }


def charge_view(row: ChargeRow, scale: int) -> dict[str, Any]:
    """A charge as it stands."""
    charge = row.charge
    parts = [
        {"kind": part.kind, "amount": format_units(part.amount, scale), **({"grant": part.lot} if part.lot else {})}
        for part in charge.parts
    ]
    return {
        "id": charge.id,
        "user": row.user,
        "asset": row.asset,
        "amount": format_units(charge.amount, scale),
        "refunded": format_units(charge.refunded, scale),
        "service": charge.service,
        "hold": charge.hold,
        "reference": charge.reference,
        "member": charge.member,
        "time": format_time(charge.charged_at),
        "parts": parts,
        "priced": None if charge.priced is None else plain(charge.priced, scale),
    }
