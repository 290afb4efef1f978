"""A dry run tells everything and takes nothing; refusals speak the language of who is refused."""

from __future__ import annotations

from decimal import Decimal

import pytest

from services.codes.domain.codes import Credits, Terms
from services.codes.domain.discounts import Discount
from services.codes.tests.guard.gate import CHECKOUT as TWENTY
from services.codes.tests.guard.gate import NOW_US, Gate, made_text

pytestmark = pytest.mark.anyio
CHECKOUT = {"id": "o1", "amount_minor": 2_000, "currency": "USD", "service": "images"}
RESEARCH = Terms(discount=Discount(amount_off_minor=500, currency="USD", min_minor=2_500, service="research"))


async def test_every_reason_is_told_in_its_order(gate: Gate) -> None:
    await gate.make("RESEARCH20", terms=RESEARCH, ends_at=NOW_US, status="paused", max_uses=1, redeemed=1)
    answer = (await gate.validate("research-20", checkout=CHECKOUT)).json()
    reasons = [reason["code"] for reason in answer["reasons"]]
    assert (answer["valid"], answer["discount_minor"]) == (False, None)
    assert reasons == ["code_inactive", "code_expired", "code_used_up", "below_minimum"]


async def test_it_says_what_would_be_given_and_takes_nothing(gate: Gate) -> None:
    both = Terms(
        credits=Credits(Decimal(20), expires_after_s=86_400), discount=Discount(amount_off_minor=500, currency="USD")
    )
    code = await gate.make("BOTH", terms=both, max_uses=1)
    for _ in range(3):
        answer = (await gate.validate("BOTH", checkout=CHECKOUT)).json()
        assert (answer["valid"], answer["code"], answer["amount"], answer["discount_minor"]) == (
            True,
            code.id,
            "20",
            500,
        )
        assert answer["lot_expires_at"] == "2026-06-02T12:00:00Z"
    assert await gate.core.pool.fetchval("SELECT reserved + redeemed FROM codes") == 0
    assert await gate.core.pool.fetchval("SELECT count(*) FROM refusals") == 0


async def test_a_code_that_is_not_there_counts_as_a_guess_and_a_hidden_one_looks_the_same(gate: Gate) -> None:
    _, hidden = await gate.make_hidden(ends_at=1)
    unknown = await gate.validate(made_text(), "eve")
    assert unknown.json() == (await gate.validate(hidden, "eve")).json()
    assert unknown.json()["reasons"][0]["code"] == "code_not_found"
    for _ in range(3):
        await gate.validate(made_text(), "eve")
    locked = await gate.validate(made_text(), "eve")
    assert (locked.status_code, locked.json()["code"]) == (429, "locked_out")


async def test_a_dry_run_is_of_a_code_not_of_an_entitlement(gate: Gate) -> None:
    await gate.make("BOTH", terms=RESEARCH)
    answer = await gate.validate("BOTH", checkout=CHECKOUT, entitlement="entitlement_1")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "unknown_field")
    assert await gate.core.pool.fetchval("SELECT count(*) FROM guesses") == 0


async def test_what_the_checkout_has_already_is_judged_too(gate: Gate) -> None:
    await gate.make("FIRST")
    await gate.make("SECOND", terms=Terms(discount=Discount(percent_off=Decimal(99))), ends_at=NOW_US)
    checkout = {"id": "o1", **TWENTY}
    assert (await gate.enter("FIRST", checkout=checkout)).status_code == 201
    answer = (await gate.validate("SECOND", checkout=checkout)).json()
    assert [reason["code"] for reason in answer["reasons"]] == ["code_expired", "codes_do_not_stack"]
    # The code that it has already is reserved again, another checkout has none, and nobody else sees what it has.
    assert (await gate.validate("FIRST", checkout=checkout)).json()["valid"]
    for user, other in (("ada", {**checkout, "id": "o2"}), ("eve", checkout)):
        told = (await gate.validate("SECOND", user, checkout=other)).json()["reasons"]
        assert [reason["code"] for reason in told] == ["code_expired"]


async def test_codes_that_go_together_never_take_more_than_the_sum(gate: Gate) -> None:
    await gate.configure(stacking="one_percent_one_fixed")
    await gate.make("FIRST")
    await gate.make("ALL", terms=Terms(discount=Discount(percent_off=Decimal(100))))
    checkout = {"id": "o1", **TWENTY}
    assert (await gate.enter("FIRST", checkout=checkout)).json()["discount_minor"] == 100
    answer = (await gate.validate("ALL", checkout=checkout)).json()
    assert (answer["valid"], answer["discount_minor"]) == (True, 1_900)
    assert (await gate.enter("ALL", checkout=checkout)).json()["discount_minor"] == 1_900


@pytest.mark.parametrize(
    ("language", "title", "part"),
    [
        ("ar-EG", "انتهت صلاحية الكود", "\u2068SPRING\u2069"),
        ("fa", "مهلت کد تمام شده است", "۱۴۰۵"),
        ("zh-Hans", "兑换码已过期", "2026年6月1日12:00（UTC）"),
        ("ru,en;q=0.5", "Срок действия кода истёк", "1 июня 2026 г., 12:00 (UTC)"),
        ("uk", "Термін дії коду минув", "1 червня 2026 р., 12:00 (UTC)"),
        ("de", "Code expired", "1 June 2026, 12:00 (UTC)"),
    ],
)
async def test_k3_a_refusal_is_said_in_the_users_language(gate: Gate, language: str, title: str, part: str) -> None:
    await gate.make("SPRING", ends_at=NOW_US)
    answer = await gate.send("POST", "/redemptions", {"code": "spring", "user": "ada"}, accept_language=language)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["title"]) == (409, "code_expired", title)
    assert part in problem["detail"]
    assert problem["ends_at"] == "2026-06-01T12:00:00Z"
    assert problem["next"]


async def test_k3_the_parameter_goes_before_the_header(gate: Gate) -> None:
    body = {"code": made_text(), "user": "ada"}
    answer = await gate.send("POST", "/redemptions?lang=ar", body, accept_language="ru")
    assert answer.json()["title"] == "كود الشحن غير موجود"


async def test_what_is_missing_is_said_in_money(gate: Gate) -> None:
    await gate.make("RESEARCH20", terms=RESEARCH)
    checkout = {"id": "o1", "amount_minor": 2_000, "currency": "USD", "service": "research"}
    body = {"code": "RESEARCH20", "user": "ada", "checkout": checkout}
    problem = (await gate.send("POST", "/redemptions?lang=ru", body)).json()
    assert (problem["code"], problem["min_minor"]) == ("below_minimum", 2_500)
    assert "25,00\u00a0USD" in problem["detail"]
    assert "5,00\u00a0USD" in problem["next"]
