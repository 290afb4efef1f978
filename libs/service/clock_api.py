"""`GET|PUT /v1/test-clock`: the clock of an app in test mode, the same in every service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from libs.service.auth import Principal
from libs.service.bodies import CleanText, parse_body
from libs.service.clock import TestClocks, format_time, parse_time
from libs.service.problems import MEDIA_TYPE, FeatureDisabled, invalid


class TestClock(BaseModel):
    """The body of `PUT` and the answer of both: `now` is an RFC 3339 time."""

    __test__ = False
    model_config = ConfigDict(extra="forbid", strict=True)

    now: CleanText


_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {name: {"type": "string"} for name in ("type", "title", "code", "detail", "next", "request_id")}
    | {"status": {"type": "integer"}},
}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": f"{title}: {codes}", "content": {MEDIA_TYPE: {"schema": _PROBLEM}}}
    for status, title, codes in (
        (400, "Bad Request", "`invalid_request`"),
        (401, "Unauthorized", "`token_expired`, `token_invalid`, `token_missing`"),
        (403, "Forbidden", "`feature_disabled`, `scope_missing`, `wrong_app`"),
        (413, "Content Too Large", "`body_too_large`"),
    )
}


def test_clock_router(clocks: TestClocks, scope: str, principal_of: Callable[[Request], Principal]) -> APIRouter:
    """The two routes; `scope` is needed for either."""
    router = APIRouter(tags=["test clock"])

    def permitted_app(request: Request) -> str:
        principal = principal_of(request)
        principal.require(scope)
        app = principal.require_app()
        if not clocks.in_test_mode(app):
            raise FeatureDisabled("test_mode")
        return app

    def answer(now_us: int) -> Response:
        return Response(orjson.dumps({"now": format_time(now_us)}), media_type="application/json")

    body = {"content": {"application/json": {"schema": TestClock.model_json_schema()}}}

    refusals = {status: told for status, told in _REFUSALS.items() if status != 413}

    @router.get("/v1/test-clock", summary="The app's test clock", response_model=TestClock, responses=refusals)
    async def read(request: Request) -> Response:
        return answer(clocks.now_us(permitted_app(request)))

    @router.put(
        "/v1/test-clock",
        summary="Put the app's test clock forward",
        response_model=TestClock,
        responses=_REFUSALS,
        openapi_extra={"requestBody": body | {"required": True}},
    )
    async def advance(request: Request) -> Response:
        app = permitted_app(request)
        text = parse_body(TestClock, await request.body()).now
        try:
            now_us = parse_time(text)
        except ValueError:
            raise invalid("invalid_time", "now", "An RFC 3339 time such as 2026-01-31T12:00:00Z.") from None
        return answer(await clocks.advance(app, now_us))

    return router
