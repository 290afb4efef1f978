"""Rows of the projections to domain values and back."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

import orjson
from asyncpg import Record

from libs.service.clock import from_datetime, to_datetime
from services.ledger.domain.budgets import Budget, Budgets, Count, Reservation
from services.ledger.domain.pricing.card import Rate, RateCard
from services.ledger.domain.records import QuoteRecord
from services.ledger.domain.state import (
    Account,
    Allowance,
    CostBasis,
    Crossing,
    Earned,
    Hold,
    HoldTerms,
    Lot,
    LotTerms,
    Origin,
    Phase,
    Profile,
    Slice,
    Threshold,
)

ACCOUNT_COLUMNS = (
    "app, user_id, asset, partition, version, changed_at, settled, held, owed, overdraft_used, granted_total,"
    " spent_total, due_at, facts"
)
LOT_COLUMNS = (
    "id, partition, app, user_id, asset, amount, source, priority, granted_at, effective_at, expires_at, scope,"
    " cost_basis, origin, remaining, pinned, phase, revoked, broken, revoking, revoke_policy, live"
)
QUOTE_COLUMNS = "id, app, user_id, asset, card, usage, made_at, valid_until"
_ALLOWANCE = fields(Allowance)
HOLD_COLUMNS = (
    "id, partition, app, user_id, asset, amount, created_at, limit_at, expires_at, service, grant_id, member,"
    " reference, slices, captured, status, resolved_at, card"
)


def moment(time_us: int | None) -> datetime | None:
    """A time of the domain as PostgreSQL takes it."""
    return None if time_us is None else to_datetime(time_us)


def _time_us(value: datetime | None) -> int | None:
    return None if value is None else from_datetime(value)


def facts_of(account: Account) -> str:
    """What seldom changes about an account, as the JSON text of its row; keys in a fixed order."""
    profile = account.profile
    facts: dict[str, Any] = {"scale": profile.scale, "opened_at": profile.opened_at}
    if profile.closed_at is not None:
        facts["closed_at"] = profile.closed_at
    if profile.zone is not None:
        facts["zone"] = profile.zone
    if profile.overdraft_limit:
        facts["overdraft_limit"] = profile.overdraft_limit
    if profile.frozen:
        facts["frozen"] = profile.frozen
    if profile.thresholds:
        facts["thresholds"] = [
            [t.level, t.rearm_at] if t.percent is None else [t.level, t.rearm_at, t.percent, t.rearm_percent]
            for t in profile.thresholds
        ]
    if profile.price_list is not None:
        facts["price_list"] = profile.price_list
    if account.earned:
        facts["earned"] = account.earned
    if account.crossings:
        facts["crossings"] = {str(k): [c.generation, c.armed] for k, c in sorted(account.crossings.items())}
    if account.earned_times:
        facts["earned_times"] = _earned_facts(account.earned_times)
    if account.earned_under:
        facts["earned_under"] = _earned_facts(account.earned_under)
    if account.budgets is not None:
        facts["budgets"] = _budgets_facts(account.budgets)
    if account.allowance is not None:
        facts["allowance"] = {
            f.name: value for f in _ALLOWANCE if (value := getattr(account.allowance, f.name)) != f.default
        }
    return orjson.dumps(facts).decode()


def _earned_facts(earned: dict[str, Earned]) -> dict[str, list[Any]]:
    return {name: [each.period, each.amount, each.until] for name, each in earned.items()}


def _budgets_facts(book: Budgets) -> dict[str, list[Any]]:
    """Budgets as lists of lists; `reserved` names each hold with what it reserves."""
    return {
        "set": [[b.name, b.period, b.limit, b.hard, b.member, b.key, b.since, b.version] for b in book.budgets],
        "counts": [[*key, count.start, count.end, count.used, count.told] for key, count in book.counts.items()],
        "reserved": [
            [hold, [[part.name, part.member, part.end, part.amount] for part in parts]]
            for hold, parts in book.reserved.items()
        ],
    }


def _budgets_of(facts: dict[str, list[Any]] | None) -> Budgets | None:
    if facts is None:
        return None
    return Budgets(
        tuple(Budget(*each) for each in facts["set"]),
        {(name, member): Count(*each) for name, member, *each in facts["counts"]},
        {hold: tuple(Reservation(*part) for part in parts) for hold, parts in facts["reserved"]},
    )


def account_of(row: Record) -> Account:
    """The account of a row, without its lots and holds."""
    facts = orjson.loads(row["facts"])
    profile = Profile(
        row["app"],
        row["user_id"],
        row["asset"],
        facts["scale"],
        row["partition"],
        facts["opened_at"],
        facts.get("closed_at"),
        facts.get("zone"),
        facts.get("overdraft_limit", 0),
        tuple(facts.get("frozen", ())),
        tuple(Threshold(*pair) for pair in facts.get("thresholds", ())),
        facts.get("price_list"),
    )
    return Account(
        profile,
        row["version"],
        from_datetime(row["changed_at"]),
        row["settled"],
        row["held"],
        row["owed"],
        row["overdraft_used"],
        row["granted_total"],
        row["spent_total"],
        _time_us(row["due_at"]),
        earned=facts.get("earned", {}),
        crossings={int(k): Crossing(*pair) for k, pair in facts.get("crossings", {}).items()},
        earned_times={name: Earned(*each) for name, each in facts.get("earned_times", {}).items()},
        earned_under={name: Earned(*each) for name, each in facts.get("earned_under", {}).items()},
        budgets=_budgets_of(facts.get("budgets")),
        allowance=_allowance_of(facts.get("allowance")),
    )


def _allowance_of(facts: dict[str, Any] | None) -> Allowance | None:
    return None if facts is None else Allowance(**{**facts, "lots": tuple(facts.get("lots", ()))})


def lot_of(row: Record) -> Lot:
    """The lot of a row."""
    basis = row["cost_basis"]
    origin = row["origin"]
    terms = LotTerms(
        row["id"],
        row["amount"],
        row["source"],
        row["priority"],
        from_datetime(row["granted_at"]),
        from_datetime(row["effective_at"]),
        _time_us(row["expires_at"]),
        tuple(row["scope"]),
        None if basis is None else CostBasis(**orjson.loads(basis)),
        None if origin is None else Origin(**orjson.loads(origin)),
    )
    return Lot(
        terms,
        row["remaining"],
        row["pinned"],
        Phase(row["phase"]),
        row["revoked"],
        row["broken"],
        row["revoking"],
        row["revoke_policy"],
    )


def hold_of(row: Record) -> Hold:
    """The open hold of a row."""
    terms = HoldTerms(
        row["id"],
        row["amount"],
        from_datetime(row["created_at"]),
        from_datetime(row["limit_at"]),
        row["service"],
        row["grant_id"],
        row["member"],
        row["reference"],
        None if row["card"] is None else card_of(row["card"]),
    )
    slices = tuple(Slice(lot, amount) for lot, amount in orjson.loads(row["slices"]))
    return Hold(terms, slices, from_datetime(row["expires_at"]), row["captured"])


def lot_row(account: Account, lot: Lot) -> dict[str, Any]:
    """A lot as a row to insert, in JSON terms."""
    terms, profile = lot.terms, account.profile
    basis, origin = terms.cost_basis, terms.origin
    return {
        "id": terms.id,
        "partition": profile.partition,
        "app": profile.app,
        "user_id": profile.user,
        "asset": profile.asset,
        "amount": terms.amount,
        "source": terms.source,
        "priority": terms.priority,
        "granted_at": moment(terms.granted_at),
        "effective_at": moment(terms.effective_at),
        "expires_at": moment(terms.expires_at),
        "scope": terms.scope,
        "cost_basis": None if basis is None else {"amount_minor": basis.amount_minor, "currency": basis.currency},
        "origin": None if origin is None else {"kind": origin.kind, "id": origin.id},
        "remaining": lot.remaining,
        "pinned": lot.pinned,
        "phase": int(lot.phase),
        "revoked": lot.revoked,
        "broken": lot.broken,
        "revoking": lot.revoking,
        "revoke_policy": lot.revoke_policy,
        "live": not lot.dead,
    }


def hold_row(account: Account, hold: Hold, status: str = "open", resolved_at: int | None = None) -> dict[str, Any]:
    """A hold as a row to insert or update, in JSON terms."""
    terms, profile = hold.terms, account.profile
    return {
        "id": terms.id,
        "partition": profile.partition,
        "app": profile.app,
        "user_id": profile.user,
        "asset": profile.asset,
        "amount": terms.amount,
        "created_at": moment(terms.created_at),
        "limit_at": moment(terms.limit_at),
        "expires_at": moment(hold.expires_at),
        "service": terms.service,
        "grant_id": terms.grant,
        "member": terms.member,
        "reference": terms.reference,
        "slices": [[s.lot, s.amount] for s in hold.slices],
        "captured": hold.captured,
        "status": status,
        "resolved_at": moment(resolved_at),
        "card": None if terms.card is None else card_row(terms.card),
    }


def card_row(card: RateCard) -> dict[str, Any]:
    """A rate card in JSON terms."""
    told = asdict(card)
    return {**told, "rates": [[rate.unit, rate.price, rate.over] for rate in card.rates]}


def card_of(text: str) -> RateCard:
    """The rate card of its JSON text."""
    told = orjson.loads(text)
    return RateCard(**{**told, "rates": tuple(Rate(*rate) for rate in told["rates"])})


def quote_row(quote: QuoteRecord) -> dict[str, Any]:
    """A quote as a row to insert, in JSON terms."""
    return {
        "id": quote.id,
        "app": quote.app,
        "user_id": quote.user,
        "asset": quote.asset,
        "card": card_row(quote.card),
        "usage": dict(quote.usage),
        "made_at": moment(quote.made_at),
        "valid_until": moment(quote.valid_until),
    }


def quote_of(row: Record) -> QuoteRecord:
    """The quote of a row."""
    return QuoteRecord(
        row["id"],
        row["app"],
        row["user_id"],
        row["asset"],
        card_of(row["card"]),
        orjson.loads(row["usage"]),
        from_datetime(row["made_at"]),
        from_datetime(row["valid_until"]),
    )
