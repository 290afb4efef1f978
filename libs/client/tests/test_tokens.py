"""Who the caller is: tokens that are fixed, given or renewed, and the app that is named beside them."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from tallystick import AsyncClient, Client, Unauthorized

from .conftest import QUICK, until
from .ledger_peer import Ledger

pytestmark = pytest.mark.anyio


def test_an_expired_token_is_asked_for_again_once_for_all_threads(ledger: Ledger) -> None:
    ledger.token = "first"
    given: list[str] = []

    def token() -> str:
        given.append(ledger.token or "")
        return given[-1]

    with Client(token=token, retry=QUICK, transport=httpx.MockTransport(ledger)) as client:
        client.grant("ada", 10)
        ledger.token = "second"
        gate = threading.Barrier(8)

        def charge(_: int) -> None:
            gate.wait()
            client.charge("ada", 1)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(charge, range(8)))
        assert client.state("ada").available == 2
    assert given == ["first", "second"]


async def test_an_async_token_is_asked_for_again_once_for_all_tasks(ledger: Ledger) -> None:
    ledger.token = "first"
    given: list[str] = []

    async def token() -> str:
        await asyncio.sleep(0)
        given.append(ledger.token or "")
        return given[-1]

    async with AsyncClient(token=token, retry=QUICK, transport=httpx.MockTransport(ledger.served)) as client:
        await client.grant("ada", 10)
        ledger.token = "second"
        ledger.gate = asyncio.Event()
        charges = asyncio.gather(*(client.charge("ada", 1) for _ in range(8)))
        await until(lambda: ledger.waiting == 8)  # All are on their way with the token that has expired.
        ledger.gate.set()
        await charges
        assert (await client.state("ada")).available == 2
    assert given == ["first", "second"]


@pytest.mark.parametrize("token", ["stale", lambda: "stale"])
def test_a_token_that_stays_refused_is_an_error(ledger: Ledger, token: str) -> None:
    ledger.token = "other"
    with (
        Client(token=token, retry=QUICK, transport=httpx.MockTransport(ledger)) as client,
        pytest.raises(Unauthorized) as refused,
    ):
        client.grant("ada", 10)
    assert refused.value.code == "token_expired"
    assert len(ledger.seen) == (1 if isinstance(token, str) else 2)


def test_the_environment_says_where_and_who(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[httpx.Request] = []

    def peer(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={})

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", peer)
    monkeypatch.setenv("TALLYSTICK_URL", "http://ledger.internal:9001/books/")
    monkeypatch.setenv("TALLYSTICK_TOKEN", "from-env")
    monkeypatch.setenv("TALLYSTICK_APP", "coins")
    with Client.from_env() as client:
        client.statistics()
    assert str(seen[0].url) == "http://ledger.internal:9001/books/v1/statistics"
    assert seen[0].headers["Authorization"] == "Bearer from-env"
    assert seen[0].headers["Tallystick-App"] == "coins"
