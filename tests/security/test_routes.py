"""Who gets in: every route and method that a service serves, tried with every token that should not open it.

The routes are taken from the running application, so that a new one is tried by itself, and fails where nothing is
known of it.
"""

from __future__ import annotations

import pytest

from libs.service.auth import ROLE_SCOPES
from libs.service.keys import issue_token
from tests.security.estate import MARK, Estate, Served, routes_of
from tests.security.forgery import forgeries, signed

pytestmark = pytest.mark.anyio

OPEN = {"/livez", "/readyz", "/metrics", "/docs", "/openapi.json"}
"""What is there for machines and readers, without a token and without anybody's data."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND")


async def test_what_needs_no_token_is_named_and_tells_nothing(estate: Estate) -> None:
    unguarded = {route.path for route in routes_of(estate.api.app)} - {route.path for route in estate.routes}
    assert unguarded == OPEN
    for path in sorted(OPEN):
        answer = await estate.api.http.get(path)
        assert answer.status_code == 200, path
        for word in (MARK, *estate.ids.values(), "ann"):
            assert f'"{word}"' not in answer.text, (path, word)


async def test_every_route_is_in_the_table_of_scopes(estate: Estate) -> None:
    scopes = estate.scopes
    assert {str(route) for route in estate.routes} == set(scopes)
    assert all(scopes.values()), scopes


async def test_no_route_without_a_token(estate: Estate) -> None:
    before = await estate.state()
    for route in estate.routes:
        path = f"/v1{estate.place(route)}"
        answer = await estate.api.http.request(route.method, path)
        assert answer.status_code == 401, route
        assert answer.json()["code"] == "token_missing", route
        assert answer.headers["www-authenticate"].startswith("Bearer"), route
        # A token belongs into its header; elsewhere it would end up in logs.
        token = signed(estate.api.key_file, estate.api.audience)
        answer = await estate.api.http.request(
            route.method, path, params={"access_token": token, "token": token}, headers={"Cookie": f"token={token}"}
        )
        assert answer.status_code == 401, route
    assert await estate.state() == before


async def test_no_method_that_is_not_served(estate: Estate) -> None:
    served = {(route.method, route.path) for route in estate.routes}
    before = await estate.state()
    for path in sorted({route.path for route in estate.routes}):
        for method in METHODS:
            if (method, path) in served:
                continue
            answer = await estate.api.as_("admin").send(method, estate.place(Served(method, path)), {})
            assert answer.status_code in (404, 405), (method, path)
            assert MARK not in answer.text
    assert await estate.state() == before


async def test_no_forged_token_opens_a_route(estate: Estate) -> None:
    api = estate.api
    tokens = forgeries(api.key_file, api.app.state.settings.jwks_file, api.audience)
    good = f"Bearer {signed(estate.api.key_file, estate.api.audience)}"
    first = estate.routes[0]
    assert (await estate.ask(estate.api, first, Authorization=good)).status_code != 401
    before = await estate.state()
    for what, header in tokens.items():
        for route in estate.routes:
            answer = await estate.ask(estate.api, route, Authorization=header)
            assert answer.status_code == 401, (what, route, answer.text)
            assert answer.json()["code"].startswith("token_"), (what, route)
            assert MARK not in answer.text
    assert await estate.state() == before


@pytest.mark.parametrize("role", sorted(ROLE_SCOPES))
async def test_nothing_of_another_app(estate: Estate, role: str) -> None:
    """Neither by a token of the other app, nor by naming this one beside it."""
    caller = estate.api.as_(role, sub="ann", app="other")
    before = await estate.state("coins")
    # These first, since what the other app does on its own account is its own.
    for header in ({}, {"Tallystick-App": "coins"}) if role != "system" else ({},):
        for route in sorted(estate.routes, key=lambda one: one.method == "POST"):
            answer = await estate.ask(caller, route, **header)
            assert answer.status_code < 500, (route, answer.text)
            if header:
                assert (answer.status_code, answer.json()["code"]) == (403, "wrong_app"), route
            elif "{id}" in route.path or "{key}" in route.path:
                assert answer.status_code in (403, 404), (route, answer.text)
            # The feed is the whole deployment's, and only for the system.
            if route.path != "/v1/feed":
                assert MARK not in answer.text, (route, answer.text)
                assert not [each for each in estate.ids.values() if f'"id":"{each}"' in answer.text], route
    assert await estate.state("coins") == before


@pytest.mark.parametrize("role", sorted(ROLE_SCOPES))
async def test_no_route_without_its_scope(estate: Estate, role: str) -> None:
    """A role that has every scope but those that open a route is refused, as is one that has none."""
    before = await estate.state()
    for route in estate.routes:
        for held in (ROLE_SCOPES[role] - estate.scopes[str(route)], frozenset[str]()):
            caller = estate.api.as_(role, sub="ann", scopes=tuple(sorted(held)))
            answer = await estate.ask(caller, route)
            assert answer.status_code == 403, (route, held, answer.text)
            assert answer.json()["code"] in ("scope_missing", "wrong_user", "wrong_app"), (route, answer.text)
            assert MARK not in answer.text
    assert await estate.state() == before


async def test_a_token_claims_no_more_than_its_role(estate: Estate) -> None:
    """Scopes that a role cannot have are of no use to it."""
    everything = tuple(sorted(frozenset[str]().union(*ROLE_SCOPES.values())))
    before = await estate.state()
    scopes = estate.scopes
    for role in ROLE_SCOPES:
        caller = estate.api.as_(role, sub="ann", scopes=everything)
        for route in estate.routes:
            if not scopes[str(route)] & ROLE_SCOPES[role]:
                answer = await estate.ask(caller, route)
                assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing"), (role, route)
    assert await estate.state() == before


async def test_a_user_reaches_its_own_account_only(estate: Estate) -> None:
    for sub in ("eve", "ANN", "ann/x", "ann.", "@app"):
        before = await estate.state()
        caller = estate.api.as_("user", sub=sub)
        for route in estate.routes:
            answer = await estate.ask(caller, route)
            # What an app charges is for all of its users to see.
            expected = (200,) if route.path in estate.FOR_ALL else (403, 404)
            assert answer.status_code in expected, (sub, route, answer.text)
            assert MARK not in answer.text
        assert await estate.state() == before


async def test_a_service_for_several_apps_reaches_those(estate: Estate) -> None:
    api = estate.api

    def caller(*apps: str) -> str:
        scopes = sorted(ROLE_SCOPES["service"])
        return "Bearer " + issue_token(
            api.key_file, sub="shop", audience=api.audience, role="service", scopes=scopes, apps=list(apps)
        )

    async def status(header: str, **more: str) -> int:
        return (await api.http.get(estate.READ, headers={"Authorization": header, **more})).status_code

    assert await status(caller("coins", "other"), **{"Tallystick-App": "coins"}) == 200
    assert await status(caller("coins", "other"), **{"Tallystick-App": "third"}) == 403
    assert await status(caller("other", "third"), **{"Tallystick-App": "coins"}) == 403
    assert await status(caller("coins", "other")) == 403, "it must say for which"
