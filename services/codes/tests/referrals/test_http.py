"""Referrals as callers meet them: routes, roles, keys, refusals, lists and files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import httpx
import pytest

from libs.service.auth import ROLE_SCOPES, Authenticator
from libs.service.clock import LateClocks, SystemClock
from libs.service.keys import ensure_keys, issue_token
from services.codes.app import assemble
from services.codes.tests.referrals.world import World

pytestmark = pytest.mark.anyio
_KEYS = count()


class Callers:
    """Callers of every role of the app."""

    def __init__(self, http: httpx.AsyncClient, world: World) -> None:
        self._http = http
        self._world = world

    async def __call__(
        self,
        role: str,
        method: str,
        path: str = "",
        body: Any = None,
        *,
        sub: str = "tests",
        key: str | None = None,
        **headers: str,
    ) -> httpx.Response:
        """One request to a path behind `/v1/referrals`."""
        settings = self._world.core.settings
        token = issue_token(
            ensure_keys(settings.data / "keys", settings.jwks_file),
            sub=sub,
            audience="codes",
            role=role,
            scopes=sorted(ROLE_SCOPES[role]),
            app="vpn",
        )
        sent = {"Authorization": f"Bearer {token}", "Idempotency-Key": key or f"key-{next(_KEYS)}", **headers}
        return await self._http.request(method, f"/v1/referrals{path}", json=body, headers=sent)


@pytest.fixture
async def call(world: World) -> AsyncIterator[Callers]:
    """The routes, on the world's handlers."""
    await world.configure(own_text=True, link="https://t.me/vpnbot?start={code}")
    settings = world.core.settings
    ensure_keys(settings.data / "keys", settings.jwks_file)
    app = assemble(settings, LateClocks(), authenticator=Authenticator(settings.jwks_file, "codes", SystemClock()))
    app.state.core = world.core
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://codes") as http:
        yield Callers(http, world)


def problem(answer: httpx.Response) -> tuple[int, str]:
    """The status and the code of a refusal."""
    return answer.status_code, answer.json()["code"]


async def test_a_user_has_a_code_and_a_link_and_sees_what_came_of_it(world: World, call: Callers) -> None:
    empty = (await call("user", "GET", "/ada", sub="ada")).json()
    assert (empty["code"], empty["link"]) == (None, None)
    own = (await call("user", "PUT", "/ada", sub="ada")).json()
    assert own["link"] == f"https://t.me/vpnbot?start={own['code']}"
    made = await call("service", "POST", "", {"user": "ben", "code": own["code"]})
    assert made.status_code == 201
    assert (made.json()["referrer"], made.json()["status"], made.json()["rewards"]) == ("ada", "bound", [])
    await world.pay("ben", "o1")
    held = (await call("user", "GET", "/ada", sub="ada")).json()
    assert held["came"] == {"bound": 0, "on_hold": 1, "flagged": 0, "settled": 0, "refused": 0}
    assert held["pending"] == {"count": 1, "credits": "0"}
    world.clock.advance(14 * 86_400)
    await world.fire()
    await world.ledger()
    paid = (await call("user", "GET", "/ada", sub="ada")).json()
    assert (paid["came"]["settled"], paid["paid"]) == (1, {"count": 1, "credits": "20"})
    assert (paid["this_month"]["earned"], paid["this_month"]["left"]) == ("20", "980")


async def test_who_may_do_what(call: Callers) -> None:
    assert problem(await call("user", "GET", "/ada", sub="eva")) == (403, "wrong_user")
    assert problem(await call("user", "PUT", "/ada", {}, sub="eva")) == (403, "wrong_user")
    assert problem(await call("user", "PUT", "/ada", {"client_ip": "192.0.2.1"}, sub="ada")) == (403, "scope_missing")
    for role, method, path, body in (
        ("user", "POST", "", {"user": "ben", "code": "X"}),
        ("manager", "POST", "", {"user": "ben", "code": "X"}),
        ("user", "GET", "", None),
        ("user", "POST", "/r/approve", {"reason": "known"}),
        ("service", "POST", "/r/approve", {"reason": "known"}),
        ("service", "POST", "/r/refuse", {"reason": "known"}),
    ):
        assert problem(await call(role, method, path, body, sub="ada")) == (403, "scope_missing"), (role, method, path)


async def test_a_repeat_binds_once_and_gets_the_first_answer(call: Callers) -> None:
    code = (await call("service", "PUT", "/ada", {})).json()["code"]
    body = {"user": "ben", "code": code, "client_ip": "192.0.2.1", "signals": {"email": "ben@example.org"}}
    first = await call("service", "POST", "", body, key="one")
    again = await call("service", "POST", "", body, key="one")
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert problem(await call("service", "POST", "", {**body, "client_ip": "198.51.100.1"}, key="one")) == (
        422,
        "idempotency_key_reused",
    )
    assert problem(await call("service", "POST", "", body)) == (409, "already_bound")


