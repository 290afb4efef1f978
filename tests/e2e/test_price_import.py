"""F7: vendors' list prices become a version of an app's price book, on top of the one looked at or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deploy.embedded.ports import free_port
from libs.service.server import make_server
from tests.e2e.suite import Suite

pytestmark = pytest.mark.anyio

APP = "imported-prices"
MODEL = "openai/gpt-4o-mini"
OURS = {"per": 1, "output": "7"}
CONFIG: dict[str, Any] = {
    "assets": {"credits": {"scale": 2, "default": True}},
    "prices": {"operations": {"image": {"amount": "5"}}, "models": {"acme/ours": OURS}},
}
IMPORT = ("ledger", "prices", "import", "--app", APP, "--model", MODEL, "--credits-per-usd", "100")


@asynccontextmanager
async def on_the_way(suite: Suite, before_a_write: Callable[[], Awaitable[object]]) -> AsyncIterator[str]:
    """The ledger, reached by a way on which something happens before each write."""

    async def passed_on(request: Request) -> Response:
        if request.method == "PUT":
            await before_a_write()
        headers = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
        async with httpx.AsyncClient(base_url=suite.url) as http:
            url = f"{request.url.path}?{request.url.query}"
            told = await http.request(request.method, url, content=await request.body(), headers=headers)
        return Response(told.content, told.status_code, media_type="application/json")

    port = free_port()
    routes = [Route("/{rest:path}", passed_on, methods=["GET", "PUT", "POST"])]
    server = make_server(Starlette(routes=routes), "127.0.0.1", port, graceful_s=1)
    running = asyncio.create_task(server._serve())
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn tells it by nothing else
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await running


async def test_f7_list_prices_are_imported_beside_what_is_there(suite: Suite) -> None:
    async with suite.client(APP, "admin") as admin:
        before = (await admin.put_config(CONFIG)).version or 0
        done = await asyncio.to_thread(suite.tallystick, *IMPORT)
        assert done.returncode == 0, done.stdout + done.stderr
        after = await admin.get_config()
        assert (after.version, set(after.config["prices"]["models"])) == (before + 1, {MODEL, "acme/ours"})
        again = await asyncio.to_thread(suite.tallystick, *IMPORT)
        assert "0 to change" in again.stdout
        assert (await admin.get_config()).version == after.version, "what changes nothing is no version"


async def test_f7_a_change_meanwhile_is_not_lost(suite: Suite) -> None:
    dearer = {**CONFIG, "prices": {**CONFIG["prices"], "operations": {"image": {"amount": "6"}}}}
    async with suite.client(APP, "admin") as admin:
        await admin.put_config(CONFIG)

        async def somebody_changes_it() -> None:
            await admin.put_config(dearer)

        async with on_the_way(suite, somebody_changes_it) as url:
            done = await asyncio.to_thread(suite.tallystick, *IMPORT, TALLYSTICK_LEDGER_URL=url)
        assert (done.returncode, "somebody else changed it" in done.stderr) == (1, True), done.stdout + done.stderr
        config = (await admin.get_config()).config
        assert config["prices"]["operations"]["image"][0]["amount"] == "6"
        assert set(config["prices"]["models"]) == {"acme/ours"}, "nothing was imported"
