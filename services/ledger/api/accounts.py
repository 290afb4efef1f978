"""What is asked of one account: its settings, its state now and in the past, its lots and holds."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from libs.events.contracts.ledger.fields import Moment, Name
from libs.events.partition import partition_of
from libs.service.bodies import parse_query
from libs.service.clock import from_datetime
from libs.service.pagination import LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, page
from libs.service.problems import NotFound, invalid
from services.ledger import past
from services.ledger.api import answers
from services.ledger.api.contract import described
from services.ledger.api.support import asset_of, core_of, json_response, own_account
from services.ledger.api.views import account_view, hold_view, lot_view, state_view, thresholds_view
from services.ledger.core import Core
from services.ledger.domain.config import AppConfig
from services.ledger.domain.state import Account
from services.ledger.present import current, reach
from services.ledger.store import reads

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])
_GONE = ("404 account_not_found", "404 unknown_asset", "404 app_not_found", "403 wrong_user")
Position = Annotated[int, Field(ge=0, le=2**62)]


class AssetQuery(BaseModel):
    """The query of a read of one account."""

    model_config = ConfigDict(extra="forbid")

    asset: Name | None = Field(None, description="The asset; the app's default one without it.")


Q = TypeVar("Q", bound=AssetQuery)


class StateQuery(AssetQuery):
    """The query of `state`."""

    service: Name | None = Field(None, description="Count the credits that may be spent on this service only, too.")
    min_position: Position | None = Field(None, description="Not before the log has come so far: read your writes.")
    position: Position | None = Field(None, description="As of this position of the account's partition.")
    at: Moment | None = Field(None, description="As of this time.")


class ListQuery(AssetQuery):
    """The query of a list."""

    limit: int = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX)
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")
    all: bool = Field(False, description="Those that have ended too.")


async def _place(request: Request, model: type[Q]) -> tuple[Q, Core, AppConfig, tuple[str, str, str], int]:
    principal, user = own_account(request)
    query = parse_query(model, request.query_params)
    core = core_of(request)
    config = await core.config(principal.app)
    key = (principal.app, user, asset_of(config, query.asset))
    return query, core, config, key, partition_of(principal.app, user, core.partitions)


async def _account(request: Request, model: type[Q]) -> tuple[Q, Core, AppConfig, Account, int, int]:
    """The query, the account now, its position and time; 404 `account_not_found`."""
    query, core, config, key, partition = await _place(request, model)
    seen, now = await current(core, config, key, partition)
    if seen.account is None:
        raise NotFound("account")
    return query, core, config, seen.account, seen.position, now


@router.get(
    "/{user}",
    summary="An account and its settings",
    **described(answer=answers.AccountRecord, query=AssetQuery, codes=_GONE, path="/{user}"),
)
async def get_account(request: Request) -> Response:
    """404 for a user that was never heard of."""
    _, _, _, account, position, _ = await _account(request, AssetQuery)
    return json_response(account_view(account, position))


@router.get(
    "/{user}/state",
    summary="The authoritative state, now or in the past",
    **described(answer=answers.State, query=StateQuery, codes=_GONE, path="/{user}"),
)
async def get_state(request: Request) -> Response:
    """What is due has happened in it, whether or not a sweep ran."""
    query, core, config, key, partition = await _place(request, StateQuery)
    if query.min_position is not None:
        await reach(core, partition, query.min_position)
    if query.position is not None or query.at is not None:
        at = None if query.at is None else from_datetime(query.at)
        if at is not None and at > core.clocks.now_us(key[0]):
            raise invalid("time_in_future", "at", "The state of a time to come is not known.")
        found = await past.state(core, key, partition, query.position, at)
    else:
        seen, now = await current(core, config, key, partition)
        found = None if seen.account is None else past.Moment(seen.account, seen.position, now)
    if found is None:
        raise NotFound("account")
    return json_response(state_view(found.account, found.position, found.time_us, query.service))


@router.get(
    "/{user}/thresholds",
    summary="The account's own thresholds, and the app's",
    **described(answer=answers.Thresholds, query=AssetQuery, codes=_GONE, path="/{user}"),
)
async def get_thresholds(request: Request) -> Response:
    """Levels of `available` whose crossing is told."""
    _, _, config, account, _, _ = await _account(request, AssetQuery)
    profile = account.profile
    return json_response(
        {
            "user": profile.user,
            "asset": profile.asset,
            "thresholds": thresholds_view(profile.thresholds, profile.scale),
            "app": thresholds_view(config.thresholds.get(profile.asset, ()), profile.scale),
        }
    )


@router.get(
    "/{user}/lots",
    summary="What remains of the grants",
    **described(answer=answers.Lots, query=ListQuery, codes=_GONE, path="/{user}"),
)
async def get_lots(request: Request) -> Response:
    """In order of their ids."""
    query, core, _, account, _, _ = await _account(request, ListQuery)
    place = decode_cursor(query.cursor, {"id": str}) or {"id": ""}
    profile = account.profile
    key = (profile.app, profile.user, profile.asset)
    rows = await reads.lots_page(core.reads, key, place["id"], query.limit + 1, every=query.all)
    # The rows may be newer than the account: what time alone did is known of the account's lots only.
    lots = [account.lots.get(row.lot.terms.id, row.lot) for row in rows]
    return json_response(
        page(lots, query.limit, lambda lot: {"id": lot.terms.id}, lambda lot: lot_view(lot, profile.scale))
    )


@router.get(
    "/{user}/holds",
    summary="Holds",
    **described(answer=answers.Holds, query=ListQuery, codes=_GONE, path="/{user}"),
)
async def get_holds(request: Request) -> Response:
    """Open ones, or all, in order of their ids."""
    query, core, _, account, _, now = await _account(request, ListQuery)
    place = decode_cursor(query.cursor, {"id": str}) or {"id": ""}
    profile = account.profile
    key = (profile.app, profile.user, profile.asset)
    rows = await reads.holds_page(core.reads, key, place["id"], query.limit + 1, every=query.all)
    shown = [ended_by_time(row, now) for row in rows]
    return json_response(
        page(shown, query.limit, lambda row: {"id": row.hold.terms.id}, lambda row: hold_view(row, profile.scale))
    )


def ended_by_time(row: reads.HoldRow, now: int) -> reads.HoldRow:
    """The hold as it is at `now`: past its limit it is expired, whether or not a sweep noticed."""
    if row.status == "open" and row.hold.expires_at <= now:
        return reads.HoldRow(row.user, row.asset, row.hold, "expired", row.hold.expires_at)
    return row
