"""Prices over HTTP: charges, holds and captures by price, model, quote and usage; lists; the book itself."""

from __future__ import annotations

from typing import Any

import pytest

from services.ledger.tests.http.client import DOCUMENT, Api

pytestmark = pytest.mark.anyio

GPT = "openai/gpt-4o-mini"
PRICES: dict[str, Any] = {
    "operations": {
        "text": {"amount": "1"},
        "image": {"amount": "5"},
        "call": {"tiers": [{"over": 0, "up_to": 100, "amount": "0"}, {"over": 100, "amount": "0.005"}]},
    },
    "models": {
        GPT: {"input": "15", "cached": "7.5", "output": "60", "markup_percent": 20, "minimum": "0.02"},
        "azure/o3": {"input": "1"},
        "openai/o3": {"input": "1"},
    },
    "lists": {"partner": {"operations": {"text": {"amount": "0.8"}}}},
}


@pytest.fixture(autouse=True)
async def _prices(api: Api) -> None:
    await api.as_("admin").put("/config", {**DOCUMENT, "prices": PRICES})


async def test_an_operation_is_charged_at_its_price(api: Api) -> None:
    await api.grant("ann", "20")
    charged = await api.post("/charges", {"user": "ann", "price": "image", "quantity": "2", "reference": "gen-1"})
    assert (charged["amount"], charged["available"]) == ("10.00", "10.00")
    assert charged["priced"] == {
        "version": 2,
        "usage": [{"unit": "quantity", "count": "2"}],
        "lines": [{"unit": "quantity", "count": "2", "unit_price": "5", "amount": "10"}],
        "price": "image",
    }
    assert (await api.get(f"/charges/{charged['id']}"))["priced"] == charged["priced"]
    journal = await api.get("/accounts/ann/transactions")
    assert journal["data"][0]["priced"] == charged["priced"]
    refused = await api.post("/charges", {"user": "ann", "price": "image", "quantity": 3}, status=402)
    assert (refused["required"], refused["available"]) == ("15.00", "10.00")


async def test_a_model_is_charged_for_its_usage_and_known_without_its_provider(api: Api) -> None:
    await api.grant("ann", "20")
    usage = {"input": 100_000, "cached": 40_000, "output": 1_000}
    charged = await api.post("/charges", {"user": "ann", "model": "gpt-4o-mini", "usage": usage})
    # (60,000 × 15 + 40,000 × 7.5 + 1,000 × 60) / 1,000,000 = 1.26, and a fifth more is 1.512.
    assert (charged["amount"], charged["priced"]["model"]) == ("1.52", GPT)
    assert [line["amount"] for line in charged["priced"]["lines"]] == ["0.9", "0.06", "0.3"]
    least = await api.post("/charges", {"user": "ann", "model": GPT, "usage": {"output": 1}})
    assert least["amount"] == "0.02"


async def test_what_is_free_is_recorded_with_an_amount_of_zero(api: Api) -> None:
    free = await api.post("/charges", {"user": "new", "price": "call", "quantity": 100})
    assert (free["amount"], free["settled"]) == ("0.00", "0.00")
    assert [entry["type"] for entry in (await api.get("/accounts/new/transactions"))["data"]] == [
        "credits_charged",
        "account_opened",
    ]
    refused = await api.post(f"/charges/{free['id']}/refund", {}, status=409)
    assert refused["code"] == "refund_exceeds_charge"
    short = await api.post("/charges", {"user": "new", "price": "call", "quantity": 101}, status=402)
    assert short["required"] == "0.01"


async def test_a_hold_pins_its_prices_and_is_captured_by_usage(api: Api) -> None:
    await api.grant("ann", "20")
    hold = await api.post("/holds", {"user": "ann", "model": GPT, "usage": {"input": 10_000, "output": 10_000}})
    assert hold["amount"] == "0.90"
    dearer = {**PRICES, "models": {GPT: {"input": "1000", "output": "1000"}}}
    await api.as_("admin").put("/config", {**DOCUMENT, "prices": dearer})
    captured = await api.post(f"/holds/{hold['id']}/capture", {"usage": {"input": 10_000, "output": 5_000}})
    assert (captured["amount"], captured["priced"]["version"]) == ("0.54", 2)
    assert (captured["held"], captured["settled"]) == ("0.00", "19.46")
    charge = await api.get(f"/charges/{captured['charge']}")
    assert charge["priced"]["usage"] == [{"unit": "input", "count": "10000"}, {"unit": "output", "count": "5000"}]


