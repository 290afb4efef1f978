"""A peer, and a client of each kind that talks to it."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import httpx
import pytest
from tallystick import AsyncClient, Client, Retry

from .ledger_peer import Ledger

T = TypeVar("T")
QUICK = Retry(attempts=4, total_s=5.0, first_s=0.001, max_s=0.002)


async def run(value: T | Awaitable[T]) -> T:
    """The result of either kind of call."""
    if inspect.isawaitable(value):
        return await value
    return value


async def until(true: Callable[[], bool], limit_s: float = 5.0) -> None:
    """Wait for something to come true."""
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.005)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture(params=["blocking", "asyncio"])
async def client(request: pytest.FixtureRequest, ledger: Ledger) -> AsyncIterator[Client | AsyncClient]:
    if request.param == "blocking":
        with Client(token="secret", retry=QUICK, transport=httpx.MockTransport(ledger)) as blocking:
            yield blocking
    else:
        async with AsyncClient(token="secret", retry=QUICK, transport=httpx.MockTransport(ledger.served)) as client:
            yield client
