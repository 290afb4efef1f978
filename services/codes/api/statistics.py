"""Totals of an app's codes: what they are, what was redeemed, what was refused, what was paid."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from libs.events.contracts.ledger.fields import Moment
from libs.events.db import Connection
from libs.service.answers import Answer, Credits, Time
from libs.service.bodies import parse_query
from libs.service.clock import format_time, from_datetime
from libs.service.contract import described
from libs.service.exports import FILE_FORMAT, MEDIA_TYPES, PAGE, FileFormat, export_response, file_asked
from libs.service.pagination import CURSOR_LENGTH_MAX, LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, page
from libs.service.routes import json_response, staff
from services.codes.api.support import READ, core_of
from services.codes.core import Core
from services.codes.domain.amounts import format_amount
from services.codes.store import statistics
from services.codes.store.statistics import ALL, STATES, By, Totals, Wanted

router = APIRouter(prefix="/v1", tags=["statistics"])
MOST_USED = 10
FOREVER_US = 2**62


class StatisticsQuery(BaseModel):
    """The query of `GET /v1/statistics`."""

    model_config = ConfigDict(extra="forbid")

    since: Moment | None = Field(None, alias="from", description="Redemptions, refusals and payments not before this.")
    until: Moment | None = Field(None, alias="to", description="And before this. Default: up to now.")
    by: By | None = Field(None, description="What to add up by; without it, there is only the total.")
    limit: int = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX)
    cursor: str | None = Field(None, max_length=CURSOR_LENGTH_MAX, description="`next_cursor` of the page before.")
    format: FileFormat = FILE_FORMAT


class Money(Answer):
    """Minor units of an ISO 4217 currency."""

    currency: str
    amount_minor: int


class States(Answer):
    """How many codes there are, and what they are now; each is exactly one of these."""

    total: int
    active: int
    scheduled: int
    expired: int
    used_up: int
    paused: int
    void: int


class Statistic(Answer):
    """`codes` is as of now (null by day), all else of the period.

    `usage_rate` is the part of their `max_uses` that codes with a limit have spent, from 0 to 1. `redemptions` are
    confirmed ones that were not undone, `users` whoever made them, `credits` and `discounts` what they gave. `revenue`
    is what was paid for orders with codes, less refunds; several codes of one order share it. `refusals` are by their
    true reason.
    """

    codes: States | None
    usage_rate: float | None
    redemptions: int
    users: int
    credits: Credits
    discounts: list[Money]
    revenue: list[Money]
    refusals: dict[str, int]


class Group(Statistic):
    """The statistic of one code, batch, campaign, kind or day; `label` is what people call it."""

    key: str
    label: str | None


class MostUsed(Answer):
    """A code and how often it was redeemed in the period."""

    code: str
    label: str | None
    redemptions: int


class Statistics(Answer):
    """The total, the codes that were used most, and groups: codes in the order of their use, others of their keys."""

    app: str
    time: Time
    total: Statistic
    most_used: list[MostUsed]
    data: list[Group]
    next_cursor: str | None
    has_more: bool


_COLUMNS = ("key", "label", *States.model_fields, *(name for name in Statistic.model_fields if name != "codes"))


@router.get(
    "/statistics",
    summary="Totals, in all and by something",
    **described(answer=Statistics, query=StatisticsQuery, media=MEDIA_TYPES),
)
async def get_statistics(request: Request) -> Response:
    """Added up when asked, in one snapshot. As a file it has one line for each group, or one for the total."""
    principal = staff(request, READ)
    query = parse_query(StatisticsQuery, request.query_params)
    core = core_of(request)
    wanted = await _wanted(core, principal.app, query)
    kind = file_asked(query.format, request.headers.get("accept", ""))
    if kind is not None:
        return export_response(kind, _COLUMNS, _lines(core, wanted, query.by), "statistics")
    async with _snapshot(core) as connection:
        total = (await statistics.totals(connection, wanted, None, ()))[ALL]
        top = await statistics.most_used(connection, wanted, None, MOST_USED)
        named = await statistics.labels(connection, "code", [code for code, _ in top])
        groups: dict[str, Any] = {"data": [], "next_cursor": None, "has_more": False}
        if query.by is not None:
            places = await _places(connection, wanted, query.by, _after(query), query.limit + 1)
            shown = await _groups(connection, wanted, query.by, places[: query.limit])
            groups = page(places, query.limit, _cursor, lambda place: shown[place[1]])
    return json_response(
        {
            "app": wanted.app,
            "time": format_time(wanted.now_us),
            "total": _statistic(total, with_codes=True),
            "most_used": [
                {"code": code, "label": named.get(code), "redemptions": number} for code, number in top if number
            ],
            **groups,
        }
    )


Place = tuple[int, str]
"""Where a group stands: its redemptions, where that decides, and its key."""


async def _wanted(core: Core, app: str, query: StatisticsQuery) -> Wanted:
    return Wanted(
        app,
        await core.now_us(app),
        0 if query.since is None else from_datetime(query.since),
        FOREVER_US if query.until is None else from_datetime(query.until),
        core.configs.get(app).document.zone,
    )


@asynccontextmanager
async def _snapshot(core: Core) -> AsyncIterator[Connection]:
    async with core.pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        yield connection


def _after(query: StatisticsQuery) -> Place | None:
    place = decode_cursor(query.cursor, {"number": int, "key": str})
    return None if place is None else (place["number"], place["key"])


def _cursor(place: Place) -> dict[str, str | int]:
    return {"number": place[0], "key": place[1]}


async def _places(connection: Connection, wanted: Wanted, by: By, after: Place | None, limit: int) -> list[Place]:
    if by == "code":
        return [(number, key) for key, number in await statistics.most_used(connection, wanted, after, limit)]
    keys = await statistics.keys_of(connection, wanted, by, "" if after is None else after[1], limit)
    return [(0, key) for key in keys]


async def _groups(connection: Connection, wanted: Wanted, by: By, places: list[Place]) -> dict[str, dict[str, Any]]:
    keys = [key for _, key in places]
    found = await statistics.totals(connection, wanted, by, keys)
    named = await statistics.labels(connection, by, keys)
    return {
        key: {"key": key, "label": named.get(key), **_statistic(found[key], with_codes=by != "day")} for key in keys
    }


async def _lines(core: Core, wanted: Wanted, by: By | None) -> AsyncIterator[dict[str, Any]]:
    """Every group as one flat line; each part of them in a snapshot of its own, and no connection held in between."""
    if by is None:
        async with _snapshot(core) as connection:
            total = (await statistics.totals(connection, wanted, None, ()))[ALL]
        yield _flat({"key": None, "label": None, **_statistic(total, with_codes=True)})
        return
    after: Place | None = None
    while True:
        async with _snapshot(core) as connection:
            places = await _places(connection, wanted, by, after, PAGE)
            shown = await _groups(connection, wanted, by, places)
        for _, key in places:
            yield _flat(shown[key])
        if len(places) < PAGE:
            return
        after = places[-1]


def _flat(shown: dict[str, Any]) -> dict[str, Any]:
    return {**shown, **(shown["codes"] or {})}


def _statistic(total: Totals, *, with_codes: bool) -> dict[str, Any]:
    states = {state: total.states.get(state, 0) for state in STATES}
    return {
        "codes": {"total": sum(states.values()), **states} if with_codes else None,
        "usage_rate": round(total.limited_uses / total.max_uses, 4) if total.max_uses else None,
        "redemptions": total.redemptions,
        "users": total.users,
        "credits": format_amount(total.credits),
        "discounts": _money(total.discounts),
        "revenue": _money(total.revenue),
        "refusals": dict(sorted(total.refusals.items())),
    }


def _money(sums: dict[str, int]) -> list[dict[str, Any]]:
    return [{"currency": currency, "amount_minor": sums[currency]} for currency in sorted(sums)]
