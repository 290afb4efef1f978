"""What belongs to one user of one app, every route of the ledger to reach it by, and whether anything has changed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Route

from services.ledger.tests.http.client import Api
from services.ledger.tests.http.test_permissions import BODIES, README

MARK = "zanzibar"
"""A word in everything of ann's that is free text: it must not turn up elsewhere."""
_ROW = re.compile(r"^\| `((?:GET|POST|PUT) /v1/[^`]*)` \| ([^|]*) \|", re.MULTILINE)


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


def scopes_of() -> dict[str, frozenset[str]]:
    """Which scopes open a route, one of them being enough, as the README says."""
    return {
        route: frozenset(re.findall(r"`([a-z]+:[a-z]+)`", scopes)) for route, scopes in _ROW.findall(README.read_text())
    }


@dataclass
class Estate:
    """The ids of what there is, by the word that its routes begin with."""

    api: Api
    ids: dict[str, str] = field(default_factory=dict)

    @classmethod
    async def make(cls, api: Api) -> Estate:
        """One of everything."""
        made = cls(api)
        labels = {"description": f"{MARK} text", "reference": MARK}
        made.ids["grants"] = (await api.grant("ann", "100", **labels))["id"]
        made.ids["charges"] = (await api.post("/charges", {"user": "ann", "amount": "1", **labels}))["id"]
        made.ids["holds"] = (await api.post("/holds", {"user": "ann", "amount": "1", **labels}))["id"]
        transfer = {"from_user": "ann", "to_user": "ben", "amount": "1", **labels}
        made.ids["transfers"] = (await api.post("/transfers", transfer, key="moved"))["id"]
        return made

    @property
    def routes(self) -> list[Served]:
        """What is to be tried: all that is served below `/v1`."""
        return [route for route in routes_of(self.api.app) if route.path.startswith("/v1/")]

    async def ask(self, caller: Api, route: Served, **headers: str) -> httpx.Response:
        """One good request to a route, about what is ann's."""
        path = route.path.removeprefix("/v1")
        found = next((self.ids[word] for word in self.ids if path.startswith(f"/{word}/")), "")
        path = path.replace("{id}", found).replace("{user}", "ann").replace("{key}", "moved")
        assert "{" not in path, f"nobody knows what to put into {route}"
        body: dict[str, Any] | None = None
        if route.method not in ("GET", "HEAD"):
            body = next((BODIES[end] for end in BODIES if path.endswith(end)), {})
        params: dict[str, Any] = {"user": "ann"} if path.startswith("/commands/") else {}
        if path == "/feed":
            params = {"topic": "ledger.events", "partition": 0}
        return await caller.send(route.method, path, body, params=params, headers=headers)

    async def state(self, app: str | None = None) -> list[tuple[Any, ...]]:
        """Everything that there is in the books, or what there is of an app."""
        pool = self.api.app.state.core.pool
        found: list[tuple[Any, ...]] = []
        for table in ("events", "accounts", "lots", "holds", "transfers", "configs", "texts", "results", "unique_refs"):
            rows = await pool.fetch(
                f"SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {table} t"
                " WHERE $1::text IS NULL OR app = $1",
                app,
            )
            found.append((table, rows[0][0]))
        if app is None:
            heads = await pool.fetch("SELECT partition, position, hash FROM heads ORDER BY partition")
            found += [tuple(head) for head in heads]
        return found
