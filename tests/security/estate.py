"""What belongs to one user of one app, every route of a service to reach it by, and whether anything has changed."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Route

from services.codes.tests.test_permissions import routes_in
from services.ledger.tests.http.client import DOCUMENT, Api
from services.ledger.tests.http.test_permissions import BODIES, README

MARK = "zanzibar"
"""A word in everything of ann's that is free text: it must not turn up elsewhere."""
_ROW = re.compile(r"^\| (`[A-Z]+ /v1/.*?`) \| ([^|]*) \|", re.MULTILINE)


@dataclass(frozen=True, slots=True, order=True)
class Served:
    """A route with one of its methods."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def routes_of(app: FastAPI) -> list[Served]:
    """Every method of every route of an application; ones under `/v1` are FastAPI's own, the others Starlette's."""
    found = {
        Served(method, route.path.replace(":path", ""))
        for route in app.routes
        if isinstance(route, APIRoute | Route)
        for method in route.methods or ()
    }
    return sorted(found)


@dataclass
class Estate(ABC):
    """The ids of what there is, by the word that its routes begin with, and what is known of the service's routes."""

    api: Api
    ids: dict[str, str] = field(default_factory=dict)

    README: ClassVar[Path]
    BODIES: ClassVar[Mapping[str, Any]]
    """Good bodies of writes, by the ends of their paths; others take an empty one."""
    PARAMS: ClassVar[Mapping[str, Mapping[str, Any]]]
    """Good queries of reads, by the beginnings of their paths."""
    TABLES: ClassVar[Sequence[str]]
    FOR_ALL: ClassVar[frozenset[str]] = frozenset()
    """What every user of an app may see."""
    READ: ClassVar[str]
    """A path that services may read."""

    @abstractmethod
    async def fill(self) -> None:
        """Make one of everything, for ann of the app `coins`, and set up the app `other`."""

    @property
    def routes(self) -> list[Served]:
        """What is to be tried: all that is served below `/v1`."""
        return [route for route in routes_of(self.api.app) if route.path.startswith("/v1/")]

    @property
    def scopes(self) -> dict[str, frozenset[str]]:
        """Which scopes open a route, one of them being enough, as the README says."""
        return {
            route: frozenset(re.findall(r"`([a-z]+:[a-z]+)`", scopes))
            for routes, scopes in _ROW.findall(self.README.read_text())
            for route in routes_in(routes)
        }

    def place(self, route: Served) -> str:
        """The path below `/v1` of what is ann's."""
        path = route.path.removeprefix("/v1")
        found = next((self.ids[word] for word in self.ids if path.startswith(f"/{word}/")), "")
        path = path.replace("{id}", found).replace("{user}", "ann").replace("{key}", "moved")
        assert "{" not in path, f"nobody knows what to put into {route}"
        return path

    async def ask(self, caller: Api, route: Served, **headers: str) -> httpx.Response:
        """One good request to a route, about what is ann's."""
        path = self.place(route)
        body: dict[str, Any] | None = None
        if route.method not in ("GET", "HEAD"):
            body = next((self.BODIES[end] for end in self.BODIES if path.endswith(end)), {})
        params = next((self.PARAMS[word] for word in self.PARAMS if path.startswith(word)), {})
        return await caller.send(
            route.method, path, body, params=dict(params) if route.method == "GET" else None, headers=headers
        )

    async def state(self, app: str | None = None) -> list[tuple[Any, ...]]:
        """Everything that there is in the books, or what there is of an app."""
        pool = self.api.app.state.core.pool
        found: list[tuple[Any, ...]] = []
        for table in self.TABLES:
            rows = await pool.fetch(
                f"SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {table} t"
                " WHERE $1::text IS NULL OR app = $1",
                app,
            )
            found.append((table, rows[0][0]))
        return found


class LedgerEstate(Estate):
    """An account of the ledger, and what it did."""

    README = README
    BODIES = BODIES
    PARAMS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "/commands/": {"user": "ann"},
        "/feed": {"topic": "ledger.events", "partition": 0},
    }
    TABLES = ("events", "accounts", "lots", "holds", "transfers", "configs", "texts", "results", "unique_refs")
    FOR_ALL = frozenset({"/v1/prices"})
    READ = "/v1/accounts/ann/state"

    async def fill(self) -> None:
        api = self.api
        for app in ("coins", "other"):
            await api.as_("admin", app=app).put("/config", DOCUMENT)
        labels = {"description": f"{MARK} text", "reference": MARK}
        self.ids["grants"] = (await api.grant("ann", "100", **labels))["id"]
        self.ids["charges"] = (await api.post("/charges", {"user": "ann", "amount": "1", **labels}))["id"]
        self.ids["holds"] = (await api.post("/holds", {"user": "ann", "amount": "1", **labels}))["id"]
        transfer = {"from_user": "ann", "to_user": "ben", "amount": "1", **labels}
        self.ids["transfers"] = (await api.post("/transfers", transfer, key="moved"))["id"]

    async def state(self, app: str | None = None) -> list[tuple[Any, ...]]:
        found = await super().state(app)
        if app is None:
            rows = await self.api.app.state.core.pool.fetch("SELECT partition, position, hash FROM heads ORDER BY 1")
            found += [tuple(row) for row in rows]
        return found
