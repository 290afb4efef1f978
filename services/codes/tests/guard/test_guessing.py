"""Whoever guesses is locked out, learns nothing before, and nobody else is disturbed."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from libs.service.clock import SECOND_US
from services.codes.domain.codes import Audience, Credits, Terms
from services.codes.handlers import watching
from services.codes.tests.guard.gate import APP, Gate, gate_of, made_text, prepare_codes
from tests.plugins.postgres import DatabaseFrom

pytestmark = pytest.mark.anyio
MINUTE_S = 60.0
GIFT = {"kind": "gift", "terms": Terms(credits=Credits(Decimal(5))), "balance": Decimal(5)}


async def _miss(gate: Gate, times: int, user: str = "eve", **more: Any) -> list[str]:
    return [await gate.said(made_text(), user, **more) for _ in range(times)]


async def test_the_sixth_guess_is_locked_out_even_if_it_is_right(gate: Gate) -> None:
    await gate.make("WELCOME100")
    assert await _miss(gate, 5) == ["code_not_found"] * 5
    answer = await gate.enter("WELCOME100", "eve")
    assert (answer.status_code, answer.json()["code"]) == (429, "locked_out")
    assert answer.headers["retry-after"] == "900"
    assert answer.json()["retry_after_s"] == 900
    assert (await gate.validate("WELCOME100", "eve")).json()["code"] == "locked_out"
    # Somebody else of the app is not.
    assert await gate.said("WELCOME100", "ada") == "ok"
    gate.clock.advance(15 * MINUTE_S)
    assert await gate.said("WELCOME100", "eve") == "ok"


async def test_a_further_lock_lasts_twice_as_long_and_a_success_in_between_changes_nothing(gate: Gate) -> None:
    await gate.make("WELCOME100")
    await _miss(gate, 5)
    gate.clock.advance(15 * MINUTE_S)
    assert await _miss(gate, 4) == ["code_not_found"] * 4
    assert await gate.said("WELCOME100", "eve") == "ok"
    assert await _miss(gate, 2) == ["code_not_found", "locked_out"]
    answer = await gate.enter("WELCOME100", "eve")
    assert answer.headers["retry-after"] == "1800"


async def test_a_wrong_check_character_costs_nothing(gate: Gate) -> None:
    text = made_text()
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    assert [await gate.said(wrong, "eve") for _ in range(20)] == ["code_not_found"] * 20
    assert await gate.said(text, "eve") == "code_not_found"


async def test_the_numbers_are_the_apps(gate: Gate) -> None:
    guesser = {"misses": 2, "window_s": 60, "lock_s": 30}
    await gate.configure(guessing={"user": guesser})
    assert await _miss(gate, 3) == ["code_not_found", "code_not_found", "locked_out"]
    gate.clock.advance(30)
    assert await _miss(gate, 1) == ["code_not_found"]


async def test_an_address_is_locked_after_twenty_misses_of_whomever(gate: Gate) -> None:
    await gate.make("WELCOME100")
    for number in range(20):
        assert await gate.said(made_text(), f"u{number}", client_ip="2001:db8:1:2::1") == "code_not_found"
    assert await gate.said("WELCOME100", "ada", client_ip="2001:db8:1:2:ffff::7") == "locked_out"
    assert await gate.said("WELCOME100", "ada", client_ip="2001:db8:1:3::1") == "ok"
    assert await gate.said("WELCOME100", "ada") == "ok"
    stored = await gate.core.pool.fetch("SELECT who FROM guesses WHERE by = 'address'")
    assert stored
    assert not any("2001" in row["who"] or ":" in row["who"] for row in stored)


async def test_an_address_that_is_none_is_refused_by_name(gate: Gate) -> None:
    answer = await gate.enter("WELCOME100", client_ip="localhost")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "invalid_client_ip")


async def test_fifty_guesses_at_once_are_no_more_than_five(gate: Gate) -> None:
    said = await asyncio.gather(*(gate.said(made_text(), "eve") for _ in range(50)))
    assert Counter(said) == {"code_not_found": 5, "locked_out": 45}


async def test_fifty_guesses_of_fifty_users_from_one_address_are_no_more_than_twenty(gate: Gate) -> None:
    said = await asyncio.gather(*(gate.said(made_text(), f"u{number}", client_ip="192.0.2.1") for number in range(50)))
    assert Counter(said) == {"code_not_found": 20, "locked_out": 30}


async def test_a_repeat_under_the_same_key_is_no_second_guess(gate: Gate) -> None:
    text = made_text()
    body = {"code": text, "user": "eve"}
    answers = [await gate.send("POST", "/redemptions", body, key="the same") for _ in range(10)]
    assert {answer.status_code for answer in answers} == {404}
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert await _miss(gate, 4) == ["code_not_found"] * 4
    assert await _miss(gate, 1) == ["locked_out"]


async def test_a_lock_outlives_the_process(database_from: DatabaseFrom, tmp_path: Path) -> None:
    database = await database_from("codes-guard", prepare_codes)
    async with gate_of(database, tmp_path) as gate:
        await _miss(gate, 5)
    async with gate_of(database, tmp_path) as gate, gate_of(database, tmp_path) as other:
        assert await gate.said(made_text(), "eve") == "locked_out"
        assert await other.said(made_text(), "eve") == "locked_out"


async def test_managers_are_not_counted_and_see_why(gate: Gate) -> None:
    manager = gate.as_("manager")
    _, text = await gate.make_hidden(ends_at=1)
    for _ in range(10):
        assert (await manager.validate(made_text(), "eve")).json()["reasons"][0]["code"] == "code_not_found"
    assert (await manager.validate(text, "eve")).json()["reasons"][0]["code"] == "code_expired"
    assert await gate.said(made_text(), "eve") == "code_not_found"


async def test_the_bound_holder_is_told_and_others_are_not(gate: Gate) -> None:
    holder = Audience("holder", frozenset({"ada"}))
    _, text = await gate.make_hidden(audience=holder, ends_at=1)
    assert await gate.said(text, "ada") == "code_expired"
    assert await gate.said(text, "eve") == "code_not_found"


@pytest.mark.parametrize(
    ("more", "live"), [({}, GIFT), ({"amount": "5"}, {})], ids=["a gift at a checkout", "a part of what is no gift"]
)
async def test_unknown_misshapen_and_hidden_codes_are_refused_alike(
    gate: Gate, more: dict[str, Any], live: dict[str, Any]
) -> None:
    """The same status, body and headers, and the same statements to the database in the same order.

    So is one that works, when something is asked with it that does not go with it.
    """
    kinds: list[dict[str, Any]] = [{"ends_at": 1}, {"status": "void"}, {"max_uses": 1, "redeemed": 1}, live]
    hidden = [(await gate.make_hidden(**fields))[1] for fields in kinds]
    entered = [made_text(), "x", "؟" * 60, *hidden]
    seen: list[tuple[int, bytes, dict[str, str], tuple[str, ...]]] = []
    for number, text in enumerate(entered):
        async with _statements(gate) as statements:
            answer = await gate.enter(text, f"u{number}", client_ip=f"192.0.2.{number}", **more)
        headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
        seen.append((answer.status_code, _without_request(answer.json()), headers, tuple(statements)))
    assert seen[0][0] == 404
    assert len(seen[0][3]) > 5
    for one in seen:
        assert one[:3] == seen[0][:3]
        assert one[3] == seen[0][3]


async def test_what_does_not_go_with_a_hidden_code_is_a_guess(gate: Gate) -> None:
    _, text = await gate.make_hidden()
    assert [await gate.said(text, "eve", amount="5") for _ in range(3)] == ["code_not_found"] * 3
    checkout = {"id": "o1", "amount_minor": 2_000, "currency": "USD"}
    for _ in range(2):
        answer = (await gate.validate(text, "eve", amount="5", checkout=checkout)).json()
        assert [reason["code"] for reason in answer["reasons"]] == ["code_not_found"]
    assert await gate.said(text, "eve") == "locked_out"
    assert await gate.said(text, "ada") == "ok"
    # Whose code it is, is told what is wrong.
    _, own = await gate.make_hidden(audience=Audience("holder", frozenset({"bob"})))
    told = await gate.enter(own, "bob", amount="5")
    assert (told.status_code, told.json()["errors"][0]["code"]) == (400, "not_together")


def _without_request(problem: dict[str, Any]) -> Any:
    return {name: value for name, value in problem.items() if name != "request_id"}


@asynccontextmanager
async def _statements(gate: Gate) -> AsyncIterator[list[str]]:
    """Every statement that the service sends meanwhile."""
    sent: list[str] = []
    connections = await _all_connections(gate)

    def note(query: asyncpg.connection.LoggedQuery) -> None:
        # The driver numbers its savepoints, and asks about types when a connection first meets them.
        if "typeinfo_tree" not in query.query and "'jit'" not in query.query:
            sent.append(re.sub(r"savepoint_[0-9a-f]+", "savepoint", query.query))

    for connection in connections:
        connection.add_query_logger(note)
    try:
        yield sent
    finally:
        for connection in connections:
            connection.remove_query_logger(note)


async def _all_connections(gate: Gate) -> list[Any]:
    held = [await gate.core.pool.acquire() for _ in range(gate.core.pool.get_max_size())]
    bare = [connection._con for connection in held]  # type: ignore[attr-defined] # the proxy has no logger
    for connection in held:
        await gate.core.pool.release(connection)
    return bare


async def _told(gate: Gate, kind: str) -> list[asyncpg.Record]:
    return await gate.core.pool.fetch("SELECT subject, data FROM outbox WHERE type = $1 ORDER BY id", kind)


async def test_many_misses_of_an_app_raise_an_alarm_once_a_window(gate: Gate) -> None:
    await gate.configure(guessing={"alarm": {"misses": 8, "window_s": 600}})
    for number in range(7):
        await gate.said(made_text(), f"u{number}")
    assert await watching.suspect(gate.core) == 0
    for number in range(7, 12):
        await gate.said(made_text(), f"u{number}")
    both: list[Callable[[], Awaitable[int]]] = [lambda: watching.suspect(gate.core)] * 2
    assert sum(await asyncio.gather(*(one() for one in both))) == 1
    assert await watching.suspect(gate.core) == 0
    told = await _told(gate, "codes.guessing_suspected.v1")
    assert len(told) == 1
    assert b'"misses":12' in told[0]["data"]
    gate.clock.advance(600)
    for number in range(8):
        await gate.said(made_text(), f"v{number}")
    assert await watching.suspect(gate.core) == 1


async def test_what_no_longer_counts_is_forgotten(gate: Gate) -> None:
    await gate.make("WELCOME100", ends_at=1)
    await _miss(gate, 5, client_ip="192.0.2.1")
    assert await gate.said("WELCOME100") == "code_expired"
    await watching.tell_refusals(gate.core)
    assert await watching.forget_old(gate.core) == 0
    gate.clock.advance(91 * 86_400)
    assert await watching.forget_old(gate.core) == 2 + 6
    for table in ("guesses", "guess_windows", "refusals"):
        assert await gate.core.pool.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_refusals_of_codes_are_told_with_the_true_reason(gate: Gate) -> None:
    code, text = await gate.make_hidden(ends_at=1)
    await gate.said(text, "eve")
    await gate.said(made_text(), "eve")
    assert sum(await asyncio.gather(watching.tell_refusals(gate.core), watching.tell_refusals(gate.core))) == 1
    told = await _told(gate, "codes.redemption_refused.v1")
    assert [row["subject"] for row in told] == ["eve"]
    history = await gate.as_("manager").get(f"/codes/{code.id}/history")
    assert [event["type"] for event in history["data"]] == ["codes.redemption_refused.v1"]
    data = history["data"][0]["data"]
    assert (data["reason"], data["answered"]) == ("code_expired", "code_not_found")


async def test_the_lock_is_by_the_apps_guessers_alone(gate: Gate) -> None:
    await _miss(gate, 5)
    rows = await gate.core.pool.fetch("SELECT app, locked_until FROM guesses")
    assert [(row["app"], row["locked_until"] - gate.clock.now_us()) for row in rows] == [(APP, 900 * SECOND_US)]
