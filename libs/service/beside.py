"""Runs the work of a process of its own beside the small server by which it is watched."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from starlette.types import ASGIApp

from libs.service.server import make_server


async def run_beside_server(
    work: Coroutine[Any, Any, None],
    app: ASGIApp,
    host: str,
    port: int,
    end: Callable[[asyncio.Future[None]], Awaitable[None]],
) -> None:
    """Run `work` beside the server of `app`, until one ends. `end` cancels a task and waits until it has ended.

    Both have ended on return, also when this is cancelled, so that what they work with can be closed. Raises what the
    work failed with.
    """
    server = make_server(app, host, port)
    working = asyncio.ensure_future(work)
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.wait({working, serving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        await end(working)
        await serving
    with contextlib.suppress(asyncio.CancelledError):
        working.result()
