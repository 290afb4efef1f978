"""A3, X2 for models: a call is held, its stream passes through while it is counted, and it ends where credits do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tallystick import AsyncClient

from tests.docs.markdown import ROOT, section
from tests.docs.walkthrough import Reader, reader
from tests.e2e.metering import APP, MODEL, Meter, cents_spent, metering, settled
from tests.e2e.openai_standin import KEY
from tests.e2e.suite import Suite
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
async def meter(suite: Suite, metered: AsyncClient, tmp_path: Path) -> AsyncIterator[Meter]:
    """A proxy that holds eight tokens at a time."""
    async with metering(suite, tmp_path, STEP_TOKENS="8") as meter:
        await meter.start()
        yield meter


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/responses"])
async def test_a3_a_streamed_call_costs_what_the_upstream_says(
    meter: Meter, metered: AsyncClient, user: str, path: str
) -> None:
    await metered.grant(user, 10)
    answer = await meter.chat(user, path=path, tokens=50, prompt=7)
    assert answer.status == 200, answer.error
    assert (answer.words, answer.finish, answer.done) == (50, "stop", True)
    assert await settled(metered, user) == "8.93"
    if path == "/v1/responses":
        assert answer.usage is not None
    else:
        assert answer.usage is None
        assert meter.upstream.seen[-1]["stream_options"] == {"include_usage": True}
    assert await meter.metric("meter_settlements_total", outcome="captured") == 1
    assert await meter.metric("meter_open_calls") == 0


async def test_a3_a_caller_who_asks_for_the_usage_gets_it(meter: Meter, metered: AsyncClient, user: str) -> None:
    await metered.grant(user, 10)
    answer = await meter.chat(user, tokens=3, prompt=10, cached=4, body_stream_options={"include_usage": True})
    assert answer.usage is not None
    assert (answer.usage["completion_tokens"], answer.done) == (3, True)
    assert await settled(metered, user) == "9.86"


async def test_a3_an_upstream_that_tells_no_usage_is_counted(meter: Meter, metered: AsyncClient, user: str) -> None:
    await metered.grant(user, 10)
    assert (await meter.chat(user, tokens=20, tells=False)).words == 20
    assert 20 * 2 < await cents_spent(metered, user, 10) <= 20 * 2 + 30, "twenty tokens, and the prompt by its length"


@pytest.mark.parametrize(
    ("path", "limit"), [("/v1/chat/completions", "max_tokens"), ("/v1/responses", "max_output_tokens")]
)
async def test_a3_an_answer_in_one_piece(meter: Meter, metered: AsyncClient, user: str, path: str, limit: str) -> None:
    await metered.grant(user, 100)
    answer = await meter.chat(user, path=path, stream=False, tokens=50, prompt=7)
    assert (answer.words, answer.finish) == (50, "stop")
    assert await settled(metered, user) == "98.93"
    assert meter.upstream.seen[-1][limit] == 4096


async def test_x2_an_answer_in_one_piece_is_as_long_as_the_credits(
    meter: Meter, metered: AsyncClient, user: str
) -> None:
    await metered.grant(user, 1)
    answer = await meter.chat(user, stream=False, tokens=500, prompt=1)
    assert answer.finish == "length"
    assert 20 < answer.words < 50
    limit = meter.upstream.seen[-1]["max_tokens"]
    assert answer.words == limit
    assert await cents_spent(metered, user, 1) == 1 + 2 * answer.words
    wanted = await meter.chat(user, stream=False, tokens=500, body_max_completion_tokens=1)
    assert meter.upstream.seen[-1].get("max_completion_tokens") == 1 or wanted.status == 402


async def test_x2_a_stream_ends_at_the_last_affordable_token(meter: Meter, metered: AsyncClient, user: str) -> None:
    await metered.grant(user, 1)
    answer = await meter.chat(user, tokens=500, pause_s=0.002, body_stream_options={"include_usage": True})
    assert (answer.finish, answer.done) == ("length", True)
    assert answer.usage is not None
    assert answer.usage["completion_tokens"] == answer.words
    assert await settled(metered, user) in ("0.00", "0.01"), "not one token more could be paid"
    assert meter.upstream.left == 1, "the upstream is not kept talking"
    assert await meter.metric("meter_calls_total", outcome="cut") == 1
    again = await meter.chat(user, tokens=5)
    assert (again.status, again.error["code"], again.error["type"]) == (
        402,
        "insufficient_credits",
        "insufficient_quota",
    )
    assert {"required", "available"} <= again.error.keys()


async def test_x2_a_streamed_response_ends_there_too(meter: Meter, metered: AsyncClient, user: str) -> None:
    await metered.grant(user, 1)
    answer = await meter.chat(user, path="/v1/responses", tokens=500, pause_s=0.002)
    assert (answer.finish, answer.done) == ("length", True)
    assert answer.usage is not None
    assert answer.usage["output_tokens"] == answer.words
    assert await settled(metered, user) in ("0.00", "0.01"), "not one token more could be paid"
    assert meter.upstream.left == 1


async def test_a3_a_streamed_response_that_breaks_off_is_paid_so_far(
    meter: Meter, metered: AsyncClient, user: str
) -> None:
    await metered.grant(user, 10)
    broken = await meter.chat(user, path="/v1/responses", tokens=10, breaks_at=4)
    assert (broken.words, broken.error["code"], broken.done) == (4, "upstream_failed", True)
    assert 8 < await cents_spent(metered, user, 10) <= 40
    unheld = await meter.chat(user, path="/v1/responses", body_previous_response_id="resp_of_somebody")
    assert (unheld.status, unheld.error["param"]) == (400, "previous_response_id")


async def test_the_connection_upstream_is_used_again(meter: Meter, metered: AsyncClient, user: str) -> None:
    await metered.grant(user, 10)
    for path in ("/v1/chat/completions", "/v1/responses") * 2:
        assert (await meter.chat(user, path=path, tokens=3)).words == 3
    assert len(meter.upstream.connections) == 1


async def test_x2_calls_at_once_never_overspend(meter: Meter, metered: AsyncClient, user: str) -> None:
    await metered.grant(user, 3)
    answers = await asyncio.gather(*(meter.chat(user, tokens=30, prompt=5, pause_s=0.001) for _ in range(12)))
    assert {answer.status for answer in answers} == {200, 402}
    assert 200 < await cents_spent(metered, user, 3) <= 300


async def test_a3_a_failed_call_costs_nothing(meter: Meter, metered: AsyncClient, user: str) -> None:
    await metered.grant(user, 10)
    for stream in (True, False):
        answer = await meter.chat(user, stream=stream, status=429)
        assert (answer.status, answer.error["message"]) == (429, "no")
        hidden = await meter.chat(user, stream=stream, status=401)
        assert (hidden.status, hidden.error["code"]) == (502, "upstream_failed")
    assert await settled(metered, user) == "10.00"
    broken = await meter.chat(user, tokens=10, breaks_at=4)
    assert (broken.words, broken.error["code"], broken.done) == (4, "upstream_failed", True)
    assert 8 < await cents_spent(metered, user, 10) <= 40, "what came before it broke off is paid"


async def test_a3_who_goes_away_pays_what_was_made(meter: Meter, metered: AsyncClient, user: str) -> None:
    await metered.grant(user, 10)
    answer = await meter.chat(user, tokens=2000, pause_s=0.005, leaves_at=10)
    assert answer.words == 10

    async def left() -> bool:
        return meter.upstream.left == 1

    await eventually(left, "the proxy has left the upstream")
    assert 10 * 2 < await cents_spent(metered, user, 10) < 1000
    assert await meter.metric("meter_calls_total", outcome="left") == 1


async def test_who_may_call_and_what(meter: Meter, metered: AsyncClient, suite: Suite, user: str) -> None:
    await metered.grant(user, 1)
    body = {"model": MODEL, "input": "hello"}
    async with httpx.AsyncClient(base_url=meter.url) as http:

        async def post(token: str | None, path: str = "/v1/embeddings", **more: str) -> httpx.Response:
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            return await http.post(path, json={**body, **more}, headers=headers)

        assert (await post(meter.token(user))).status_code == 200
        assert (await post(meter.token(), user=user)).status_code == 200
        assert await settled(metered, user) == "0.86"
        for answer, status, code in (
            (await post(None), 401, "token_missing"),
            (await post(suite.token(APP, "service", audience="ledger"), user=user), 401, "token_invalid"),
            (await post(suite.token(APP, "manager", audience="meter"), user=user), 403, "scope_missing"),
            (await post(meter.token()), 400, "invalid_request"),
            (await post(meter.token(), user=user, model="acme/unknown"), 404, "unknown_price"),
            (await post(meter.token(), user=user, path="/v1/chat/completions"), 400, "invalid_request"),
        ):
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        bearer = {"Authorization": f"Bearer {meter.token()}"}
        assert (await http.get("/v1/models", headers=bearer)).json()["authorized"] == f"Bearer {KEY}"
        assert (await http.get("/v1/files", headers=bearer)).status_code == 404
        assert (await http.get("/v1/models")).status_code == 401


async def test_more_calls_than_may_be_are_told_to_wait(
    suite: Suite, metered: AsyncClient, tmp_path: Path, user: str
) -> None:
    await metered.grant(user, 100)
    async with metering(suite, tmp_path, CALLS_MAX="2") as meter:
        await meter.start()
        answers = await asyncio.gather(*(meter.chat(user, tokens=20, pause_s=0.05) for _ in range(5)))
        statuses = Counter(answer.status for answer in answers)
        assert statuses == {200: 2, 429: 3}


async def test_five_minutes_are_as_the_page_says(meter: Meter, metered: AsyncClient, suite: Suite) -> None:
    page = section((ROOT / "docs/meter.md").read_text(), "Five minutes")
    here = reader(Path(suite.data), suite.port_base)
    replaced = {"http://127.0.0.1:8006": meter.url, "--app studio": f"--app {APP}", "openai/gpt-4o-mini": MODEL}
    somebody = Reader(here.environment, {**here.replacements, **replaced})
    await asyncio.to_thread(somebody.follow, page)
    assert meter.upstream.said == 5
    assert await cents_spent(metered, "grace", 5) == 17
