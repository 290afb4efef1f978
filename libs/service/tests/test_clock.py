"""Times, and the clocks of apps in test mode through a real database and the routes that every service has."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from pydantic_settings import SettingsConfigDict

from libs.service.app import create_app
from libs.service.auth import Authenticator
from libs.service.clock import (
    ClockBackwards,
    ManualClock,
    SystemClock,
    TestClocks,
    format_time,
    from_datetime,
    parse_time,
    to_datetime,
)
from libs.service.db import Pool, create_pool
from libs.service.keys import ensure_keys, issue_token
from libs.service.migrations import SERVICE_SOURCE, migrate
from libs.service.problems import FeatureDisabled
from libs.service.settings import ServiceSettings
from tests.plugins.postgres import Database

START = parse_time("2026-01-01T00:00:00Z")
LATER = parse_time("2026-02-01T00:00:00Z")


class LedgerLike(ServiceSettings):
    """Settings whose service is the ledger."""

    model_config = SettingsConfigDict(env_prefix="TALLYSTICK_LEDGER_")


def clock_start(app: str) -> int | None:
    return START if app == "coins" else None


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    await migrate(database.owner_dsn, [SERVICE_SOURCE], database.runtime)
    made = await create_pool(database.runtime_dsn, application_name="test")
    yield made
    await made.close()


def clocks_of(pool: Pool, on_advance: Callable[[str], None] = lambda _: None) -> TestClocks:
    return TestClocks(pool, clock_start, ManualClock(LATER + 7), on_advance)


def test_times_keep_every_microsecond() -> None:
    for time_us in (0, 1, 1_767_225_600_000_000, 1_767_225_600_123_456, 253_402_300_799_999_999):
        assert parse_time(format_time(time_us)) == time_us
        assert from_datetime(to_datetime(time_us)) == time_us
    assert format_time(START) == "2026-01-01T00:00:00Z"
    assert format_time(START + 1) == "2026-01-01T00:00:00.000001Z"
    assert parse_time("2026-01-01T02:00:00+02:00") == START


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "20260101T000000Z", "1767225600"],
)
def test_other_texts_are_not_times(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        from_datetime(datetime(2026, 1, 1))  # noqa: DTZ001


def test_the_manual_clock_moves_when_told() -> None:
    clock = ManualClock(START)
    clock.advance(1.5)
    assert (clock.now_us(), clock.monotonic()) == (START + 1_500_000, 1.5)
    clock.set(START)
    assert (clock.now_us(), clock.monotonic()) == (START, 1.5)


def test_the_system_clock_is_the_machines() -> None:
    clock = SystemClock()
    assert abs(clock.now_us() - from_datetime(datetime.now().astimezone())) < 5_000_000
    assert clock.monotonic() <= clock.monotonic()


@pytest.mark.anyio
async def test_a_test_clock_goes_forward_only_and_is_kept(pool: Pool) -> None:
    moved: list[str] = []
    clocks = clocks_of(pool, moved.append)
    await clocks.load()
    assert clocks.now_us("coins") == START
    assert clocks.now_us("vpn") == LATER + 7
    with pytest.raises(FeatureDisabled):
        await clocks.advance("vpn", LATER)
    with pytest.raises(ClockBackwards):
        await clocks.advance("coins", START - 1)
    assert moved == []
    assert await clocks.advance("coins", LATER) == LATER
    assert await clocks.advance("coins", LATER) == LATER
    with pytest.raises(ClockBackwards):
        await clocks.advance("coins", LATER - 1)
    assert clocks.now_us("coins") == LATER
    assert moved == ["coins", "coins"]

    after_restart = clocks_of(pool)
    assert after_restart.now_us("coins") == START
    await after_restart.load()
    assert after_restart.now_us("coins") == LATER


@pytest.mark.anyio
async def test_two_processes_never_take_a_clock_back(pool: Pool) -> None:
    moved: list[str] = []
    one, other = clocks_of(pool), clocks_of(pool, moved.append)
    await one.advance("coins", LATER)
    with pytest.raises(ClockBackwards):
        await other.advance("coins", LATER - 1)
    assert other.now_us("coins") == LATER
    assert moved == ["coins"]


Put = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def call(pool: Pool, tmp_path: Path) -> AsyncIterator[Put]:
    settings = LedgerLike(data=tmp_path)
    key = ensure_keys(tmp_path / "keys", settings.jwks_file)
    app = create_app(
        title="Ledger",
        version="1",
        settings=settings,
        authenticator=Authenticator(settings.jwks_file, "ledger", SystemClock()),
        test_clocks=clocks_of(pool),
    )

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ledger") as client:

        async def send(
            method: str, content: bytes = b"", *, app: str = "coins", scope: str = "ledger:config"
        ) -> httpx.Response:
            token = issue_token(key, sub="ops", audience="ledger", role="admin", scopes=[scope], app=app)
            headers = {"authorization": f"Bearer {token}"}
            return await client.request(method, "/v1/test-clock", content=content, headers=headers)

        yield send


@pytest.mark.anyio
async def test_the_routes_of_the_test_clock(call: Put) -> None:
    assert (await call("GET")).json() == {"now": "2026-01-01T00:00:00Z"}
    moved = await call("PUT", b'{"now": "2026-02-01T00:00:00Z"}')
    assert (moved.status_code, moved.json()) == (200, {"now": "2026-02-01T00:00:00Z"})
    assert (await call("GET")).json() == {"now": "2026-02-01T00:00:00Z"}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"now": "soon"}', "invalid_time"),
        (b'{"now": 5}', "not_a_string"),
        (b'{"now": "2026-02-01T00:00:00Z\\u0000"}', "control_character"),
        (b"{}", "missing_field"),
        (b'{"now": "2026-02-01T00:00:00Z", "app": "vpn"}', "unknown_field"),
    ],
)
async def test_bad_times_are_named(call: Put, body: bytes, code: str) -> None:
    answer = await call("PUT", body)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, code)


@pytest.mark.anyio
async def test_refusals_of_the_test_clock(call: Put) -> None:
    earlier = await call("PUT", b'{"now": "2025-01-01T00:00:00Z"}')
    assert (earlier.status_code, earlier.json()["code"]) == (409, "clock_backwards")
    for method, body in (("GET", b""), ("PUT", b'{"now": "2026-02-01T00:00:00Z"}')):
        outside = await call(method, body, app="vpn")
        assert (outside.status_code, outside.json()["code"]) == (403, "feature_disabled")
        poor = await call(method, body, scope="ledger:read")
        assert (poor.status_code, poor.json()["code"]) == (403, "scope_missing")
