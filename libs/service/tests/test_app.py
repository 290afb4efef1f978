"""What every service's HTTP side does by itself, seen from outside."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from prometheus_client import REGISTRY
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from libs.service.app import create_app, principal_of
from libs.service.auth import Authenticator
from libs.service.bodies import CleanText, parse_body
from libs.service.clock import SystemClock
from libs.service.health import Health, NotReady
from libs.service.keys import ensure_keys, issue_token
from libs.service.problems import FeatureDisabled, NotFound, Overloaded
from libs.service.settings import ServiceSettings

pytestmark = pytest.mark.anyio

LIMIT = 2000


class Thing(BaseModel):
    """A body as services have them."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user: CleanText = Field(pattern="^[a-z\\n]+$")
    count: int = Field(ge=1)


router = APIRouter(prefix="/v1", tags=["things"])


@router.post("/things/{thing}", summary="Make a thing", status_code=201)
async def declared(thing: int, body: Thing) -> dict[str, int]:
    """Parsed by the framework."""
    return {"count": body.count * thing}


@router.post("/lean", summary="Make a thing quickly")
async def lean(request: Request) -> Response:
    """Parsed by ourselves."""
    return Response(str(parse_body(Thing, await request.body()).count))


@router.get("/who")
async def who(request: Request) -> dict[str, str]:
    return {"sub": principal_of(request).sub}


@router.get("/fail/{how}")
async def fail(how: str) -> None:
    raise {
        "missing": NotFound("hold"),
        "off": FeatureDisabled("transfers"),
        "busy": Overloaded(3),
        "bug": ValueError("the password is hunter2"),
    }[how]


@router.get("/half")
async def half() -> StreamingResponse:
    async def rows() -> AsyncIterator[bytes]:
        yield b"one\n"
        raise RuntimeError("the second row is gone")

    return StreamingResponse(rows())


@router.get("/slow/{part}")
async def slow(part: str) -> StreamingResponse:
    async def rows() -> AsyncIterator[bytes]:
        if part == "body":
            await asyncio.sleep(0.2)
        yield b"row"

    if part == "start":
        await asyncio.sleep(0.2)
    return StreamingResponse(rows())


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def app(tmp_path: Path, health: Health) -> FastAPI:
    settings = ServiceSettings(data=tmp_path)
    ensure_keys(tmp_path / "keys", settings.jwks_file)
    authenticator = Authenticator(settings.jwks_file, "ledger", SystemClock())
    return create_app(
        title="Things",
        version="1.2.3",
        settings=settings,
        routers=[router],
        health=health,
        authenticator=authenticator,
        body_bytes_max=LIMIT,
    )


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://things") as made:
        yield made


def the_problem(response: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, object] = response.json()
    assert (response.status_code, document["status"], document["code"]) == (status, status, code)
    assert document["type"] == f"urn:tallystick:problem:{code}"
    assert document["request_id"] == response.headers["x-request-id"]
    assert document["title"]
    assert document["detail"]
    return document


def codes(response: httpx.Response) -> set[tuple[str, str]]:
    faults = the_problem(response, 400, "invalid_request")["errors"]
    assert isinstance(faults, list)
    return {(fault["code"], fault["field"]) for fault in faults}


async def test_unknown_routes_and_methods_are_problems(client: httpx.AsyncClient) -> None:
    document = the_problem(await client.get("/nowhere"), 404, "route_not_found")
    assert "/docs" in str(document["next"])
    refused = await client.delete("/v1/lean")
    the_problem(refused, 405, "method_not_allowed")
    assert refused.headers["allow"] == "POST"
    the_problem(await client.post("/v1/lean/"), 404, "route_not_found")


async def test_raised_problems_are_answered_as_they_are(client: httpx.AsyncClient) -> None:
    the_problem(await client.get("/v1/fail/missing"), 404, "hold_not_found")
    assert the_problem(await client.get("/v1/fail/off"), 403, "feature_disabled")["feature"] == "transfers"
    busy = await client.get("/v1/fail/busy")
    the_problem(busy, 429, "overloaded")
    assert busy.headers["retry-after"] == "3"


