"""What became of commands, and the app's totals."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from libs.service.bodies import parse_query
from libs.service.clock import SECOND_US, to_datetime
from libs.service.exports import FILE_FORMAT, MEDIA_TYPES, FileFormat, export_response, file_asked
from libs.service.problems import NotFound, ScopeMissing
from services.ledger import past
from services.ledger.api import answers
from services.ledger.api.contract import described
from services.ledger.api.support import CONFIG, READ, core_of, json_response, permitted, staff, transfers_of
from services.ledger.api.views import balances
from services.ledger.core import Core
from services.ledger.domain.amounts import format_units
from services.ledger.domain.codec import format_time
from services.ledger.store import reads
from services.ledger.store.statistics import AssetTotals, totals

router = APIRouter(prefix="/v1", tags=["records"])
DAY_US = 86_400 * SECOND_US


class OutcomeQuery(BaseModel):
    """The query of `commands/{key}`."""

    model_config = ConfigDict(extra="forbid")

    user: str = Field(max_length=128, description="Whose account the command concerned.")
    caller: str | None = Field(None, max_length=128, description="Who sent it; for admins. Default: who asks.")


class StatisticsQuery(BaseModel):
    """The query of `statistics`."""

    model_config = ConfigDict(extra="forbid")

    format: FileFormat = FILE_FORMAT


@router.get(
    "/commands/{key:path}",
    summary="What became of a command",
    **described(answer=answers.Outcome, query=OutcomeQuery, codes=("404 command_not_found",), path="/{key}"),
)
async def get_command(request: Request) -> Response:
    """404 when nothing was decided under the key, or too long ago: outcomes are kept for 35 days.

    Of a refusal, `accounts` has the user's balances at the position where it was decided.
    """
    principal = permitted(request, READ)
    query = parse_query(OutcomeQuery, request.query_params)
    principal.require_user(query.user)
    caller = query.caller or principal.sub
    if caller != principal.sub and CONFIG not in principal.scopes:
        raise ScopeMissing(CONFIG)
    core = core_of(request)
    key: str = request.path_params["key"]
    since = to_datetime(core.clock.now_us() - core.settings.key_days * DAY_US)
    # What cannot be a key was never one; some of it could not even be asked for.
    known = key.isascii() and key.isprintable()
    found = await reads.outcome(core.reads, (principal.app, query.user, key, caller), since) if known else None
    if found is None:
        raise NotFound("command")
    status, body = found.status, found.body
    if found.type == "transfer" and status == 202:
        debit = orjson.loads(body)
        row = await reads.transfer_by_id(core.reads, debit["id"])
        if row is not None:
            status, body = await transfers_of(request).answer(row, debit)
    return json_response(
        {
            "key": key,
            "user": query.user,
            "caller": caller,
            "type": found.type,
            "status": status,
            "body": orjson.Fragment(body),
            "partition": found.partition,
            "position": found.position,
            "time": format_time(found.time_us),
            **({"accounts": await _accounts_then(core, principal.app, query.user, found)} if status >= 400 else {}),
        }
    )


async def _accounts_then(core: Core, app: str, user: str, found: reads.OutcomeRow) -> list[dict[str, str]]:
    """The user's accounts as they were when the outcome was decided; those that were opened by then."""
    then = []
    for asset in await reads.assets_of(core.reads, app, user):
        moment = await past.state(core, (app, user, asset), found.partition, found.position, None)
        if moment is not None:
            then.append({"asset": asset, **balances(moment.account)})
    return then


@router.get(
    "/statistics",
    summary="Totals of the app",
    **described(answer=answers.Statistics, query=StatisticsQuery, codes=("404 app_not_found",), media=MEDIA_TYPES),
)
async def get_statistics(request: Request) -> Response:
    """Added up when asked; 503 when that takes too long."""
    principal = staff(request, READ)
    query = parse_query(StatisticsQuery, request.query_params)
    core = core_of(request)
    config = await core.config(principal.app)
    found = await totals(core.reads, principal.app, core.settings.statistics_s)
    assets = [
        _asset_view(name, found.get(name) or AssetTotals(0, 0, 0, 0, 0, 0), scale)
        for name, scale in config.scales.items()
    ]
    kind = file_asked(query.format, request.headers.get("accept", ""))
    if kind is not None:
        return export_response(kind, tuple(answers.AssetStatistics.model_fields), _each(assets), "statistics")
    now = format_time(core.clocks.now_us(principal.app))
    return json_response({"app": principal.app, "time": now, "assets": assets})


async def _each(assets: list[dict[str, object]]) -> AsyncIterator[dict[str, object]]:
    for asset in assets:
        yield asset


def _asset_view(name: str, total: AssetTotals, scale: int) -> dict[str, object]:
    return {
        "asset": name,
        "accounts": total.accounts,
        "settled": format_units(total.settled, scale),
        "held": format_units(total.held, scale),
        "owed": format_units(total.owed, scale),
        "overdraft_used": format_units(total.overdraft_used, scale),
        "issued": {source: format_units(amount, scale) for source, amount in total.issued.items()},
        "spent": format_units(total.spent, scale),
        "revoked": format_units(total.revoked, scale),
        "breakage": format_units(total.breakage, scale),
    }
