"""A3, X2, X3: paid functions and routes: checked before, charged after success, never twice, never too much."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from tallystick import AsyncClient, Client, CreditsMiddleware, InsufficientCredits, Rule, metered

from tests.e2e.suite import RETRY, Suite, amounts
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
DEADLINE_S = 60.0


class Failed(Exception):
    """What a generation may raise."""


async def shown(client: AsyncClient, user: str) -> tuple[object, object]:
    """What is settled and what is held."""
    state = await client.state(user)
    return state.settled, state.held


async def test_a3_a_function_is_charged_after_it_succeeded(coins: AsyncClient, user: str) -> None:
    @metered(coins, amount=5, user="user_id")
    async def generate(user_id: str, *, fails: bool = False) -> str:
        assert await shown(coins, user_id) == (20, 5), "it is held while it runs"
        if fails:
            raise Failed
        return "done"

    await coins.grant(user, 20)
    with pytest.raises(Failed):
        await generate(user, fails=True)
    assert await shown(coins, user) == (20, 0), "a failed generation costs nothing"
    assert await generate(user) == "done"
    assert await shown(coins, user) == (15, 0)


async def test_a3_too_few_credits_raise_before_anything_runs(coins: AsyncClient, user: str) -> None:
    ran: list[str] = []

    @metered(coins, amount=lambda user, size: size, user=lambda user, size: user)
    async def generate(user: str, size: int) -> None:
        ran.append(user)

    await coins.grant(user, 3)
    with pytest.raises(InsufficientCredits) as short:
        await generate(user, 4)
    assert amounts(short.value, "required", "available") == ["4", "3"]
    assert not ran
    await generate(user, 3)
    assert ran == [user]


async def test_a3_what_is_captured_may_depend_on_the_result(coins: AsyncClient, user: str) -> None:
    @metered(coins, amount=10, user="user", cost=lambda words: len(words.split()))
    async def generate(user: str) -> str:
        return "three words long"

    await coins.grant(user, 20)
    await generate(user)
    assert await shown(coins, user) == (17, 0)


async def test_a2_a_function_costs_what_the_price_book_says(suite: Suite, user: str) -> None:
    async with suite.client("ai-credits") as credits_of:

        @metered(credits_of, price="text_generation", user="user")
        async def text(user: str) -> list[str]:
            return ["one", "two", "three"]

        @metered(credits_of, price="image_generation", quantity=lambda user, count: count, user="user")
        async def images(user: str, count: int) -> int:
            return count

        await credits_of.grant(user, 20, source="promo")
        before = (await credits_of.state(user)).settled
        await text(user)
        await images(user, 2)
        assert before - (await credits_of.state(user)).settled == 1 + 2 * 5


async def test_a3_a_stream_costs_what_was_yielded(coins: AsyncClient, user: str) -> None:
    @metered(coins, amount=10, user="user", cost=lambda item: item)
    async def stream(user: str, *, fails: bool = False) -> AsyncGenerator[int, None]:
        yield 1
        yield 2
        if fails:
            raise Failed
        yield 3

    await coins.grant(user, 30)
    assert [each async for each in stream(user)] == [1, 2, 3]
    assert await shown(coins, user) == (27, 0)
    with pytest.raises(Failed):
        assert [each async for each in stream(user, fails=True)]
    assert await shown(coins, user) == (27, 0)
    left = stream(user)
    assert await anext(left) == 1
    await left.aclose()
    assert await shown(coins, user) == (26, 0)


async def test_x2_paid_calls_at_once_never_overspend(coins: AsyncClient, user: str) -> None:
    @metered(coins, amount=1, user="user")
    async def generate(user: str) -> None:
        await asyncio.sleep(0)

    await coins.grant(user, 10)
    outcomes = await asyncio.gather(*(generate(user) for _ in range(40)), return_exceptions=True)
    kinds = Counter(type(each).__name__ for each in outcomes)
    assert kinds == {"NoneType": 10, "InsufficientCredits": 30}
    assert await shown(coins, user) == (0, 0)


async def test_x3_a_job_is_charged_once_however_often_it_is_tried(coins: AsyncClient, user: str) -> None:
    failures = iter([True, False, False])

    @metered(coins, amount=5, user="user", key="job")
    async def work(user: str, job: str) -> None:
        if next(failures):
            raise Failed

    with pytest.raises(InsufficientCredits):
        await work(user, f"{user}-1")
    await coins.grant(user, 20)
    with pytest.raises(Failed):
        await work(user, f"{user}-1")
    for _ in range(2):
        await work(user, f"{user}-1")
        assert await shown(coins, user) == (15, 0)


def test_a3_plain_functions_and_generators(suite: Suite, user: str) -> None:
    with Client(suite.url, suite.token("coins", "service"), retry=RETRY) as client:

        @metered(client, amount=2, user="user", key=lambda user, *rest: f"{user}-double")
        def double(user: str, number: int) -> int:
            return 2 * number

        @metered(client, amount=3, user="user")
        def count(user: str) -> Generator[int, None, None]:
            yield from range(3)

        with pytest.raises(InsufficientCredits):
            double(user, 4)
        client.grant(user, 10)
        assert [double(user, 4), double(user, 4)] == [8, 8]
        assert list(count(user)) == [0, 1, 2]
        closed = count(user)
        assert next(closed) == 0
        closed.close()
        assert client.state(user).settled == 2
        with pytest.raises(InsufficientCredits):
            next(count(user))
        assert client.state(user).held == 0


def test_what_does_not_fit_is_said_at_once() -> None:
    with Client() as client:
        with pytest.raises(TypeError, match="no parameter 'user_id'"):

            @metered(client, amount=1, user="user_id")
            def one(user: str) -> None:
                """Its user is called otherwise."""

        with pytest.raises(TypeError, match="AsyncClient"):

            @metered(client, amount=1, user="user")
            async def other(user: str) -> None:
                """It needs the other client."""


def signed_in(scope: Any) -> str | None:
    """The user, as an app's own sign-in would have put it there."""
    found = dict(scope["headers"]).get(b"x-user")
    return None if found is None else found.decode()