async def test_a_bug_tells_the_log_and_not_the_caller(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await client.get("/v1/fail/bug")
    document = the_problem(answer, 500, "internal_error")
    assert "hunter2" not in answer.text
    assert "ValueError" not in answer.text
    logged = next(record for record in caplog.records if record.name == "failures")
    assert vars(logged)["request_id"] == document["request_id"]


async def test_a_failure_in_the_middle_of_an_answer_breaks_it_off(client: httpx.AsyncClient) -> None:
    with pytest.raises(RuntimeError):
        await client.get("/v1/half")


@pytest.mark.parametrize("path", ["/v1/things/2", "/v1/lean"])
class TestBodies:
    """Both ways of parsing name the same faults."""

    async def test_a_good_one(self, client: httpx.AsyncClient, path: str) -> None:
        assert (await client.post(path, json={"user": "ann", "count": 2})).is_success

    async def test_every_fault_is_named(self, client: httpx.AsyncClient, path: str) -> None:
        answer = await client.post(path, json={"user": "ANN", "extra": 1})
        assert codes(answer) == {("invalid_user", "user"), ("missing_field", "count"), ("unknown_field", "extra")}

    @pytest.mark.parametrize(
        ("body", "code", "field"),
        [
            (b'{"user": "ann", "count": "2"}', "not_an_integer", "count"),
            (b'{"user": "ann", "count": 2.5}', "not_an_integer", "count"),
            (b'{"user": "ann", "count": true}', "not_an_integer", "count"),
            (b'{"user": "ann", "count": 0}', "out_of_range", "count"),
            (b'{"user": 7, "count": 1}', "not_a_string", "user"),
            (b'{"user": null, "count": 1}', "not_a_string", "user"),
            (b'{"user": "a\\nb", "count": 1}', "control_character", "user"),
            (b"[]", "not_an_object", ""),
            (b'"x"', "not_an_object", ""),
            (b"{", "invalid_json", ""),
            (b"\xff\xfe", "invalid_json", ""),
        ],
    )
    async def test_one_fault(self, client: httpx.AsyncClient, path: str, body: bytes, code: str, field: str) -> None:
        answer = await client.post(path, content=body, headers={"content-type": "application/json"})
        assert codes(answer) == {(code, field)}

    @pytest.mark.parametrize("body", [b"[" * 1900, b'{"a":' * 390, b'{"user":' + b"[" * 950 + b"]" * 950 + b"}"])
    async def test_deep_json(self, client: httpx.AsyncClient, path: str, body: bytes) -> None:
        answer = await client.post(path, content=body, headers={"content-type": "application/json"})
        found = {code for code, _ in codes(answer)}
        assert found & {"invalid_json", "not_a_string"}

    async def test_announced_too_large(self, client: httpx.AsyncClient, path: str) -> None:
        answer = await client.post(path, content=b"x" * (LIMIT + 1))
        assert the_problem(answer, 413, "body_too_large")["bytes_max"] == LIMIT
        assert answer.headers["connection"] == "close"

    async def test_chunked_too_large(self, client: httpx.AsyncClient, path: str) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(LIMIT // 100 + 1):
                yield b"x" * 100

        answer = await client.post(path, content=chunks(), headers={"content-type": "application/json"})
        the_problem(answer, 413, "body_too_large")

    async def test_chunked_within_the_limit(self, client: httpx.AsyncClient, path: str) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            yield b'{"user": "ann", '
            yield b'"count": 2}'

        answer = await client.post(path, content=chunks(), headers={"content-type": "application/json"})
        assert answer.is_success


async def test_a_path_parameter_is_validated_like_a_body(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/things/many", json={"user": "ann", "count": 1})
    assert codes(answer) == {("not_an_integer", "thing")}


async def test_many_faults_are_cut(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/lean", json={"user": "ann", "count": 1} | {f"f{n}": 1 for n in range(80)})
    assert len(codes(answer)) == 50
    assert "80 faults" in answer.text


async def test_request_ids_are_taken_over_when_they_are_harmless(client: httpx.AsyncClient) -> None:
    given = await client.get("/livez", headers={"x-request-id": "caller-1234"})
    assert given.headers["x-request-id"] == "caller-1234"
    for bad in ("x", "a" * 65, "a b c d e f g", "<script>alert"):
        made = (await client.get("/livez", headers={"x-request-id": bad})).headers["x-request-id"]
        assert made != bad
        assert len(made) == 16


async def test_the_caller_is_known(client: httpx.AsyncClient, tmp_path: Path) -> None:
    the_problem(await client.get("/v1/who"), 401, "token_missing")
    the_problem(await client.get("/v1/who", headers={"authorization": "Bearer nonsense"}), 401, "token_invalid")
    key = next((tmp_path / "keys").glob("*.pem"))
    token = issue_token(key, sub="shop", audience="ledger", role="service", scopes=[], app="coins")
    headers = {"authorization": f"Bearer {token}"}
    assert (await client.get("/v1/who", headers=headers)).json() == {"sub": "shop"}
    the_problem(await client.get("/v1/who", headers=headers | {"tallystick-app": "vpn"}), 403, "wrong_app")


async def test_liveness_and_readiness(client: httpx.AsyncClient, health: Health) -> None:
    assert (await client.get("/livez")).status_code == 200
    assert (await client.get("/readyz")).json() == {"ready": True, "checks": {}}

    async def good() -> None:
        return None

    async def behind() -> None:
        raise NotReady("3 migrations are missing")

    async def broken() -> None:
        raise OSError("connection to 10.0.0.7 as ledger failed")

    async def stuck() -> None:
        await asyncio.Event().wait()

    health.add("database", good)
    assert (await client.get("/readyz")).status_code == 200
    health.add("migrations", behind)
    health.add("writer", broken)
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert checks["database"] == {"ok": True}
    assert checks["migrations"] == {"ok": False, "detail": "3 migrations are missing"}
    assert checks["writer"]["ok"] is False
    assert "10.0.0.7" not in answer.text
    assert (await client.get("/livez")).status_code == 200


async def test_a_stuck_check_is_not_waited_for_long(
    client: httpx.AsyncClient, health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.service.health.CHECK_TIMEOUT_S", 0.05)

    async def stuck() -> None:
        await asyncio.Event().wait()

    health.add("writer", stuck)
    answer = await client.get("/readyz")
    assert answer.json()["checks"]["writer"] == {"ok": False, "detail": "no answer within 0.05 s"}


def counted(method: str, route: str, status: str) -> float:
    labels = {"method": method, "route": route, "status": status}
    return REGISTRY.get_sample_value("http_requests_total", labels) or 0.0


async def test_requests_are_counted_by_route_and_never_by_path(client: httpx.AsyncClient) -> None:
    before = counted("POST", "/v1/things/{thing}", "201")
    unmatched = counted("GET", "unmatched", "404")
    invented = counted("other", "/v1/who", "405")
    for thing in range(3):
        await client.post(f"/v1/things/{thing}", json={"user": "ann", "count": 1})
    await client.get("/nowhere/at/all")
    await client.request("BREW", "/v1/who")
    assert counted("POST", "/v1/things/{thing}", "201") == before + 3
    assert counted("GET", "unmatched", "404") == unmatched + 1
    assert counted("other", "/v1/who", "405") == invented + 1
    page = (await client.get("/metrics")).text
    assert "http_request_duration_seconds_bucket" in page
    assert "/nowhere" not in page
    assert "BREW" not in page


async def test_access_is_logged_when_it_went_wrong_or_at_debug(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await client.get("/livez")
    assert not [record for record in caplog.records if record.name == "access"]
    await client.get("/v1/fail/bug")
    (failed,) = [record for record in caplog.records if record.name == "access"]
    assert (failed.levelname, vars(failed)["status"]) == ("WARNING", 500)
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    await client.get("/livez")
    (quiet,) = [record for record in caplog.records if record.name == "access"]
    assert vars(quiet)["route"] == "/livez"


async def test_a_slow_answer_is_logged_and_a_long_stream_is_not(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.service.middleware.SLOW_S", 0.1)
    caplog.set_level(logging.INFO, "access")
    for part in ("body", "start"):
        await client.get(f"/v1/slow/{part}")
    (logged,) = [record for record in caplog.records if record.name == "access"]
    assert vars(logged)["path"] == "/v1/slow/start"
    assert vars(logged)["duration_ms"] >= 100


async def test_the_documentation_needs_no_other_host(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    assert "/v1/things/{thing}" in page.text
    assert "Make a thing quickly" in page.text
    assert "//" not in page.text.replace("<!doctype", "")
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert (await client.get("/openapi.json")).json()["info"] == {"title": "Things", "version": "1.2.3"}


async def test_the_services_own_lifespan_runs_inside(tmp_path: Path) -> None:
    steps: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        steps.append("open")
        yield
        steps.append("close")

    app = create_app(title="T", version="1", settings=ServiceSettings(data=tmp_path), lifespan=lifespan)
    async with app.router.lifespan_context(app):
        assert steps == ["open"]
    assert steps == ["open", "close"]