async def test_named_refusals(world: World, call: Callers) -> None:
    ada = (await call("service", "PUT", "/ada", {})).json()["code"]
    unknown = await call("service", "POST", "", {"user": "ben", "code": "NOSUCHCODE"})
    assert problem(unknown) == (404, "code_not_found")
    assert problem(await call("service", "POST", "", {"user": "ada", "code": ada})) == (409, "self_referral")
    for body, fault, field in (
        ({"user": "ben"}, "missing_field", "code"),
        ({"user": "ben", "code": ada, "client_ip": "nowhere"}, "invalid_client_ip", "client_ip"),
        ({"user": "ben", "code": ada, "signals": {"phone": "0912"}}, "invalid_phone", "signals.phone"),
        ({"user": "ben", "code": ada, "signals": {"email": "ben"}}, "invalid_email", "signals.email"),
        ({"user": "ben", "code": ada, "signals": {"payer": "x"}}, "unknown_field", "signals.payer"),
        ({"user": "b b", "code": ada}, "invalid_user", "user"),
    ):
        answer = await call("service", "POST", "", body)
        assert answer.status_code == 400
        assert [(one["code"], one["field"]) for one in answer.json()["errors"]] == [(fault, field)]
    await world.configure(own_text=False)
    assert problem(await call("user", "PUT", "/eva", {"code": "EVASHOP"}, sub="eva")) == (403, "own_text_disabled")
    await world.configure(switch=False)
    for answer in (
        await call("service", "POST", "", {"user": "ben", "code": ada}),
        await call("service", "PUT", "/eva", {}),
        await call("service", "GET", "/ada"),
    ):
        assert problem(answer) == (403, "feature_disabled")


async def test_the_queue_of_what_waits_for_approval(world: World, call: Callers) -> None:
    body = {"client_ip": "192.0.2.1", "signals": {"device": "d1"}}
    code = (await call("service", "PUT", "/ada", body)).json()["code"]
    for user in ("ben", "cleo", "dan"):
        sent = {"user": user, "code": code, **(body if user != "dan" else {})}
        assert (await call("service", "POST", "", sent)).status_code == 201
        world.clock.advance(1)
    queue = (await call("manager", "GET", "?status=flagged")).json()
    assert [(one["referee"], one["flags"]) for one in queue["data"]] == [
        ("cleo", ["network", "device", "new_account"]),
        ("ben", ["network", "device", "new_account"]),
    ]
    cleo, ben = queue["data"]
    assert problem(await call("manager", "POST", f"/{ben['id']}/approve", {})) == (400, "invalid_request")
    approved = await call("manager", "POST", f"/{ben['id']}/approve", {"reason": "brothers"}, sub="mia")
    assert (approved.status_code, approved.json()["reviewed_by"]) == (200, "manager:mia")
    refused = await call("manager", "POST", f"/{cleo['id']}/refuse", {"reason": "one person"})
    assert (refused.json()["status"], refused.json()["refusal"]) == ("refused", "by_manager")
    assert problem(await call("manager", "POST", f"/{cleo['id']}/approve", {"reason": "no"})) == (
        409,
        "referral_resolved",
    )
    assert (await call("manager", "GET", "?status=flagged")).json()["data"] == []
    assert problem(await call("manager", "POST", "/referral_x/refuse", {"reason": "no"})) == (404, "referral_not_found")
    rows = await world.core.pool.fetch("SELECT actor, convert_from(data, 'utf8') FROM outbox WHERE type ~ 'approved'")
    assert [actor for actor, _ in rows] == ["manager:mia"]
    assert "brothers" in rows[0][1]


async def test_lists_in_pages_and_as_files(world: World, call: Callers) -> None:
    code = (await call("service", "PUT", "/ada", {})).json()["code"]
    for number in range(5):
        await call("service", "POST", "", {"user": f"ben{number}", "code": code})
        world.clock.advance(1)
    seen, path = [], "?limit=2&referrer=ada"
    while path:
        page = (await call("service", "GET", path)).json()
        seen += [one["referee"] for one in page["data"]]
        path = f"?limit=2&referrer=ada&cursor={page['next_cursor']}" if page["has_more"] else ""
    assert seen == [f"ben{number}" for number in reversed(range(5))]
    assert [one["referee"] for one in (await call("service", "GET", "?referee=ben3")).json()["data"]] == ["ben3"]
    assert (await call("service", "GET", "?referrer=eva")).json()["data"] == []
    table = (await call("manager", "GET", "?format=csv")).text.splitlines()
    assert table[0].startswith("id,referee,referrer,code,status")
    assert len(table) == 6
    assert len((await call("manager", "GET", "", Accept="application/jsonl")).text.splitlines()) == 5
