"""Following an account or an app: what is told, and what happens when the stream breaks."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from itertools import count, islice
from typing import Any

import httpx
import pytest
from tallystick import AsyncClient, Client, ConnectionFailed, NotFound

from .conftest import QUICK

pytestmark = pytest.mark.anyio
Answer = Callable[[httpx.Request], httpx.Response]


def state(version: int) -> str:
    """The event of an account's version."""
    amounts = {"settled": f"{version}", "held": "0", "owed": "0", "available": f"{version}"}
    data = json.dumps({**amounts, "position": version, "partition": 1, "account_version": version})
    return f"id: {version}\nevent: account\ndata: {data}\n\n"


def happened(number: int) -> str:
    """An event of an app."""
    kind = "ledger.credits_granted.v1"
    data = json.dumps({"id": f"event_{number}", "type": kind, "partition": 1, "position": number})
    return f"id: place-{number}\nevent: {kind}\ndata: {data}\n\n"


class Told(httpx.AsyncByteStream, httpx.SyncByteStream):
    """A stream of these texts, which then breaks off or ends."""

    def __init__(self, *texts: str, breaks: bool = False) -> None:
        self._texts, self._breaks = texts, breaks

    def __iter__(self) -> Iterator[bytes]:
        for text in self._texts:
            yield text.encode()
        if self._breaks:
            raise httpx.ReadError("reset")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for each in self:
            yield each


def told(*texts: str, breaks: bool = False) -> Answer:
    """An answer with a stream of these."""
    return lambda request: httpx.Response(200, stream=Told(*texts, breaks=breaks))


def refused(status: int, code: str) -> Answer:
    """A refusal."""
    return lambda request: httpx.Response(status, json={"code": code}, headers={"Retry-After": "0"})


class Peer:
    """Answers in turn, and then that it is away."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.seen: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.seen.append(request)
        return self._answers.pop(0)(request) if self._answers else refused(503, "unavailable")(request)


class Follower:
    """Somebody who follows with a client of either kind."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    async def heard(self, peer: Peer, wanted: int, method: str, *args: str, **options: Any) -> list[Any]:
        """The first that it is told."""
        tokens = (f"token-{number}" for number in count())
        transport = httpx.MockTransport(peer)
        async with asyncio.timeout(20):
            if self._kind == "blocking":
                with Client(token=lambda: next(tokens), retry=QUICK, transport=transport) as blocking:
                    return list(islice(getattr(blocking, method)(*args, **options), wanted))
            client = AsyncClient(token=lambda: next(tokens), retry=QUICK, transport=transport)
            async with client, aclosing(getattr(client, method)(*args, **options)) as told:
                return [await anext(told) for _ in range(wanted)]

    async def versions(self, peer: Peer, wanted: int, **options: Any) -> list[int | None]:
        """The versions of an account that it hears of."""
        return [each.account_version for each in await self.heard(peer, wanted, "changes", "ada", **options)]


@pytest.fixture(params=["blocking", "asyncio"])
def follower(request: pytest.FixtureRequest) -> Follower:
    return Follower(request.param)


async def test_a_broken_stream_is_taken_up_behind_what_was_heard(follower: Follower) -> None:
    half = state(4)
    peer = Peer(
        told(": hello\n\n", state(1), state(2), breaks=True),
        refused(503, "unavailable"),
        told(state(3), half[:20], half[20:]),
        told(state(5)),
    )
    assert await follower.versions(peer, 5) == [1, 2, 3, 4, 5]
    assert [each.headers.get("Last-Event-ID") for each in peer.seen] == [None, "2", "2", "4"]
    assert all(each.url.path == "/v1/accounts/ada/stream" for each in peer.seen)


@pytest.mark.parametrize("breaks", [True, False])
async def test_what_broke_off_in_the_middle_is_told_whole(follower: Follower, breaks: bool) -> None:
    half = state(2)
    for cut in range(1, len(half)):
        peer = Peer(told(state(1), half[:cut], breaks=breaks), told(state(2)))
        assert await follower.versions(peer, 2) == [1, 2]
        assert peer.seen[1].headers["Last-Event-ID"] == "1"


async def test_an_expired_token_is_renewed(follower: Follower) -> None:
    peer = Peer(refused(401, "token_expired"), told(state(8)))
    assert await follower.versions(peer, 1, after=7) == [8]
    assert [each.headers["Authorization"] for each in peer.seen] == ["Bearer token-0", "Bearer token-1"]
    assert {each.headers["Last-Event-ID"] for each in peer.seen} == {"7"}


async def test_what_cannot_succeed_is_raised(follower: Follower) -> None:
    with pytest.raises(NotFound):
        await follower.versions(Peer(refused(404, "account_not_found")), 1)


async def test_patience_ends(follower: Follower) -> None:
    with pytest.raises(ConnectionFailed):
        await follower.versions(Peer(*[told()] * 1000), 1, patience_s=0.01)


async def test_an_app_is_followed_from_its_places(follower: Follower) -> None:
    ending = 'event: reconnect\ndata: {"code": "reconnect", "detail": "again"}\n\n'
    peer = Peer(told("id: place-0\n\n", ending), told(happened(1), happened(2), ending), told(happened(3)))
    heard = await follower.heard(peer, 3, "stream")
    assert [(each.id, each.place) for each in heard] == [(f"event_{n}", f"place-{n}") for n in (1, 2, 3)]
    assert [each.headers.get("Last-Event-ID") for each in peer.seen] == [None, "place-0", "place-2"]
    assert {each.url.path for each in peer.seen} == {"/v1/stream"}
    again = Peer(told(happened(3)))
    await follower.heard(again, 1, "stream", after="place-2")
    assert again.seen[0].headers["Last-Event-ID"] == "place-2"
