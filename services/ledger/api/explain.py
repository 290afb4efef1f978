"""Why an account is as it is, and why a charge was what it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from libs.events.partition import partition_of
from libs.service.bodies import parse_query
from libs.service.clock import from_datetime
from libs.service.pagination import LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, page
from libs.service.problems import NotFound, invalid
from services.ledger.api import explained as answers
from services.ledger.api.accounts import GONE, MomentQuery
from services.ledger.api.contract import described
from services.ledger.api.support import READ, asset_of, core_of, json_response, own_account, permitted
from services.ledger.api.views import balances, charge_view, lot_view, optional_time
from services.ledger.domain import events as ev
from services.ledger.domain.amounts import format_units
from services.ledger.domain.codec import format_time
from services.ledger.domain.explain import order, pricing, sums
from services.ledger.domain.explain.flows import Debt, new_lots, taken
from services.ledger.domain.explain.reason import Reason
from services.ledger.domain.explain.reasons import GRANTED, ORIGINS, debt_reason, reason_of
from services.ledger.domain.explain.story import BEFORE, Story
from services.ledger.domain.records import ChargeRecord, charge_record
from services.ledger.domain.state import Hold, Lot
from services.ledger.explaining import Explained, event_of, explained
from services.ledger.store import journal, reads
from services.ledger.store.journal import Filter, LogRow
from services.ledger.store.reads import ChargeRow

router = APIRouter(prefix="/v1")


class ExplainQuery(MomentQuery):
    """The query of `explain`."""

    limit: int = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX, description="How many events.")
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")


def _because(reason: Reason) -> dict[str, str]:
    return {"why": reason.why, "sentence": reason.sentence}


# An account


@router.get(
    "/accounts/{user}/explain",
    tags=["accounts"],
    summary="Why the balance is what it is",
    **described(answer=answers.AccountExplanation, query=ExplainQuery, codes=GONE, path="/{user}"),
)
async def explain_account(request: Request) -> Response:
    """Sums that make up each balance; what made each lot, and what took from it; holds; debts; events.

    Of an account with very many changes only the last are added up: what was before is the entry `before`.
    """
    principal, user = own_account(request)
    query = parse_query(ExplainQuery, request.query_params)
    core = core_of(request)
    config = await core.config(principal.app)
    key = (principal.app, user, asset_of(config, query.asset))
    at = None if query.at is None else from_datetime(query.at)
    if at is not None and at > core.clocks.now_us(key[0]):
        raise invalid("time_in_future", "at", "What will be is not known.")
    found = await explained(core, key, partition_of(key[0], user, core.partitions), query.position, at)
    if found is None:
        raise NotFound("account")
    place = decode_cursor(query.cursor, {"version": int}) or {"version": found.version + 1}
    before = min(place["version"], found.version + 1)
    rows = await journal.journal_page(core.reads, key, Filter(), before, query.limit + 1)
    scale = found.account.profile.scale
    events = page(rows, query.limit, lambda row: {"version": row.version}, lambda row: _movement(row, scale))
    return json_response({**_account(found, query.service), **events})


def _account(found: Explained, service: str | None) -> dict[str, Any]:
    account = found.account
    scale = account.profile.scale

    def terms(parts: Sequence[sums.Part]) -> list[dict[str, str]]:
        return [{**_because(part.reason), "amount": format_units(part.amount, scale)} for part in parts]

    return {
        "user": account.profile.user,
        "asset": account.profile.asset,
        **balances(account, service),
        "service": service,
        "settled_is": terms(sums.settled(account)),
        "held_is": terms(sums.held(account)),
        "owed_is": terms(sums.owed(found.story.debts)),
        "available_is": terms(sums.available(account, service)),
        "lots": [_lot(found, lot, scale) for lot in account.lots.values() if not lot.dead],
        "holds": [_hold(found, hold, scale) for hold in account.holds.values()],
        "debts": [_debt(debt, scale) for debt in found.story.debts],
        "totals": _totals(found.story, scale),
        "due": [_because(reason_of(event, scale)) for event in found.due],
        "told_since": found.story.since,
        "account_version": found.version,
        "position": found.position,
        "partition": account.profile.partition,
        "time": format_time(found.time_us),
    }


def _made(reason: Reason, row: LogRow | None, time_us: int | None = None) -> dict[str, Any]:
    return {
        **_because(reason),
        "event": None if row is None else row.id,
        "actor": None if row is None else row.actor,
        "time": optional_time(time_us) if row is None else format_time(row.time_us),
        "reference": None if row is None else row.reference,
        "reason": None if row is None else row.payload.get("reason"),
        "member": None if row is None else row.member,
    }


def _lot(found: Explained, lot: Lot, scale: int) -> dict[str, Any]:
    terms = lot.terms
    row = found.made.get(terms.id)
    kind = None if terms.origin is None else terms.origin.kind
    reason = ORIGINS.get(kind or "", GRANTED) if row is None else reason_of(event_of(row), scale)
    return {
        **lot_view(lot, scale),
        "made": _made(reason, row, terms.granted_at),
        "uses": [
            {
                "why": use.why,
                "amount": format_units(use.amount, scale),
                "count": use.count,
                "time": optional_time(use.at or None),
            }
            for use in found.story.uses_of(terms.id, terms.amount - lot.remaining)
        ],
    }


def _hold(found: Explained, hold: Hold, scale: int) -> dict[str, Any]:
    terms = hold.terms
    row = found.made.get(terms.id)
    reason = Reason("held", "It was set aside.") if row is None else reason_of(event_of(row), scale)
    return {
        "id": terms.id,
        "amount": format_units(terms.amount, scale),
        "captured": format_units(hold.captured, scale),
        "remaining": format_units(hold.remaining, scale),
        "service": terms.service,
        "expires_at": format_time(hold.expires_at),
        "made": _made(reason, row, terms.created_at),
        "lots": [{"grant": part.lot, "amount": format_units(part.amount, scale)} for part in hold.slices],
    }


def _debt(debt: Debt, scale: int) -> dict[str, Any]:
    return {
        **_because(debt_reason(debt)),
        "cause": debt.cause,
        "amount": format_units(debt.amount, scale),
        "open": format_units(debt.open, scale),
        "time": format_time(debt.at),
    }


def _totals(story: Story, scale: int) -> list[dict[str, Any]]:
    return [
        {
            "why": total.why,
            "count": total.count,
            "settled": format_units(total.settled, scale),
            "held": format_units(total.held, scale),
            "owed": format_units(total.owed, scale),
        }
        for total in sorted(story.totals.values(), key=lambda total: (total.why != BEFORE, total.why))
    ]


def _movement(row: LogRow, scale: int) -> dict[str, Any]:
    event = event_of(row)
    before, after = event.before, event.after
    return {
        **_because(reason_of(event, scale)),
        "event": row.id,
        "type": row.type.split(".")[1],
        "time": format_time(row.time_us),
        "object": row.object,
        "actor": row.actor,
        "settled": format_units(after.settled - before.settled, scale),
        "held": format_units(after.held - before.held, scale),
        "owed": format_units(after.owed - before.owed, scale),
        "settled_after": format_units(after.settled, scale),
        "lots": _lots_moved(event, scale),
        "reference": row.reference,
        "reason": event.reason,
        "member": row.member,
        "transaction": row.transaction,
        "account_version": row.version,
        "position": row.position,
    }


def _lots_moved(event: ev.AccountEvent, scale: int) -> list[dict[str, Any]]:
    """Each lot that the event made, took from (less than zero) or gave back to."""
    made = [{"grant": lot.grant, "why": "made", "amount": format_units(lot.amount, scale)} for lot in new_lots(event)]
    return made + [
        {"grant": lot, "why": why, "amount": format_units(-amount, scale)} for lot, why, amount in taken(event)
    ]


# A charge


@router.get(
    "/charges/{id}/explain",
    tags=["charges"],
    summary="Why a charge was what it was",
    **described(answer=answers.ChargeExplanation, query=None, codes=("404 charge_not_found",), path="/{id}"),
)
async def explain_charge(request: Request) -> Response:
    """Its price, step by step; the lots it was taken from and why in that order; what was given back since."""
    principal = permitted(request, READ)
    core = core_of(request)
    name: str = request.path_params["id"]
    core.partition_of_id(name, "charge")
    rows = await journal.of_objects(core.reads, principal.app, [name])
    events = [event_of(row) for row in rows]
    record = charge_record(events)
    if record is None or (principal.role == "user" and principal.sub != rows[0].user):
        raise NotFound("charge")
    config = await core.config(principal.app)
    scale = config.scales[rows[0].asset]
    lots = await reads.lots_by_ids(core.reads, principal.app, [part.lot for part in record.parts if part.lot])
    first, payload = events[0], rows[0].payload
    return json_response(
        {
            **charge_view(ChargeRow(rows[0].user, rows[0].asset, record), scale),
            **_because(reason_of(first, scale)),
            "made": _made(reason_of(first, scale), rows[0]),
            "command": rows[0].command,
            "transaction": rows[0].transaction,
            "config_version": first.config_version,
            "pricing": _pricing(payload.get("priced"), scale),
            "parts": _parts(record, first, lots, scale),
            "budgets": payload.get("budgets", []),
            "refunds": [
                _refund(row, event, scale)
                for row, event in zip(rows, events, strict=True)
                if isinstance(event, ev.ChargeRefunded)
            ],
            "before": payload["before"],
            "after": payload["after"],
            "account_version": rows[0].version,
            "position": rows[0].position,
            "partition": rows[0].partition,
        }
    )


def _pricing(priced: Mapping[str, Any] | None, scale: int) -> dict[str, Any] | None:
    if priced is None:
        return None
    told = {name: value for name, value in priced.items() if name not in ("per", "rates")}
    steps = [
        {"why": step.why, "sentence": step.sentence, "amount": step.amount} for step in pricing.steps(priced, scale)
    ]
    return {**told, "steps": steps}


def _parts(record: ChargeRecord, event: ev.AccountEvent, lots: Mapping[str, Lot], scale: int) -> list[dict[str, Any]]:
    """The parts of a charge in the order in which they were taken, each with why it was its turn."""
    found: list[dict[str, Any]] = []
    for part, reason in zip(record.parts, order.of_parts(record, event, lots), strict=True):
        entry: dict[str, Any] = {**_because(reason), "kind": part.kind, "amount": format_units(part.amount, scale)}
        if part.lot:
            terms = lots[part.lot].terms
            entry |= {
                "grant": part.lot,
                "source": terms.source,
                "priority": terms.priority,
                "scope": list(terms.scope),
                "granted_at": format_time(terms.granted_at),
                "expires_at": optional_time(terms.expires_at),
            }
        found.append(entry)
    return found


def _refund(row: LogRow, event: ev.ChargeRefunded, scale: int) -> dict[str, Any]:
    reason = reason_of(event, scale)
    return {
        **_because(reason),
        "id": event.refund,
        "amount": format_units(event.amount, scale),
        "overdraft": format_units(event.overdraft, scale),
        "owed": format_units(event.owed, scale),
        "made": _made(reason, row),
        "lots": _lots_moved(event, scale),
    }
