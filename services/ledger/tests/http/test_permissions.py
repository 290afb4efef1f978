"""Every route, for every role, of the own app and of another: as the table in the README says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from services.ledger import openapi
from services.ledger.tests.http.client import DOCUMENT, Api

pytestmark = pytest.mark.anyio

ROLES = ("user", "manager", "service", "admin", "system")
DENIALS = ("scope_missing", "wrong_app", "wrong_user")
README = Path(__file__).parents[2] / "README.md"


def table() -> dict[str, dict[str, str]]:
    """What the README says: route → role → `yes`, `own` or `–`."""
    rows = re.findall(r"^\| `((?:GET|POST|PUT) /v1/[^`]*)` \| [^|]* \|(.*)\|$", README.read_text(), re.MULTILINE)
    return {route: dict(zip(ROLES, (cell.strip() for cell in cells.split("|")), strict=True)) for route, cells in rows}


TABLE = table()
BODIES: dict[str, dict[str, Any]] = {
    "/grants": {"user": "ann", "amount": "1"},
    "/charges": {"user": "ann", "amount": "1"},
    "/holds": {"user": "ann", "amount": "1"},
    "/extend": {"ttl_s": 5},
    "/quotes": {"user": "ann", "price": "text"},
    "/transfers": {"from_user": "ann", "to_user": "bob", "amount": "1"},
    "/adjustments": {"user": "ann", "amount": "1", "reason": "fix"},
    "/actions": {"user": "ann", "action": "jump"},
    "/thresholds": {"thresholds": []},
    "/batch": {"commands": [{"type": "charge", "key": "b", "user": "ann", "amount": "1"}]},
    "/budgets": {"budgets": []},
    "/plan": {"plan": None},
    "/config": DOCUMENT,
    "/test-clock": {"now": "2030-01-01T00:00:00Z"},
}


def served_routes() -> set[str]:
    """Every route that the application has."""
    app = openapi.application()
    return {
        f"{method} {route.path.replace(':path', '')}"
        for route in app.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }


def test_the_table_names_every_route() -> None:
    assert set(TABLE) == served_routes()


class World:
    """An app with one of everything, which belongs to ann."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.ids: dict[str, str] = {}

    async def make(self) -> World:
        api = self.api
        self.ids["grants"] = (await api.grant("ann", "100"))["id"]
        self.ids["charges"] = (await api.post("/charges", {"user": "ann", "amount": "1"}))["id"]
        self.ids["holds"] = (await api.post("/holds", {"user": "ann", "amount": "1"}))["id"]
        body = {"from_user": "ann", "to_user": "ben", "amount": "1"}
        self.ids["transfers"] = (await api.post("/transfers", body, key="moved"))["id"]
        return self

    async def ask(self, caller: Api, route: str, headers: dict[str, str] | None = None) -> tuple[int, str, Any]:
        """Status, code and body of one request."""
        method, path = route.split(" ")
        path = path.removeprefix("/v1")
        found = next((self.ids[word] for word in self.ids if path.startswith(f"/{word}/")), "")
        path = path.replace("{id}", found).replace("{user}", "ann").replace("{key}", "moved")
        body = next((BODIES[end] for end in BODIES if path.endswith(end)), {}) if method != "GET" else None
        params = {"user": "ann"} if path.startswith(("/commands/", "/prices")) else None
        answer = await caller.send(method, path, body, params=params, headers=headers)
        streamed = answer.headers["content-type"].startswith("text/event-stream")
        content = {"events": answer.text} if streamed else answer.json()
        return answer.status_code, content.get("code", "") if answer.is_error else "", content


@pytest.fixture
async def world(api: Api) -> World:
    await api.as_("admin", app="other").put("/config", DOCUMENT)
    return await World(api).make()


@pytest.mark.parametrize("role", ROLES)
async def test_own_app(world: World, role: str) -> None:
    caller = world.api.as_(role, sub="ann")
    for route, cells in TABLE.items():
        status, code, body = await world.ask(caller, route)
        if cells[role] == "–":
            assert status == 403, route
            assert code in DENIALS, route
        else:
            assert code not in DENIALS, (route, body)
            assert status < 500, (route, body)


async def test_a_user_reaches_nothing_of_somebody_else(world: World) -> None:
    caller = world.api.as_("user", sub="eve")
    for route in TABLE:
        status, code, _ = await world.ask(caller, route)
        assert status in (403, 404), route
        if "{user}" in route and route.startswith("GET"):
            assert code == "wrong_user", route
    ben = world.api.as_("user", sub="ben")
    assert (await world.ask(ben, "GET /v1/transfers/{id}"))[0] == 200


@pytest.mark.parametrize("role", ROLES)
async def test_another_app(world: World, role: str) -> None:
    """What belongs to one app is not there for another, whoever asks."""
    caller = world.api.as_(role, sub="ann", app="other")
    before = await world.api.state("ann")
    for route, cells in TABLE.items():
        status, code, body = await world.ask(caller, route)
        if cells[role] == "–":
            assert status == 403, route
            assert code in DENIALS, route
        elif "{id}" in route or "{key}" in route:
            assert status == 404, (route, body)
        else:
            assert "coins" not in str(body.get("app", "")), route
    after = await world.api.state("ann")
    assert {**after, "time": ""} == {**before, "time": ""}


@pytest.mark.parametrize("role", ROLES[:-1])
async def test_an_app_that_the_token_is_not_for(world: World, role: str) -> None:
    caller = world.api.as_(role, sub="ann")
    for route in TABLE:
        status, code, _ = await world.ask(caller, route, {"Tallystick-App": "other"})
        assert (status, code) == (403, "wrong_app"), route


async def test_no_token_and_a_bad_one(world: World) -> None:
    for route in TABLE:
        for header, code in (("", "token_missing"), ("Bearer nonsense", "token_invalid")):
            found = await world.ask(world.api, route, {"Authorization": header})
            assert found[:2] == (401, code), route


async def test_scopes_narrow_a_role(world: World) -> None:
    caller = world.api.as_("admin", scopes=("ledger:read",))
    assert (await world.ask(caller, "POST /v1/charges"))[:2] == (403, "scope_missing")
    assert (await world.ask(caller, "GET /v1/accounts/{user}"))[0] == 200
