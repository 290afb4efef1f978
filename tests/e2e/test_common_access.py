"""X4: who may do what, for which app and which user."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from libs.service.keys import generate_key, issue_token
from tests.e2e.suite import Http, Suite

pytestmark = pytest.mark.anyio

ROLES = ("user", "manager", "service", "admin")
READ, STAFF, GRANT, SPEND, ADJUST, CONFIG = (
    frozenset(ROLES),
    frozenset(ROLES) - {"user"},
    frozenset({"manager", "service", "admin"}),
    frozenset({"service", "admin"}),
    frozenset({"manager", "admin"}),
    frozenset({"admin"}),
)


@dataclass(frozen=True, slots=True)
class Call:
    """A request to a route, with `{user}` where the user goes, and the roles that may make it."""

    method: str
    path: str
    body: Any
    allowed: frozenset[str]

    async def send(self, http: Http, user: str, **headers: str) -> httpx.Response:
        """Make the request about this user."""
        # A difference is enough to see who may change a configuration, and changes none.
        path = f"{self.path}?dry_run=true" if self.path == "config" else self.path
        return await http.request(
            self.method,
            f"/v1/{_filled(path, user)}",
            json=_filled(self.body, user),
            headers={"Idempotency-Key": secrets.token_hex(8), **headers},
        )


def _filled(template: Any, user: str) -> Any:
    if isinstance(template, dict):
        return {name: _filled(value, user) for name, value in template.items()}
    return template.replace("{user}", user) if isinstance(template, str) else template


CALLS = [
    Call("POST", "grants", {"user": "{user}", "amount": "1"}, GRANT),
    Call("POST", "actions", {"user": "{user}", "action": "start"}, GRANT),
    Call("POST", "charges", {"user": "{user}", "amount": "1"}, SPEND),
    Call("POST", "holds", {"user": "{user}", "amount": "1"}, SPEND),
    Call("POST", "transfers", {"from_user": "{user}", "to_user": "{user}2", "amount": "1"}, SPEND),
    Call("POST", "adjustments", {"user": "{user}", "amount": "1", "reason": "test"}, ADJUST),
    Call("POST", "accounts/{user}/freeze", {"unique_ref": "test"}, ADJUST),
    Call("POST", "accounts/{user}/unfreeze", {"unique_ref": "test"}, ADJUST),
    Call("PUT", "accounts/{user}", {}, ADJUST),
    Call("PUT", "accounts/{user}/thresholds", {"thresholds": []}, ADJUST),
    Call("POST", "accounts/{user}/erase", {}, CONFIG),
    Call("GET", "accounts/{user}", None, READ),
    Call("GET", "accounts/{user}/state", None, READ),
    Call("GET", "accounts/{user}/lots", None, READ),
    Call("GET", "accounts/{user}/holds", None, READ),
    Call("GET", "accounts/{user}/transactions", None, READ),
    Call("GET", "statistics", None, STAFF),
    Call("GET", "events", None, CONFIG),
    Call("PUT", "config", {"assets": {"credits": {"scale": 2}}}, CONFIG),
]
each_call = pytest.mark.parametrize("call", CALLS, ids=[f"{call.method} {call.path}" for call in CALLS])


@each_call
async def test_x4_each_role_may_do_its_own_things_only(suite: Suite, user: str, call: Call) -> None:
    async with suite.http("kernel") as service:
        await service.write("grants", {"user": user, "amount": "10"})
    for role in ROLES:
        async with suite.http("kernel", role, sub=user if role == "user" else None) as http:
            answer = await call.send(http, user)
        refused = answer.status_code == 403 and answer.json()["code"] == "scope_missing"
        assert refused != (role in call.allowed), f"{role}: {answer.status_code} {answer.text}"


async def test_x4_a_user_reads_its_own_account_only(suite: Suite, user: str) -> None:
    async with suite.http("coins") as service:
        for each in (user, f"{user}-2"):
            await service.write("grants", {"user": each, "amount": "1"})
    async with suite.http("coins", "user", sub=user) as own:
        assert (await own.read(f"accounts/{user}/state")).status_code == 200
        for path in ("", "/state", "/lots", "/holds", "/transactions"):
            other = await own.read(f"accounts/{user}-2{path}")
            assert other.status_code == 403, path
            unknown = await own.read(f"accounts/nobody-at-all{path}")
            assert unknown.json()["code"] == other.json()["code"], "whether somebody exists is not told"


@each_call
async def test_x4_another_app_s_token_reaches_nothing(suite: Suite, user: str, call: Call) -> None:
    async with suite.http("coins", "admin") as http:
        answer = await call.send(http, user, **{"Tallystick-App": "studio"})
    assert (answer.status_code, answer.json()["code"]) == (403, "wrong_app")


async def test_x4_one_app_s_objects_are_not_there_for_another(suite: Suite, user: str) -> None:
    async with suite.http("coins") as coins, suite.http("studio") as studio:
        grant = (await coins.write("grants", {"user": user, "amount": "9"})).json()
        charge = (await coins.write("charges", {"user": user, "amount": "1"})).json()
        hold = (await coins.write("holds", {"user": user, "amount": "1"})).json()
        for path, code in (
            (f"grants/{grant['id']}/revoke", "grant_not_found"),
            (f"charges/{charge['id']}/refund", "charge_not_found"),
            (f"holds/{hold['id']}/capture", "hold_not_found"),
            (f"holds/{hold['id']}/release", "hold_not_found"),
        ):
            answer = await studio.write(path, {})
            assert (answer.status_code, answer.json()["code"]) == (404, code)
        for path in (f"charges/{charge['id']}", f"holds/{hold['id']}"):
            assert (await studio.read(path)).status_code == 404
            assert (await coins.read(path)).status_code == 200
        assert (await coins.state(user))["available"] == "7"


async def test_x4_a_service_of_all_apps_names_the_one_it_speaks_for(suite: Suite, user: str) -> None:
    async with suite.http("*") as http:
        unnamed = await http.write("grants", {"user": user, "amount": "1"})
        assert (unnamed.status_code, unnamed.json()["code"]) == (403, "wrong_app")
        http.headers["Tallystick-App"] = "coins"
        assert (await http.write("grants", {"user": user, "amount": "1"})).status_code == 201


async def test_x4_tokens_that_are_not_accepted(suite: Suite, tmp_path: Path) -> None:
    stranger = issue_token(
        generate_key(tmp_path, "stranger"),
        sub="x",
        audience="ledger",
        role="admin",
        scopes=["ledger:read"],
        app="coins",
    )
    cases = {
        None: "token_missing",
        "Bearer not.a.token": "token_invalid",
        f"Bearer {stranger}": "token_invalid",
        f"Bearer {suite.token('coins', 'service', audience='payments')}": "token_invalid",
        f"Bearer {suite.token('coins', 'service', ttl_s=-600)}": "token_expired",
    }
    async with httpx.AsyncClient(base_url=suite.url) as http:
        for header, code in cases.items():
            answer = await http.get("/v1/statistics", headers={} if header is None else {"Authorization": header})
            assert (answer.status_code, answer.json()["code"]) == (401, code)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_x4_a_token_has_no_more_than_its_scopes(suite: Suite, user: str) -> None:
    async with suite.http("coins", "service", scopes=["ledger:read"]) as http:
        answer = await http.write("grants", {"user": user, "amount": "1"})
    assert (answer.status_code, answer.json()["scope"]) == (403, "ledger:grant")


def test_x4_the_command_line_prints_a_token_and_nothing_else(suite: Suite) -> None:
    done = suite.tallystick("token", "--app", "coins", "--role", "service")
    token = done.stdout.removesuffix("\n")
    answer = httpx.get(f"{suite.url}/v1/statistics", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
