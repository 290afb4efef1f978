"""The application factory: what every service's HTTP side has in common.

Errors are problem documents, whoever raises them; `/livez`, `/readyz`, `/metrics`, `/docs` and, for services with apps
in test mode, `/v1/test-clock` are there without the service doing anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from typing import Any, TypeAlias

import orjson
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from libs.service.auth import Authenticator, Principal, scope_of
from libs.service.bodies import errors_from_pydantic
from libs.service.clock import TestClocks
from libs.service.clock_api import test_clock_router
from libs.service.direct import DirectRoutes
from libs.service.docs_page import docs_response
from libs.service.express import Express, ExpressRoute
from libs.service.health import Health
from libs.service.metrics import loop_lag_probe
from libs.service.middleware import BODY_BYTES_MAX, ServiceMiddleware
from libs.service.problems import InvalidRequest, MethodNotAllowed, Problem, RouteNotFound, problem_response
from libs.service.settings import ServiceSettings

OPERATIONS = frozenset({"/livez", "/readyz", "/metrics"})
"""Routes that machines ask all day long: not traced."""

Lifespan: TypeAlias = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    *,
    title: str,
    version: str,
    settings: ServiceSettings,
    routers: Sequence[APIRouter] = (),
    lifespan: Lifespan | None = None,
    health: Health | None = None,
    authenticator: Authenticator | None = None,
    test_clocks: TestClocks | None = None,
    body_bytes_max: int = BODY_BYTES_MAX,
    body_limits: Mapping[str, int] | None = None,
    express: Mapping[tuple[str, str], ExpressRoute[Any]] | None = None,
) -> FastAPI:
    """An application of `routers` with everything around them; `lifespan` opens and closes what the service holds.

    `authenticator` becomes `app.state.authenticator` for :func:`principal_of`; with `test_clocks` (which also needs an
    authenticator) there are the routes of the test clock. `body_bytes_max` bounds every body, except on the paths for
    which `body_limits` has another number. `express` are routes, by method and path, that are served before the
    framework sees them.
    """

    @asynccontextmanager
    async def around(app: FastAPI) -> AsyncIterator[None]:
        async with loop_lag_probe():
            if lifespan is None:
                yield
            else:
                async with lifespan(app):
                    yield

    app = FastAPI(
        title=title,
        version=version,
        lifespan=around,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        openapi_url="/openapi.json",
        telemetry={
            "tracing": settings.otel_endpoint is not None,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            # Nothing is taken from the environment behind the settings' back.
            "auto_configure": False,
            "exclude": lambda scope: scope.get("path") in OPERATIONS,
        },
    )
    app.state.settings = settings
    app.state.health = health or Health()
    app.state.authenticator = authenticator
    # Set when the server begins to stop: answers that would go on for ever end then.
    app.state.stopping = asyncio.Event()
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_middleware(ServiceMiddleware, body_bytes_max=body_bytes_max, body_limits=body_limits)
    for router in routers:
        # The routes themselves, not an included router: one less level to match costs a quarter less per request.
        app.router.routes.extend(router.routes)
    if test_clocks is not None:
        clock_routes = test_clock_router(test_clocks, scope_of(settings.service, "config"), principal_of)
        app.router.routes.extend(clock_routes.routes)
    if settings.otel_endpoint is None:
        # Traces are made in the layers that this leaves out. It stands inside the service's own middleware.
        app.user_middleware.append(Middleware(DirectRoutes, routes=app.router.routes))
        app.state.express = Express(app, express or {}, body_bytes_max)
    _add_operations(app)
    return app


def principal_of(request: Request) -> Principal:
    """The caller of `request`, from its Authorization and Tallystick-App headers; a 401 or 403 problem otherwise."""
    authorization = app = None
    # One pass over the raw headers, since every request comes by here.
    for name, value in request.scope["headers"]:
        if name == b"authorization":
            authorization = value.decode("latin-1")
        elif name == b"tallystick-app":
            app = value.decode("latin-1")
    authenticator: Authenticator = request.app.state.authenticator
    return authenticator.authenticate(authorization, app)


def request_id_of(request: Request) -> str:
    """The id under which this request is logged and answered."""
    request_id: str = request.scope["state"]["request_id"]
    return request_id


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - registered for this class alone
    return problem_response(error, request_id_of(request))


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
    return problem_response(errors_from_pydantic(error.errors()), request_id_of(request))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
    headers = dict(error.headers or {})
    problem: Problem
    if error.status_code == HTTPStatus.NOT_FOUND:
        problem = RouteNotFound(headers=headers)
    elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        problem = MethodNotAllowed(headers=headers)
    elif error.status_code == HTTPStatus.BAD_REQUEST:
        # The framework could not read the body at all: broken encoding, or nested too deeply.
        problem = InvalidRequest(
            "The body could not be read.",
            headers=headers,
            errors=[{"code": "invalid_json", "field": "", "detail": "The body could not be read."}],
        )
    else:
        status = HTTPStatus(error.status_code)
        problem = Problem(
            status.phrase, status=status.value, code=status.name.lower(), title=status.phrase, headers=headers
        )
    return problem_response(problem, request_id_of(request))


def _add_operations(app: FastAPI) -> None:
    async def livez(request: Request) -> Response:
        """Answered by the loop itself: a loop that does not turn does not answer."""
        return Response(b"ok\n", media_type="text/plain")

    async def readyz(request: Request) -> Response:
        ready, checks = await request.app.state.health.run()
        return Response(
            orjson.dumps({"ready": ready, "checks": checks}),
            status_code=200 if ready else 503,
            media_type="application/json",
        )

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})

    async def docs(request: Request) -> Response:
        return docs_response(request.app.openapi())

    for path, endpoint in (("/livez", livez), ("/readyz", readyz), ("/metrics", metrics), ("/docs", docs)):
        app.add_route(path, endpoint, methods=["GET"], include_in_schema=False)
