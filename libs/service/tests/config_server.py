"""A service for the tests of the command line: configuration and test clock behind the real application factory."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Self

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from libs.service.app import create_app, principal_of
from libs.service.auth import Authenticator
from libs.service.problems import Problem, invalid
from libs.service.server import make_server
from libs.service.settings import ServiceSettings

START_S = 10.0


class ConfigServer:
    """Answers on a free port of the loopback interface while the block runs."""

    def __init__(self, authenticator: Authenticator, service: str = "ledger") -> None:
        self._service = service
        self.configs: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, int] = {}
        self.clocks: dict[str, str] = {}
        self.bodies: list[bytes] = []
        self.callers: list[tuple[str, str]] = []
        self.change_after_dry_run = False
        router = APIRouter()
        router.add_api_route("/v1/config", self._put_config, methods=["PUT"])
        router.add_api_route("/v1/test-clock", self._put_clock, methods=["PUT"])
        app = create_app(
            title="Ledger",
            version="1",
            settings=ServiceSettings(data=Path()),
            routers=[router],
            authenticator=authenticator,
        )
        self._server = make_server(app, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> Self:
        self._thread.start()
        waited = threading.Event()
        for _ in range(int(START_S / 0.01)):
            if self._server.started:
                break
            waited.wait(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    async def _put_config(self, request: Request) -> Response:
        principal = principal_of(request)
        principal.require(f"{self._service}:config")
        app = principal.require_app()
        body = await request.body()
        self.bodies.append(body)
        self.callers.append((principal.sub, app))
        wanted = orjson.loads(body)
        if any(asset["scale"] > 9 for asset in wanted.get("assets", {}).values()):
            raise invalid("out_of_range", "assets.credit.scale", "A scale is 0 to 9.")
        version, present = self.versions.get(app, 0), self.configs.get(app, {})
        if "dry_run" in request.query_params:
            changes = [
                {"path": key, "before": present.get(key), "after": wanted.get(key)}
                for key in sorted(present.keys() | wanted.keys())
                if present.get(key) != wanted.get(key)
            ]
            if self.change_after_dry_run:
                self.versions[app] = version + 1
            return Response(orjson.dumps({"app": app, "version": version, "changes": changes}))
        if request.headers["if-match"] != f'"{version}"':
            raise Problem(status=412, code="version_mismatch", title="The version is another")
        self.versions[app] = version + 1
        self.configs[app] = wanted
        return Response(orjson.dumps({"app": app, "version": version + 1}))

    async def _put_clock(self, request: Request) -> Response:
        principal = principal_of(request)
        principal.require(f"{self._service}:config")
        body = orjson.loads(await request.body())
        self.clocks[principal.require_app()] = body["now"]
        return Response(orjson.dumps(body))
