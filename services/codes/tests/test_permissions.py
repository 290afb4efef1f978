"""Every route, for every role, of the own app and of another: as the table in the README says."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from services.codes import openapi
from services.codes.tests.office import Office, office, prepare_codes
from tests.plugins.postgres import DatabaseFrom

pytestmark = pytest.mark.anyio

ROLES = ("user", "manager", "service", "admin", "system")
DENIALS = ("scope_missing", "wrong_app", "wrong_user")
README = Path(__file__).parents[1] / "README.md"
_ROUTE = re.compile(r"`((?:(?:GET|POST|PUT|PATCH|DELETE) )?/[^`]*)`")


def table() -> dict[str, dict[str, str]]:
    """What the README says: route → role → `yes`, `own` or `–`."""
    found: dict[str, dict[str, str]] = {}
    for routes, cells in re.findall(r"^\| (`[A-Z]+ /v1/.*?`) \| [^|]* \|(.*)\|$", README.read_text(), re.MULTILINE):
        allowed = dict(zip(ROLES, (cell.strip() for cell in cells.split("|")), strict=True))
        found |= dict.fromkeys(routes_in(routes), allowed)
    return found


def routes_in(cell: str) -> list[str]:
    """The routes in a cell; one that begins with `/` is the one before it with another end."""
    found: list[str] = []
    for route in _ROUTE.findall(cell):
        found.append(found[-1].rpartition("/")[0] + route if route.startswith("/") else route)
    return found


TABLE = table()


@pytest.fixture
async def backend(database_from: DatabaseFrom, tmp_path: Path) -> AsyncIterator[Office]:
    """The backend of an app, and everybody else by `as_`."""
    async with office(await database_from("codes", prepare_codes), tmp_path, answer_s=0.1) as made:
        yield made.as_("service")


def test_the_table_names_every_route() -> None:
    served = {
        f"{method} {route.path}"
        for route in openapi.application().routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert set(TABLE) == served


def test_the_committed_document_is_the_one_that_is_served() -> None:
    assert openapi.main("check") == 0, "run: python -m services.codes openapi write"


async def denied(caller: Office, route: str, query: str = "", body: Any = None, **headers: str) -> bool:
    """Whether the caller is kept out of a route; what is sent need not make sense beyond that."""
    method, path = route.split(" ")
    path = path.removeprefix("/v1").replace("{id}", "nothing").replace("{user}", "ann") + query
    answer = await caller.send(method, path, {} if body is None and method != "GET" else body, **headers)
    assert answer.status_code < 500, (route, answer.text)
    return _denied(answer)


def _denied(answer: httpx.Response) -> bool:
    return answer.status_code == 403 and answer.json()["code"] in DENIALS


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_gets_in_where_the_table_says_so(backend: Office, role: str) -> None:
    caller = backend.as_(role, sub="ann")
    for route, allowed in TABLE.items():
        if allowed[role] != "own":
            assert await denied(caller, route) == (allowed[role] == "–"), route


@pytest.mark.parametrize("role", ["user", "manager", "service", "admin"])
async def test_nobody_gets_into_another_app(backend: Office, role: str) -> None:
    caller = backend.as_(role, app="other", sub="ann")
    for route in TABLE:
        assert await denied(caller, route, **{"Tallystick-App": backend.app}), route


async def test_users_see_their_own_redemptions_and_redeem_nothing(backend: Office) -> None:
    await backend.as_("manager").post("/codes", {"code": "GIFT10", "kind": "recharge", "amount": "10"})
    made = await backend.send("POST", "/redemptions", {"code": "GIFT10", "user": "ann"})
    assert made.status_code == 202, made.text
    place = f"/redemptions/{made.json()['id']}"
    ann, ben = backend.as_("user", sub="ann"), backend.as_("user", sub="ben")
    assert (await ann.get(place))["user"] == "ann"
    assert _denied(await ben.send("GET", place))
    assert [one["id"] for one in (await ann.get("/redemptions?user=ann"))["data"]] == [made.json()["id"]]
    assert _denied(await ben.send("GET", "/redemptions?user=ann"))
    assert _denied(await ann.send("GET", "/redemptions"))
    assert _denied(await ann.send("POST", "/redemptions", {"code": "GIFT10", "user": "ann"}))
    # Nor does another app find it by its id.
    answer = await backend.as_("service", app="other").send("GET", place)
    assert (answer.status_code, answer.json()["code"]) == (404, "redemption_not_found")
