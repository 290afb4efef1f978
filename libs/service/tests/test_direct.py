"""Routes reached directly answer, byte for byte, as they would through all of the framework's layers."""

from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, ConfigDict, Field
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from libs.service.app import create_app, principal_of
from libs.service.auth import Authenticator
from libs.service.bodies import parse_body
from libs.service.clock import SystemClock
from libs.service.direct import DirectRoutes, qualifies
from libs.service.keys import ensure_keys
from libs.service.settings import ServiceSettings

pytestmark = pytest.mark.anyio

router = APIRouter(prefix="/v1")


class Thing(BaseModel):
    """A body."""

    model_config = ConfigDict(extra="forbid", strict=True)

    count: int = Field(ge=1)


@router.post("/things")
async def make(request: Request) -> Response:
    return Response(str(parse_body(Thing, await request.body()).count), 201, {"x-made": "yes"})


@router.post("/mine")
async def mine(request: Request) -> Response:
    return Response(principal_of(request).sub)


@router.get("/things/{thing}")
async def one(request: Request) -> Response:
    return Response(request.path_params["thing"])


@router.get("/data")
async def data(request: Request) -> dict[str, str]:
    return {"path": request.url.path}


class Away(ConnectionError):
    """What a store that is away may raise."""


@router.post("/away")
async def away(request: Request) -> Response:
    raise Away(request.url.path)


async def _on_lost(request: Request, error: Exception) -> Response:
    return Response(f"{request.method} {error} later", 503)


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    settings = ServiceSettings(data=tmp_path)
    ensure_keys(tmp_path / "keys", settings.jwks_file)
    authenticator = Authenticator(settings.jwks_file, "ledger", SystemClock())
    app = create_app(
        title="Things",
        version="1",
        settings=settings,
        routers=[router],
        authenticator=authenticator,
        body_bytes_max=1000,
    )
    app.add_exception_handler(OSError, _on_lost)
    return app


def _is_direct(layer: Middleware) -> bool:
    kind: object = layer.cls
    return kind is DirectRoutes


def test_only_bare_routes_without_parameters_are_reached_directly(app: FastAPI) -> None:
    assert {getattr(route, "path", "") for route in router.routes if qualifies(route)} == {
        "/v1/things",
        "/v1/mine",
        "/v1/away",
    }
    assert any(_is_direct(layer) for layer in app.user_middleware)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/things", b'{"count": 3}', 201),
        ("POST", "/v1/things", b'{"count": 0}', 400),
        ("POST", "/v1/things", b'{"count": 1, "more": 2}', 400),
        ("POST", "/v1/things", b"not json", 400),
        ("POST", "/v1/things", b" " * 2000, 413),
        ("POST", "/v1/mine", b"", 401),
        ("POST", "/v1/away", b"", 503),
        ("GET", "/v1/things", b"", 405),
        ("POST", "/v1/things/", b"", 404),
        ("GET", "/v1/things/7", b"", 200),
        ("GET", "/v1/data", b"", 200),
    ],
)
async def test_both_ways_answer_alike(app: FastAPI, method: str, path: str, body: bytes, status: int) -> None:
    request_id = {"x-request-id": "the-same-id"}

    async def answer() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://things") as client:
            return await client.request(method, path, content=body, headers=request_id)

    direct = await answer()
    app.user_middleware = [layer for layer in app.user_middleware if not _is_direct(layer)]
    app.middleware_stack = None
    layered = await answer()
    assert direct.status_code == layered.status_code == status
    assert direct.content == layered.content
    assert dict(direct.headers) == dict(layered.headers)
