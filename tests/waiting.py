"""Waiting for what is to come about, and running beside a test what goes on until it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

DEADLINE_S = 60.0
_POLL_S = 0.01


async def eventually(
    check: Callable[[], Awaitable[bool]], what: str = "what is waited for", deadline_s: float = DEADLINE_S
) -> float:
    """Poll until `check` holds; how long it took (seconds). The test fails at the deadline."""
    began = time.monotonic()
    while not await check():
        assert time.monotonic() - began < deadline_s, f"not within {deadline_s} s: {what}"
        await asyncio.sleep(_POLL_S)
    return time.monotonic() - began


@asynccontextmanager
async def beside(*parts: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run parts beside the block, which is given their tasks; their failure fails its end."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result