async def test_a_hold_is_extended_by_an_amount_and_by_a_new_estimate(api: Api) -> None:
    await api.grant("ann", "3")
    hold = (await api.post("/holds", {"user": "ann", "model": GPT, "usage": {"output": 10_000}}))["id"]
    more = await api.post(f"/holds/{hold}/extend", {"amount": "1"}, status=200)
    assert (more["amount"], more["added"], more["held"], more["available"]) == ("1.72", "1.00", "1.72", "1.28")
    whole = await api.post(f"/holds/{hold}/extend", {"usage": {"output": 30_000}, "ttl_s": 600}, status=200)
    assert (whole["amount"], whole["added"], whole["held"]) == ("2.16", "0.44", "2.16")
    less = await api.post(f"/holds/{hold}/extend", {"usage": {"output": 1_000}}, status=200)
    assert (less["amount"], less["added"]) == ("2.16", "0.00")
    short = await api.post(f"/holds/{hold}/extend", {"usage": {"output": 100_000}}, status=402)
    assert (short["code"], short["required"], short["available"]) == ("insufficient_credits", "5.04", "0.84")
    rest = await api.post(f"/holds/{hold}/extend", {"usage": {"output": 100_000}, "partial": True}, status=200)
    assert (rest["amount"], rest["added"], rest["available"]) == ("3.00", "0.84", "0.00")
    captured = await api.post(f"/holds/{hold}/capture", {"usage": {"output": 40_000}})
    assert (captured["amount"], captured["settled"]) == ("2.88", "0.12")


async def test_a_quote_says_what_it_costs_and_can_be_had_at_that_price(api: Api) -> None:
    await api.grant("ann", "4", source="paid")
    await api.grant("ann", "3")
    asked = {"user": "ann", "price": "image"}
    quote = await api.post("/quotes", asked, key="q1")
    assert (quote["amount"], quote["price_version"], quote["affordable"], quote["available"]) == (
        "5.00",
        2,
        True,
        "7.00",
    )
    assert [(s["amount"], s["source"]) for s in quote["slices"]] == [("3.00", "promo"), ("2.00", "paid")]
    assert quote["lines"][0]["unit_price"] == "5"
    assert await api.post("/quotes", asked, key="q1") == quote
    assert (await api.state("ann"))["account_version"] == 3
    operations = {**PRICES["operations"], "image": {"amount": "9"}}
    await api.as_("admin").put("/config", {**DOCUMENT, "prices": {**PRICES, "operations": operations}})
    charged = await api.post("/charges", {"user": "ann", "quote": quote["id"]})
    assert (charged["amount"], charged["priced"]["quote"], charged["priced"]["version"]) == ("5.00", quote["id"], 2)
    again = await api.post("/quotes", asked)
    assert (again["amount"], again["price_version"], again["affordable"]) == ("9.00", 3, False)
    refused = await api.post("/holds", {"user": "ann", "quote": quote["id"]}, status=402)
    assert refused["required"] == "5.00"


async def test_a_quote_belongs_to_its_user_or_to_everybody(api: Api) -> None:
    await api.grant("ann", "10")
    hers = await api.post("/quotes", {"user": "ben", "price": "text"})
    assert (hers["affordable"], hers["slices"], hers["available"]) == (False, [], "0.00")
    refused = await api.post("/charges", {"user": "ann", "quote": hers["id"]}, status=404)
    assert refused["code"] == "quote_not_found"
    anybodys = await api.post("/quotes", {"model": GPT, "usage": {"output": 5_000}})
    assert (anybodys["user"], anybodys["affordable"], anybodys["available"]) == (None, None, None)
    hold = await api.post("/holds", {"user": "ann", "quote": anybodys["id"]})
    captured = await api.post(f"/holds/{hold['id']}/capture", {"usage": {"output": 4_000}})
    assert (hold["amount"], captured["amount"]) == ("0.36", "0.29")
    unknown = "quote_00" + "0" * 26
    assert (await api.post("/charges", {"user": "ann", "quote": unknown}, status=404))["code"] == "quote_not_found"


