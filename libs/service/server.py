"""Runs an application under uvicorn with uvloop and httptools, and stops it gracefully."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Iterable
from importlib.util import find_spec

import uvicorn
from starlette.types import ASGIApp

from libs.service.express import ExpressHttp

GRACEFUL_SHUTDOWN_S = 10
KEEP_ALIVE_S = 75
BACKLOG = 2048
_GC_THRESHOLDS = (50_000, 20, 50)
SEARCHED = ("sniffio",)
"""Optional modules that libraries try to import again and again: httpcore twice with each request, a tenth of a
millisecond each time, since Python remembers what it imported and not what it did not find."""


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # The graceful time is for answers that come to an end by themselves; the others are told.
        stopping = getattr(getattr(self.config.app, "state", None), "stopping", None)
        if stopping is not None:
            stopping.set()
        await super().shutdown(sockets)


class _SettlingServer(_Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What start-up built lives as long as the process: walking it again and again would cost pauses of tens of
        # milliseconds in the middle of requests.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)


def make_server(
    app: ASGIApp, host: str, port: int, *, graceful_s: int = GRACEFUL_SHUTDOWN_S, settle_memory: bool = False
) -> uvicorn.Server:
    """A server that is not running yet, for a process that has more than one thing to run in its loop.

    With `settle_memory` the garbage collector is told, after start-up, to leave alone what is there.
    """
    kind = _SettlingServer if settle_memory else _Server
    return kind(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=ExpressHttp,
            loop="uvloop",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=graceful_s,
        )
    )


def dispense_with(modules: Iterable[str]) -> None:
    """Say once and for all of optional modules that they are not installed, if they are not."""
    for name in modules:
        if name not in sys.modules and find_spec(name) is None:
            # By this Python knows that an import fails.
            sys.modules[name] = None  # type: ignore[assignment]


def serve(app: ASGIApp, host: str, port: int, *, graceful_s: int = GRACEFUL_SHUTDOWN_S) -> None:
    """Serve until SIGINT or SIGTERM, then return; requests under way have `graceful_s` seconds more.

    Ends the process with 3 when start-up fails, for example because the port is taken. Logging is the caller's.
    """
    dispense_with(SEARCHED)
    server = make_server(app, host, port, graceful_s=graceful_s, settle_memory=True)
    # After a clean stop uvicorn raises the signal again. It then interrupts, and what follows this call still runs.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner,
    ):
        runner.run(server.serve())
    if not server.started:
        raise SystemExit(3)
