"""The journal of an account, as pages or whole as a file, and the events of an app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from libs.events.contracts.ledger.fields import Label, Moment, Name, User
from libs.events.partition import partition_of
from libs.service.bodies import parse_query
from libs.service.clock import from_datetime
from libs.service.exports import FILE_FORMAT, MEDIA_TYPES, PAGE, FileFormat, export_response, file_asked, rendered
from libs.service.pagination import LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, page
from libs.service.problems import NotFound, invalid
from services.ledger.api import answers
from services.ledger.api.contract import described
from services.ledger.api.places import pack, places_before
from services.ledger.api.support import EVENTS, asset_of, core_of, json_response, own_account, staff
from services.ledger.core import Core
from services.ledger.domain.amounts import format_units, units_of
from services.ledger.domain.codec import EVENT_TYPES, format_time
from services.ledger.store import journal, reads
from services.ledger.store.journal import NEWEST, Filter, LogRow

router = APIRouter(prefix="/v1")
_COLUMNS = tuple(answers.Transaction.model_fields)
_SHORT = {name.split(".")[1]: name for name in EVENT_TYPES}
_OPERATION = "ledger.operation_imported.v1"
_IMPORTED = tuple(answers.Imported.model_fields)
EventType = Annotated[str, Field(max_length=80, description="An event's type, such as `credits_charged`.")]


class _Times(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: EventType | None = None
    since: Moment | None = Field(None, description="Not before this time.")
    until: Moment | None = Field(None, description="Before this time.")
    limit: int = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX)
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")


class JournalQuery(_Times):
    """The query of a journal."""

    asset: Name | None = Field(None, description="The asset; the app's default one without it.")
    reference: Label | None = None
    member: User | None = None
    format: FileFormat = FILE_FORMAT


class EventsQuery(_Times):
    """The query of an app's events."""

    format: FileFormat = FILE_FORMAT
    user: str | None = Field(None, pattern=r"^(@app|[A-Za-z0-9._:-]{1,128})$", description="Of this user only.")


def _filter(query: _Times, reference: str | None = None, member: str | None = None) -> Filter:
    name = None if query.type is None else _SHORT.get(query.type, query.type)
    if name is not None and name not in EVENT_TYPES:
        raise invalid("invalid_type", "type", f"One of {', '.join(sorted(_SHORT))}.")
    since = None if query.since is None else from_datetime(query.since)
    until = None if query.until is None else from_datetime(query.until)
    return Filter(name, since, until, reference, member)


@router.get(
    "/accounts/{user}/transactions",
    tags=["accounts"],
    summary="The journal, the newest first",
    **described(
        answer=answers.Transactions,
        query=JournalQuery,
        codes=("404 account_not_found", "404 unknown_asset", "404 app_not_found", "403 wrong_user"),
        path="/{user}",
        media=MEDIA_TYPES,
    ),
)
async def get_transactions(request: Request) -> Response:
    """Every event of the account with its balances before and after; descriptions until they are erased."""
    principal, user = own_account(request)
    query = parse_query(JournalQuery, request.query_params)
    core = core_of(request)
    config = await core.config(principal.app)
    key = (principal.app, user, asset_of(config, query.asset))
    wanted = _filter(query, query.reference, query.member)
    if key[2] not in await reads.assets_of(core.reads, principal.app, user):
        raise NotFound("account")
    kind = file_asked(query.format, request.headers.get("accept", ""))
    if kind is not None:
        rows_of_all = rendered(journal.journal(core.reads, key, wanted), transaction_view)
        return export_response(kind, _COLUMNS, rows_of_all, "transactions")
    place = decode_cursor(query.cursor, {"version": int}) or {"version": NEWEST}
    rows = await journal.journal_page(core.reads, key, wanted, place["version"], query.limit + 1)
    return json_response(page(rows, query.limit, lambda row: {"version": row.version}, transaction_view))


def transaction_view(row: LogRow) -> dict[str, Any]:
    """One line of a journal."""
    payload = row.payload
    before, after = payload["before"], payload["after"]
    decimals = len(after["settled"].partition(".")[2])
    moved = units_of(after["settled"]) - units_of(before["settled"])
    return {
        "id": row.id,
        "type": row.type.split(".")[1],
        "time": format_time(row.time_us),
        "amount": format_units(moved, decimals),
        "before": before["settled"],
        "after": after["settled"],
        "held_before": before["held"],
        "held_after": after["held"],
        "owed_before": before["owed"],
        "owed_after": after["owed"],
        "object": row.object,
        "reference": row.reference,
        "member": row.member,
        "reason": payload.get("reason"),
        "description": row.text.get("description"),
        "metadata": row.text.get("metadata"),
        "priced": _priced(payload.get("priced")),
        "imported": {name: payload.get(name) for name in _IMPORTED} if row.type == _OPERATION else None,
        "transaction": row.transaction,
        "account_version": row.version,
        "partition": row.partition,
        "position": row.position,
    }


def _priced(priced: dict[str, Any] | None) -> dict[str, Any] | None:
    """Without the rates that a hold has pinned."""
    return None if priced is None else {name: priced[name] for name in priced if name not in ("per", "rates")}


@router.get(
    "/events",
    tags=["records"],
    summary="Events of the app, the newest first",
    **described(answer=answers.Events, query=EventsQuery, media=MEDIA_TYPES),
)
async def get_events(request: Request) -> Response:
    """As they lie in the log."""
    principal = staff(request, EVENTS)
    query = parse_query(EventsQuery, request.query_params)
    core = core_of(request)
    before = places_before(query.cursor, core.partitions)
    if query.user is not None:
        number = partition_of(principal.app, query.user, core.partitions)
        before = {number: before[number]}
    wanted = replace(_filter(query), user=query.user)
    kind = file_asked(query.format, request.headers.get("accept", ""))
    if kind is not None:
        every = rendered(_every_event(core, principal.app, wanted, before), event_view)
        return export_response(kind, tuple(answers.Event.model_fields), every, "events")
    rows = await journal.app_events(core.reads, principal.app, wanted, before, query.limit + 1)
    for row in rows[: query.limit]:
        before[row.partition] = row.position
    places = pack([before.get(number, NEWEST) for number in range(core.partitions)])
    return json_response(page(rows, query.limit, lambda _row: {"before": places}, event_view))


async def _every_event(core: Core, app: str, wanted: Filter, before: dict[int, int]) -> AsyncIterator[LogRow]:
    """All of an app's events before these places, page by page."""
    while True:
        rows = await journal.app_events(core.reads, app, wanted, before, PAGE)
        for row in rows:
            yield row
            before[row.partition] = row.position
        if len(rows) < PAGE:
            return


def event_view(row: LogRow) -> dict[str, Any]:
    """An event as it lies in the log."""
    return {
        "id": row.id,
        "type": row.type,
        "time": format_time(row.time_us),
        "user": row.user,
        "asset": row.asset or None,
        "partition": row.partition,
        "position": row.position,
        "account_version": row.version or None,
        "transaction": row.transaction,
        "command": row.command,
        "correlation": row.correlation,
        "actor": row.actor,
        "payload": row.payload,
    }
