"""`GET|PUT /v1/config` of services that keep configurations in their tables: the same as the ledger's."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from libs.service import answers
from libs.service.auth import scope_of
from libs.service.bodies import parse_body, parse_query
from libs.service.clock import Clock
from libs.service.configs import Applied, Configs, D, canonical_data, differences, expected_version, version_tag
from libs.service.contract import described
from libs.service.routes import json_response, permitted, staff


class PutQuery(BaseModel):
    """The query of `PUT /v1/config`."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(False, description="Say what would change, and change nothing.")


def config_router(
    service: str, model: type[D], configs_of: Callable[[Request], Configs[D]], clock_of: Callable[[Request], Clock]
) -> APIRouter:
    """The two routes; reading needs the service's scope `read`, applying its scope `config`."""
    router = APIRouter(prefix="/v1", tags=["configuration"])
    read, config = scope_of(service, "read"), scope_of(service, "config")

    @router.get("/config", summary="The configuration in force", **described(answer=answers.Config))
    async def get_config(request: Request) -> Response:
        """For anybody of the app but its users. Version 0 is what an app has that was never configured."""
        principal = staff(request, read)
        configs = configs_of(request)
        await configs.refresh()
        return _answer(configs.get(principal.app))

    @router.put(
        "/config",
        summary="Apply a configuration, or see what it would change",
        **described(
            answer=answers.Config | answers.Difference,
            body=model,
            query=PutQuery,
            codes=("409 config_conflict", "412 version_mismatch"),
            key="optional",
        ),
    )
    async def put_config(request: Request) -> Response:
        """`If-Match: "<version>"` applies it only on top of that version ("0": to an app that has none)."""
        principal = permitted(request, config)
        document = parse_body(model, await request.body())
        expected = expected_version(request)
        configs = configs_of(request)
        if parse_query(PutQuery, request.query_params).dry_run:
            await configs.refresh()
            present = configs.get(principal.app)
            changes = differences(canonical_data(present.document), canonical_data(document))
            return json_response({"app": principal.app, "version": present.version, "changes": changes})
        now_us = clock_of(request).now_us()
        return _answer(await configs.apply(principal.app, document, expected, principal.actor, now_us))

    return router


def _answer(config: Applied[D]) -> Response:
    body = {"app": config.app, "version": config.version, "config": config.document.model_dump(mode="json")}
    return json_response(body, headers=version_tag(config.version))
