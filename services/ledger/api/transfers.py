"""Transfers: the debit is decided first, then the credit is waited for."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from libs.service.bodies import parse_body
from libs.service.problems import NotFound
from services.ledger.api import answers
from services.ledger.api.contract import described
from services.ledger.api.support import (
    READ,
    SPEND,
    answer_response,
    core_of,
    idempotency_key,
    json_response,
    origin_of,
    permitted,
    transfers_of,
)
from services.ledger.handlers.commands import KINDS, request_for
from services.ledger.store.reads import transfer_by_id

router = APIRouter(prefix="/v1", tags=["transfers"])
_KIND = KINDS["transfer"]


@router.post(
    "/transfers",
    status_code=201,
    name="transfer",
    summary="Move credits to another user",
    **described(
        answer=answers.Transfer,
        body=_KIND.body,
        status=201,
        codes=(
            "402 insufficient_credits",
            "402 account_owes",
            "403 feature_disabled",
            "409 account_frozen",
            "409 account_closed",
            "409 too_many_lots",
            "409 unique_ref_taken",
        ),
    ),
)
async def post_transfer(request: Request) -> Response:
    """201 once both sides are booked; 202 while the credit is on its way; 409 when it was refused and came back."""
    principal = permitted(request, SPEND)
    core = core_of(request)
    key = idempotency_key(request)
    raw = await request.body()
    command = request_for(_KIND, parse_body(_KIND.body, raw), origin_of(request, principal, key))
    partition = core.partition_of(command)
    writer = core.writer_of(partition)
    if writer is None:
        return await core.peers.pass_on(request, partition, raw)
    return answer_response(await transfers_of(request).outcome(await core.decide_by(writer, command)))


@router.get(
    "/transfers/{id}",
    summary="A transfer as it stands",
    **described(answer=answers.Transfer, codes=("404 transfer_not_found",), path="/{id}"),
)
async def get_transfer(request: Request) -> Response:
    """For its two users, and for everybody else of the app."""
    principal = permitted(request, READ)
    core = core_of(request)
    transfer: str = request.path_params["id"]
    core.partition_of_id(transfer, "transfer")
    row = await transfer_by_id(core.reads, transfer)
    if row is None or row.app != principal.app:
        raise NotFound("transfer")
    if principal.role == "user" and principal.sub not in (row.from_user, row.to_user):
        raise NotFound("transfer")
    return json_response(await transfers_of(request).told(row, None))
