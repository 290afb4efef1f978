"""Following an account: what is told, and what happens when the stream breaks."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any

import httpx
import pytest
from tallystick import AsyncClient, ConnectionFailed, NotFound

from .conftest import QUICK

pytestmark = pytest.mark.anyio
Answer = Callable[[httpx.Request], httpx.Response]


def state(version: int) -> str:
    """The event of an account's version."""
    amounts = {"settled": f"{version}", "held": "0", "owed": "0", "available": f"{version}"}
    data = json.dumps({**amounts, "position": version, "partition": 1, "account_version": version})
    return f"id: {version}\nevent: account\ndata: {data}\n\n"


class Told(httpx.AsyncByteStream):
    """A stream of these texts, which then breaks off or ends."""

    def __init__(self, *texts: str, breaks: bool = False) -> None:
        self._texts, self._breaks = texts, breaks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for text in self._texts:
            yield text.encode()
        if self._breaks:
            raise httpx.ReadError("reset")


def told(*texts: str, breaks: bool = False) -> Answer:
    """An answer with a stream of these."""
    return lambda request: httpx.Response(200, stream=Told(*texts, breaks=breaks))


def refused(status: int, code: str) -> Answer:
    """A refusal."""
    return lambda request: httpx.Response(status, json={"code": code}, headers={"Retry-After": "0"})


async def followed(answers: list[Answer], wanted: int, **options: Any) -> tuple[list[int], list[httpx.Request]]:
    """Versions that a follower hears of, and what it asked."""
    seen: list[httpx.Request] = []
    tokens = (f"token-{number}" for number in count())

    def peer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answers.pop(0)(request) if answers else refused(503, "unavailable")(request)

    client = AsyncClient(token=lambda: next(tokens), retry=QUICK, transport=httpx.MockTransport(peer))
    async with client, asyncio.timeout(20):
        heard: list[int] = []
        async for each in client.changes("ada", **options):
            assert each.account_version is not None
            heard.append(each.account_version)
            if len(heard) == wanted:
                break
        return heard, seen


async def test_a_broken_stream_is_taken_up_behind_what_was_heard() -> None:
    half = state(4)
    answers = [
        told(": hello\n\n", state(1), state(2), breaks=True),
        refused(503, "unavailable"),
        told(state(3), half[:20], half[20:]),
        told(state(5)),
    ]
    heard, seen = await followed(answers, 5)
    assert heard == [1, 2, 3, 4, 5]
    assert [each.headers.get("Last-Event-ID") for each in seen] == [None, "2", "2", "4"]
    assert all(each.url.path == "/v1/accounts/ada/stream" for each in seen)


async def test_an_expired_token_is_renewed() -> None:
    heard, seen = await followed([refused(401, "token_expired"), told(state(8))], 1, after=7)
    assert heard == [8]
    assert [each.headers["Authorization"] for each in seen] == ["Bearer token-0", "Bearer token-1"]
    assert {each.headers["Last-Event-ID"] for each in seen} == {"7"}


async def test_what_cannot_succeed_is_raised() -> None:
    with pytest.raises(NotFound):
        await followed([refused(404, "account_not_found")], 1)


async def test_patience_ends() -> None:
    with pytest.raises(ConnectionFailed):
        await followed([told() for _ in range(1000)], 1, patience_s=0.01)