def shop(client: AsyncClient, ran: list[str]) -> CreditsMiddleware:
    """An app with paid routes."""
    app = FastAPI()

    @app.post("/images/{name}")
    async def image(name: str) -> dict[str, str]:
        ran.append(name)
        if name == "broken":
            raise Failed
        return {"image": name}

    @app.post("/texts")
    async def text(request: Request) -> StreamingResponse:
        async def words() -> AsyncIterator[str]:
            for word in ("three ", "words ", "long"):
                yield word
                if request.headers.get("x-break") == "yes":
                    raise Failed
            if request.headers.get("x-own") == "yes":
                await request.state.hold.capture(2)

        return StreamingResponse(words())

    @app.post("/refused")
    async def refused() -> StreamingResponse:
        return StreamingResponse(iter(["no"]), status_code=422)

    @app.get("/images/{name}")
    async def free(name: str) -> str:
        return name

    rules = [
        Rule("/images/{name}", user=signed_in, amount=5),
        Rule("/texts", user=signed_in, amount=3),
        Rule("/refused", user=signed_in, amount=3),
    ]
    return CreditsMiddleware(app, client, rules)


async def test_a3_paid_routes(coins: AsyncClient, user: str) -> None:
    ran: list[str] = []
    transport = httpx.ASGITransport(shop(coins, ran), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop", headers={"X-User": user}) as http:
        short = await http.post("/images/cat")
        assert (short.status_code, short.headers["content-type"]) == (402, "application/problem+json")
        assert (short.json()["code"], short.json()["required"], ran) == ("insufficient_credits", "5", [])
        await coins.grant(user, 30)
        assert (await http.get("/images/cat")).json() == "cat"
        for path, headers, status, settled in (
            ("/images/cat", {}, 200, 25),
            ("/images/broken", {}, 500, 25),
            ("/refused", {}, 422, 25),
            ("/texts", {}, 200, 22),
            ("/texts", {"x-own": "yes"}, 200, 20),
        ):
            answer = await http.post(path, headers=headers)
            assert answer.status_code == status, path
            assert await shown(coins, user) == (settled, 0), path
        await http.post("/texts", headers={"x-break": "yes"})
        assert await shown(coins, user) == (20, 0), "an answer that broke off is not charged"
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as stranger:
        assert (await stranger.post("/images/cat")).status_code == 401


async def test_x3_a_request_is_charged_once_by_its_key(coins: AsyncClient, user: str) -> None:
    ran: list[str] = []
    transport = httpx.ASGITransport(shop(coins, ran), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop", headers={"X-User": user}) as http:
        await coins.grant(user, 20)
        keyed = {"Idempotency-Key": "same"}
        assert (await http.post("/images/broken", headers=keyed)).text == "Internal Server Error"
        assert (await http.post("/images/broken", headers=keyed)).text == "Internal Server Error"
        answers = await asyncio.gather(*(http.post("/images/cat", headers=keyed) for _ in range(5)))
        assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 4}
        assert ran == ["broken", "broken", "cat"]
        again = await http.post("/images/cat", headers=keyed)
        assert (again.status_code, again.json()["code"]) == (409, "request_done")
        assert await shown(coins, user) == (15, 0)


async def test_x2_requests_at_once_never_overspend(coins: AsyncClient, user: str) -> None:
    transport = httpx.ASGITransport(shop(coins, []))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop", headers={"X-User": user}) as http:
        await coins.grant(user, 26)
        answers = await asyncio.gather(*(http.post("/images/cat") for _ in range(20)))
        assert Counter(answer.status_code for answer in answers) == {200: 5, 402: 15}
        assert await shown(coins, user) == (1, 0)


KILLED = """
import asyncio, os, signal
from tallystick import AsyncClient, metered

async def main():
    async with AsyncClient.from_env() as client:
        @metered(client, amount=5, user="user", ttl_s=1)
        async def generate(user):
            print("held", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        await generate(os.environ["SOMEBODY"])

asyncio.run(main())
"""


async def test_a3_a_process_that_is_killed_leaves_nothing_held(suite: Suite, coins: AsyncClient, user: str) -> None:
    await coins.grant(user, 5)
    token = suite.token("coins", "service")
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", textwrap.dedent(KILLED)],
        env={**os.environ, "TALLYSTICK_URL": suite.url, "TALLYSTICK_TOKEN": token, "SOMEBODY": user},
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "held\n"), ended.stderr

    async def let_go() -> bool:
        return await shown(coins, user) == (5, 0)

    await eventually(let_go, "the hold has ended")
