"""Checkouts, entitlements and campaigns over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.service.clock import format_time
from services.codes.tests.checkout.shop import APP, Shop
from services.codes.tests.office import Office, office
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
async def manager(codes_database: Database, tmp_path: Path) -> AsyncIterator[Office]:
    """The service, for a manager of the shop."""
    async with office(codes_database, tmp_path) as made:
        yield made.as_("manager", APP)


@pytest.fixture
async def shop(manager: Office, codes_database: Database) -> Shop:
    """The same service from within."""
    made = Shop(manager.core, manager.clock, codes_database.owner_dsn)
    await made.configure()
    return made


async def test_a_reservation_is_confirmed_once_and_not_released_after_that(shop: Shop, manager: Office) -> None:
    code = await shop.code("TEN", percent_off="10")
    taken = await shop.reserve("TEN", "ann", "order_1")
    backend = manager.as_("service")
    began = format_time(shop.clock.now_us())
    shop.clock.advance(1000)
    for _ in range(2):
        done = await backend.post(f"/redemptions/{taken.id}/confirm", {"started_at": began})
        assert (done["status"], done["discount_minor"]) == ("confirmed", 400)
    assert (await shop.now(code)).redeemed == 1
    status, refusal, problem = await backend.refused("POST", f"/redemptions/{taken.id}/release")
    assert (status, refusal, problem["redemption_status"]) == (409, "redemption_ended", "confirmed")


async def test_a_payment_that_began_too_late_is_told_so(shop: Shop, manager: Office) -> None:
    await shop.code("TEN", percent_off="10")
    taken = await shop.reserve("TEN", "ann", "order_1")
    shop.clock.advance(900)
    status, refusal, _ = await manager.as_("service").refused("POST", f"/redemptions/{taken.id}/confirm")
    assert (status, refusal) == (409, "redemption_ended")


async def test_a_release_gives_the_use_back_under_one_key_once(shop: Shop, manager: Office) -> None:
    code = await shop.code("TEN", percent_off="10")
    taken = await shop.reserve("TEN", "ann", "order_1")
    backend = manager.as_("service")
    first = await backend.send("POST", f"/redemptions/{taken.id}/release", {"reason": "basket_emptied"}, key="one")
    assert (first.json()["status"], first.json()["reason"]) == ("released", "basket_emptied")
    again = await backend.send("POST", f"/redemptions/{taken.id}/release", {"reason": "basket_emptied"}, key="one")
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert (await shop.now(code)).reserved == 0


async def test_what_waits_for_the_ledger_is_not_ended_by_a_checkout(shop: Shop, manager: Office) -> None:
    await shop.code("GIVE", kind="recharge", amount="5")
    taken = await shop.reserve("GIVE", "ann")
    for verb in ("confirm", "release"):
        status, refusal, _ = await manager.as_("service").refused("POST", f"/redemptions/{taken.id}/{verb}")
        assert (status, refusal) == (409, "redemption_without_checkout")
    missing = await manager.as_("service").refused("POST", "/redemptions/redemption_1/confirm")
    assert missing[:2] == (404, "redemption_not_found")
    other = await manager.as_("service", "another").refused("POST", f"/redemptions/{taken.id}/release")
    assert other[:2] == (404, "redemption_not_found")


async def test_users_see_their_entitlements_and_end_no_redemption(shop: Shop, manager: Office) -> None:
    await shop.code("LATER", percent_off="12.5", service="research", kind="welcome")
    left = await shop.reserve("LATER", "tests")
    user = manager.as_("user")
    (found,) = (await user.get("/entitlements?user=tests"))["data"]
    assert (found["id"], found["status"], found["percent_off"]) == (left.entitlement_id, "available", "12.5")
    assert found["service"] == "research"
    assert (await user.refused("GET", "/entitlements?user=ann"))[0] == 403
    assert (await user.refused("POST", f"/redemptions/{left.id}/release"))[0] == 403
    shop.clock.advance(31 * 86_400)
    assert (await user.get("/entitlements?user=tests"))["data"] == []


async def test_entitlements_are_listed_page_by_page(shop: Shop, manager: Office) -> None:
    await shop.code("LATER", percent_off="10", per_user_limit=5)
    left = []
    for _ in range(5):
        left.append((await shop.reserve("LATER", "ann")).entitlement_id)
        shop.clock.advance(1)
    seen, cursor = [], ""
    while True:
        page = await manager.get(f"/entitlements?user=ann&limit=2{cursor}")
        seen += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == left


async def test_a_campaign_is_made_changed_and_shown_with_what_it_gave(shop: Shop, manager: Office) -> None:
    made = await manager.post("/campaigns", {"name": "spring", "budget": "100", "budget_minor": 500, "currency": "USD"})
    assert (made["status"], made["left"], made["left_minor"], made["version"]) == ("active", "100", 500, 1)
    assert (await manager.refused("POST", "/campaigns", {"name": "spring"}))[:2] == (409, "campaign_exists")
    await shop.code("TEN", percent_off="10", campaign_id=made["id"])
    await shop.reserve("TEN", "ann", "order_1")
    path = f"/campaigns/{made['id']}"
    assert (await manager.get(path))["left_minor"] == 100
    answer = await manager.send("PATCH", path, {"budget_minor": 300})
    assert (answer.json()["left_minor"], answer.json()["version"]) == (0, 2)
    assert (await manager.refused("PATCH", path, {"currency": "EUR"}))[:2] == (400, "invalid_request")
    paused = await manager.send("PATCH", path, {"status": "paused"})
    assert paused.json()["status"] == "paused"
    assert await shop.refusal("TEN", "bob", "order_2") == "code_inactive"
    await manager.send("PATCH", path, {"status": "void"})
    assert (await manager.refused("PATCH", path, {"status": "active"}))[:2] == (409, "campaign_void")
    assert [one["id"] for one in (await manager.get("/campaigns?status=void"))["data"]] == [made["id"]]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "budget": 1.5},
        {"name": "x", "budget": "0"},
        {"name": "x", "budget_minor": 5},
        {"name": "x", "budget_minor": 0, "currency": "USD"},
        {"name": "x", "budget_minor": 5, "currency": "usd"},
        {"name": "two words"},
        {"name": "x", "colour": "red"},
        {},
    ],
)
async def test_bad_campaigns_are_refused(shop: Shop, manager: Office, body: dict[str, object]) -> None:
    assert (await manager.refused("POST", "/campaigns", body))[:2] == (400, "invalid_request")
    assert (await manager.get("/campaigns"))["data"] == []


async def test_only_staff_manage_campaigns(shop: Shop, manager: Office) -> None:
    for role in ("user", "service"):
        assert (await manager.as_(role).refused("POST", "/campaigns", {"name": "x"}))[0] == 403
