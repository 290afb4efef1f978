"""Grants, charges and holds by their ids."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from libs.events.partition import partition_of
from libs.service.auth import Principal
from libs.service.problems import NotFound
from services.ledger.api import answers
from services.ledger.api.accounts import ended_by_time
from services.ledger.api.contract import described
from services.ledger.api.support import READ, core_of, json_response, permitted
from services.ledger.api.views import charge_view, hold_view, lot_view
from services.ledger.core import Core
from services.ledger.present import current
from services.ledger.store import reads

router = APIRouter(prefix="/v1")


def _asked(request: Request, word: str) -> tuple[Core, Principal, str]:
    """The core, the caller, and the id in the path, which is one of ours."""
    principal = permitted(request, READ)
    core = core_of(request)
    name: str = request.path_params["id"]
    core.partition_of_id(name, word)
    return core, principal, name


def _own(principal: Principal, user: str, word: str) -> None:
    """A user is not even told that somebody else's object exists."""
    if principal.role == "user" and principal.sub != user:
        raise NotFound(word)


@router.get(
    "/grants/{id}",
    tags=["grants"],
    summary="A grant, and what remains of it",
    **described(answer=answers.Lot, codes=("404 grant_not_found",), path="/{id}"),
)
async def get_grant(request: Request) -> Response:
    """The lot of the same id."""
    core, principal, name = _asked(request, "grant")
    row = await reads.lot_by_id(core.reads, principal.app, name)
    if row is None:
        raise NotFound("grant")
    _own(principal, row.user, "grant")
    config = await core.config(principal.app)
    key = (principal.app, row.user, row.asset)
    seen, _ = await current(core, config, key, partition_of(principal.app, row.user, core.partitions))
    lot = row.lot if seen.account is None else seen.account.lots.get(name, row.lot)
    return json_response({**lot_view(lot, config.scales[row.asset]), "user": row.user, "asset": row.asset})


@router.get(
    "/holds/{id}",
    tags=["holds"],
    summary="A hold",
    **described(answer=answers.HoldRecord, codes=("404 hold_not_found",), path="/{id}"),
)
async def get_hold(request: Request) -> Response:
    """Open or resolved; past its limit it is expired, whether or not a sweep ran."""
    core, principal, name = _asked(request, "hold")
    row = await reads.hold_by_id(core.reads, principal.app, name)
    if row is None:
        raise NotFound("hold")
    _own(principal, row.user, "hold")
    config = await core.config(principal.app)
    row = ended_by_time(row, core.clocks.now_us(principal.app))
    return json_response(hold_view(row, config.scales[row.asset]))


@router.get(
    "/charges/{id}",
    tags=["charges"],
    summary="A charge, and what was refunded of it",
    **described(answer=answers.ChargeRecord, codes=("404 charge_not_found",), path="/{id}"),
)
async def get_charge(request: Request) -> Response:
    """Charged at once, or by a capture."""
    core, principal, name = _asked(request, "charge")
    row = await reads.charge_by_id(core.reads, principal.app, name)
    if row is None:
        raise NotFound("charge")
    _own(principal, row.user, "charge")
    config = await core.config(principal.app)
    return json_response(charge_view(row, config.scales[row.asset]))
