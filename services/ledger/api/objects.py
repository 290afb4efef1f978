"""Grants, charges and holds by their ids."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from libs.events.partition import partition_of
from libs.service.db import Pool
from libs.service.problems import NotFound
from services.ledger.api import answers
from services.ledger.api.contract import described
from services.ledger.api.listing import ended_by_time
from services.ledger.api.support import READ, core_of, json_response, permitted
from services.ledger.api.views import charge_view, hold_view, lot_view
from services.ledger.core import Core
from services.ledger.domain.config import AppConfig
from services.ledger.present import current
from services.ledger.store import reads

router = APIRouter(prefix="/v1")


class _Owned(Protocol):
    """Something that lies on an account."""

    user: str
    asset: str


Row = TypeVar("Row", bound=_Owned)
Find = Callable[[Pool, str, str], Awaitable[Row | None]]


async def _read(request: Request, word: str, find: Find[Row]) -> tuple[Core, AppConfig, Row]:
    """What the id in the path names; 404 `<word>_not_found` where there is none, or a user asks for another's."""
    principal = permitted(request, READ)
    core = core_of(request)
    name: str = request.path_params["id"]
    core.partition_of_id(name, word)
    row = await find(core.reads, principal.app, name)
    if row is None or (principal.role == "user" and principal.sub != row.user):
        raise NotFound(word)
    return core, await core.config(principal.app), row


@router.get(
    "/grants/{id}",
    tags=["grants"],
    summary="A grant, and what remains of it",
    **described(answer=answers.Lot, codes=("404 grant_not_found",), path="/{id}"),
)
async def get_grant(request: Request) -> Response:
    """The lot of the same id."""
    core, config, row = await _read(request, "grant", reads.lot_by_id)
    key = (config.app, row.user, row.asset)
    seen, _ = await current(core, config, key, partition_of(config.app, row.user, core.partitions))
    lot = row.lot if seen.account is None else seen.account.lots.get(row.lot.terms.id, row.lot)
    return json_response({**lot_view(lot, config.scales[row.asset]), "user": row.user, "asset": row.asset})


@router.get(
    "/holds/{id}",
    tags=["holds"],
    summary="A hold",
    **described(answer=answers.HoldRecord, codes=("404 hold_not_found",), path="/{id}"),
)
async def get_hold(request: Request) -> Response:
    """Open or resolved; past its limit it is expired, whether or not a sweep ran."""
    core, config, row = await _read(request, "hold", reads.hold_by_id)
    row = ended_by_time(row, core.clocks.now_us(config.app))
    return json_response(hold_view(row, config.scales[row.asset]))


@router.get(
    "/charges/{id}",
    tags=["charges"],
    summary="A charge, and what was refunded of it",
    **described(answer=answers.ChargeRecord, codes=("404 charge_not_found",), path="/{id}"),
)
async def get_charge(request: Request) -> Response:
    """Charged at once, or by a capture."""
    _, config, row = await _read(request, "charge", reads.charge_by_id)
    return json_response(charge_view(row, config.scales[row.asset]))