async def test_a_quote_names_the_budget_that_would_refuse_it(api: Api) -> None:
    await api.grant("ann", "100")
    manager = api.as_("manager")
    budgets = [
        {"name": "each", "member": "*", "period": "day", "limit": "7", "hard": True},
        {"name": "ours", "period": "month", "limit": "12", "hard": True},
        {"name": "told", "period": "month", "limit": "1", "hard": False},
    ]
    await manager.put("/accounts/ann/budgets", {"budgets": budgets})

    async def asked(member: str | None) -> tuple[bool, str | None]:
        more = {} if member is None else {"member": member}
        quote = await api.post("/quotes", {"user": "ann", "price": "image", **more})
        status = 201 if quote["affordable"] else 409
        charged = await api.post("/charges", {"user": "ann", "quote": quote["id"], **more}, status=status)
        assert charged.get("budget") == quote["budget"], "a charge says the same"
        return quote["affordable"], quote["budget"]

    assert await asked("bea") == (True, None)
    assert await asked("bea") == (False, "each")
    assert await asked("cem") == (True, None)
    assert await asked(None) == (False, "ours")
    anybodys = await api.post("/quotes", {"price": "image"})
    assert (anybodys["affordable"], anybodys["budget"]) == (None, None)


async def test_a_quote_for_somebody_new_is_out_of_what_the_app_gives_everybody(api: Api) -> None:
    plan = {"limit": "8", "default": True}
    await api.as_("admin").put("/config", {**DOCUMENT, "prices": PRICES, "allowances": {"free": plan}})
    quote = await api.post("/quotes", {"user": "new", "price": "image"})
    assert (quote["affordable"], quote["available"], quote["settled"]) == (True, "8.00", "0.00")
    (part,) = quote["slices"]
    assert (part["lot"], part["amount"], part["source"]) == (None, "5.00", "allowance")
    assert part["expires_at"] is not None
    await api.as_("manager").post("/accounts/new/freeze", {}, status=200)
    known = await api.post("/quotes", {"user": "new", "price": "image"})
    assert (known["affordable"], known["slices"][0]["lot"] is not None) == (False, True)


async def test_a_quote_ends(api: Api) -> None:
    admin = api.as_("admin", app="trial")
    document = {**DOCUMENT, "prices": {**PRICES, "quote_ttl_s": 60}, "test_mode": {"clock_start": "2026-01-01T00:00Z"}}
    await admin.put("/config", document)
    await admin.post("/grants", {"user": "ann", "amount": "10"})
    quote = await admin.post("/quotes", {"price": "text"})
    assert quote["valid_until"] == "2026-01-01T00:01:00.000000Z"
    await admin.put("/test-clock", {"now": "2026-01-01T00:00:59Z"})
    await admin.post("/charges", {"user": "ann", "quote": quote["id"]})
    await admin.put("/test-clock", {"now": "2026-01-01T00:01:00Z"})
    refused = await admin.post("/charges", {"user": "ann", "quote": quote["id"]}, status=409)
    assert (refused["code"], refused["valid_until"]) == ("quote_expired", quote["valid_until"])


async def test_a_customer_pays_by_the_list_of_the_account(api: Api) -> None:
    manager = api.as_("manager")
    await api.grant("ann", "10")
    assert (await manager.put("/accounts/ann", {"price_list": "partner"}))["price_list"] == "partner"
    charged = await api.post("/charges", {"user": "ann", "price": "text"})
    assert (charged["amount"], charged["priced"]["price_list"]) == ("0.80", "partner")
    own = await api.as_("user", "ann").get("/prices")
    assert (own["list"], own["operations"]["text"]["cost"], own["operations"]["image"]["cost"]) == (
        "partner",
        "0.80",
        "5.00",
    )
    assert (await api.get("/prices", user="ann"))["list"] == "partner"
    assert (await api.get("/accounts/ann"))["price_list"] == "partner"
    refused = await manager.put("/accounts/ann", {"price_list": "unheard"}, status=404)
    assert refused["code"] == "price_list_not_found"
    await manager.put("/accounts/ann", {"price_list": ""})
    assert (await api.post("/charges", {"user": "ann", "price": "text"}))["amount"] == "1.00"


