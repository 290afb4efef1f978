"""The app's configuration: what is in force, what a new one would change, and applying it."""

from __future__ import annotations

import hashlib

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from libs.service.bodies import parse_body, parse_query
from libs.service.config_api import PutQuery
from libs.service.configs import canonical_data, differences, expected_version, version_tag
from services.ledger.api import answers
from services.ledger.api.contract import described
from services.ledger.api.support import (
    CONFIG,
    READ,
    answer_response,
    core_of,
    idempotency_key,
    json_response,
    origin_of,
    permitted,
    staff,
)
from services.ledger.domain.config import AppConfig, ConfigDocument, check_successor
from services.ledger.domain.rejections import Rejected
from services.ledger.handlers.commands import Origin
from services.ledger.refusals import problem_of
from services.ledger.requests import ApplyConfig
from services.ledger.requests import Request as Command
from services.ledger.writer.log import APP_ACCOUNT

router = APIRouter(prefix="/v1", tags=["configuration"])


@router.get(
    "/config", summary="The configuration in force", **described(answer=answers.Config, codes=("404 app_not_found",))
)
async def get_config(request: Request) -> Response:
    """For anybody of the app but its users."""
    principal = staff(request, READ)
    core = core_of(request)
    await core.configs.refresh()
    config = await core.config(principal.app)
    body = {"app": config.app, "version": config.version, "config": config.document.model_dump(mode="json")}
    return json_response(body, headers=version_tag(config.version))


@router.put(
    "/config",
    summary="Apply a configuration, or see what it would change",
    **described(
        answer=answers.Config | answers.Difference,
        body=ConfigDocument,
        query=PutQuery,
        codes=("409 config_conflict", "412 version_mismatch"),
        key="optional",
    ),
)
async def put_config(request: Request) -> Response:
    """`If-Match: "<version>"` applies it only on top of that version ("0": to an app that has none)."""
    principal = permitted(request, CONFIG)
    core = core_of(request)
    raw = await request.body()
    document = parse_body(ConfigDocument, raw)
    expected = expected_version(request)
    if parse_query(PutQuery, request.query_params).dry_run:
        await core.configs.refresh()
        return _difference(principal.app, core.configs.get(principal.app), document)
    command = _command(origin_of(request, principal, idempotency_key(request, needed=False)), document, expected)
    partition = core.partition_of(command)
    writer = core.writer_of(partition)
    if writer is None:
        answer = await core.peers.pass_on(request, partition, raw)
        await core.configs.refresh()
        return answer
    decided = await writer.submit(command)
    await core.configs.refresh()
    response = answer_response(decided)
    config = core.configs.get(principal.app)
    if decided.status == 200 and config is not None:
        response.headers.update(version_tag(config.version))
    return response


def _difference(app: str, current: AppConfig | None, document: ConfigDocument) -> Response:
    try:
        check_successor(None if current is None else current.document, document)
    except Rejected as rejected:
        raise problem_of(rejected) from None
    before = {} if current is None else canonical_data(current.document)
    changes = differences(before, canonical_data(document))
    return json_response({"app": app, "version": 0 if current is None else current.version, "changes": changes})


def _command(origin: Origin, document: ConfigDocument, expected: int | None) -> Command:
    mark = hashlib.sha256(f"config {expected} {document.model_dump_json()}".encode()).digest()
    return Command(
        app=origin.app,
        user=APP_ACCOUNT,
        asset=None,
        type="config",
        build=lambda _scale: ApplyConfig(document=document, expected=expected),
        caller=origin.caller,
        key=origin.key,
        fingerprint=mark,
        unique_fingerprint=mark,
        actor=origin.actor,
        door=origin.door,
        request_id=origin.request_id,
        traceparent=origin.traceparent,
    )