async def test_the_book_is_shown(api: Api) -> None:
    book = await api.as_("user", "ann").get("/prices")
    assert (book["version"], book["list"], book["next_change"]) == (2, None, None)
    assert {name: each["cost"] for name, each in book["operations"].items()} == {
        "call": "0.00",
        "image": "5.00",
        "text": "1.00",
    }
    model = book["models"][GPT]
    assert model["rates"][0] == {"unit": "input", "price": "15", "over": 0}
    assert (model["per"], model["markup_percent"], model["minimum"]) == (1_000_000, "20", "0.02")
    assert (await api.get("/prices", list="partner"))["operations"]["text"]["cost"] == "0.80"
    assert (await api.get("/prices", list="unheard", status=404))["code"] == "price_list_not_found"
    assert (await api.as_("user", "ann").get("/prices", list="partner", status=403))["code"] == "scope_missing"
    assert (await api.as_("user", "ann").get("/prices", user="ben", status=403))["code"] == "wrong_user"


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "amount", "missing_field"),
        ({"amount": "1", "price": "text"}, "price", "not_together"),
        ({"amount": "1", "usage": {"input": 1}}, "usage", "not_together"),
        ({"price": "text", "model": GPT}, "model", "not_together"),
        ({"price": "text", "usage": {"input": 1}}, "usage", "not_together"),
        ({"model": GPT, "usage": {"input": 1}, "quantity": 1}, "quantity", "not_together"),
        ({"model": GPT}, "usage", "missing_field"),
        ({"price": "text", "quantity": 0}, "quantity", "quantity_not_positive"),
        ({"price": "text", "quantity": 1.5}, "quantity", "invalid_quantity"),
        ({"model": GPT, "usage": {"tokens": 1}}, "usage.tokens", "unknown_field"),
        ({"model": GPT, "usage": {"input": -1}}, "usage.input", "out_of_range"),
        ({"model": GPT, "usage": {"input": 1, "cached": 2}}, "usage.cached", "usage_inconsistent"),
        ({"model": GPT, "usage": {"output": 10**12}, "quantity": None}, None, None),
    ],
)
async def test_what_contradicts_itself_is_named(
    api: Api, body: dict[str, Any], field: str | None, code: str | None
) -> None:
    for path in ("/charges", "/holds"):
        refused = await api.send("POST", path, {"user": "ann", **body})
        if field is None:
            assert refused.status_code == 402
            continue
        assert refused.status_code == 400, refused.text
        assert [(fault["field"], fault["code"]) for fault in refused.json()["errors"]] == [(field, code)]


async def test_what_has_no_price_is_named(api: Api) -> None:
    await api.grant("ann", "10")
    for asked in ({"price": "video"}, {"model": "o3", "usage": {"input": 1}}, {"price": "text", "asset": "coins2"}):
        refused = await api.post("/charges", {"user": "ann", **asked}, status=404)
        assert refused["code"] == ("unknown_asset" if "asset" in asked else "unknown_price")
        refused = await api.post("/quotes", {"user": "ann", **asked}, status=404)
    unpriced = await api.post("/charges", {"user": "ann", "model": GPT, "usage": {"images": 1}}, status=404)
    assert (unpriced["code"], unpriced["unit"]) == ("unknown_price", "images")
    plain = (await api.post("/holds", {"user": "ann", "amount": "1"}))["id"]
    refused = await api.post(f"/holds/{plain}/capture", {"usage": {"input": 1}}, status=409)
    assert refused["code"] == "hold_not_priced"
    both = await api.post(f"/holds/{plain}/capture", {"amount": "1", "usage": {"input": 1}}, status=400)
    assert both["errors"][0]["code"] == "not_together"
    empty = await api.post(f"/holds/{plain}/extend", {}, status=400)
    assert empty["errors"][0] == {
        "field": "ttl_s",
        "code": "missing_field",
        "detail": "A hold is extended by a time, an amount or a usage.",
    }
    await api.as_("manager").post("/accounts/ann/freeze", {}, status=200)
    frozen = await api.post(f"/holds/{plain}/extend", {"amount": "1"}, status=409)
    assert frozen["code"] == "account_frozen"
    await api.post(f"/holds/{plain}/extend", {"ttl_s": 60}, status=200)
