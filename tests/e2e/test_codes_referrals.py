"""Referrals from a code to credits in the ledger, by the apps' own files: V1 and A10.

Payments are a stand-in that tells of orders as the service will; all else is real.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chaos.referrals import ReferralStage, referral_stage
from tests.e2e.suite import Suite

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]
APPS = Path("deploy/apps")
TEST_MODE = {"test_mode": {"clock_start": "2026-01-10T12:00:00Z"}}


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReferralStage]:
    """Both apps in test mode."""
    async with referral_stage(tmp_path_factory.mktemp("referrals")) as running:
        for app in ("ai-credits", "vpn"):
            running.app = app
            await running.apply(APPS / f"{app}.yaml", **TEST_MODE)
        yield running


async def test_v1_who_brings_a_customer_shares_in_the_first_payment(stage: ReferralStage) -> None:
    stage.app = "vpn"
    own = await stage.own("eva")
    assert own["link"] == f"https://t.me/vpn_wallet_bot?start={own['code']}"
    await stage.bring("eva", "ada")
    await stage.bring("ada", "ben")
    await stage.bring("ada", "cleo")
    again = await stage.ask("POST", "", {"user": "ben", "code": own["code"]})
    assert (again.status_code, again.json()["code"]) == (409, "already_bound")
    circle = await stage.ask("POST", "", {"user": "eva", "code": (await stage.own("ben"))["code"]})
    assert (circle.status_code, circle.json()["code"]) == (409, "referral_cycle")

    await stage.pay("ben", "order_ben", "2026-01-10T12:00:00Z", 4990)
    await stage.pay("cleo", "order_cleo", "2026-01-10T12:00:00Z", 4990)
    held = await stage.until("ben", "on_hold", rewards="pending")
    assert {one["due_at"] for one in held["rewards"]} == {"2026-01-24T12:00:00Z"}
    await stage.refund("cleo", "order_cleo", "2026-01-20T12:00:00Z", 4990)
    refunded = await stage.until("cleo", "refused", rewards="refused")
    assert refunded["refusal"] == "order_refunded"

    await stage.clock("2026-01-24T12:00:00Z")
    await stage.until("ben", "settled", rewards="paid")
    # A tenth, a fiftieth, and the new customer's dollar.
    assert [await stage.balance(user) for user in ("ada", "eva", "ben", "cleo")] == ["4.99", "1.00", "1.00", "0"]
    seen = await stage.own("ada")
    assert (seen["came"]["settled"], seen["came"]["refused"], seen["paid"]["credits"]) == (1, 1, "4.99")

    # Refunded later, it has not been earned either.
    await stage.refund("ben", "order_ben", "2026-01-25T12:00:00Z", 4990)
    await stage.until("ben", "refused", rewards="revoked")
    assert [await stage.balance(user) for user in ("ada", "eva", "ben")] == ["0.00", "0.00", "0.00"]


async def test_v1_one_person_with_two_accounts_waits_for_a_manager(stage: ReferralStage) -> None:
    stage.app = "vpn"
    seen = {"client_ip": "192.0.2.1", "signals": {"device": "phone-7"}}
    await stage.ask("PUT", "/zoe", seen)
    made = await stage.bring("zoe", "zoe2", **seen)
    assert (made["review"], made["flags"]) == ("waiting", ["network", "device", "new_account"])
    queue = (await stage.ask("GET", "?status=flagged", role="manager")).json()["data"]
    assert [one["referee"] for one in queue] == ["zoe2"]
    refused = await stage.ask("POST", f"/{made['id']}/refuse", {"reason": "one phone"}, role="manager")
    assert (refused.status_code, refused.json()["status"]) == (200, "refused")


async def test_a10_a_friend_who_buys_earns_for_both(stage: ReferralStage) -> None:
    stage.app = "ai-credits"
    await stage.bring("mia", "noa")
    await stage.pay("noa", "order_noa", "2026-01-10T12:00:00Z", 999)
    await stage.until("noa", "on_hold")
    await stage.clock("2026-01-17T12:00:00Z")
    await stage.until("noa", "settled", rewards="paid")
    # Beside the month's allowance of 100.
    assert [await stage.balance(user) for user in ("mia", "noa")] == ["150", "125"]


async def test_v12_an_app_without_a_programme_says_so(suite: Suite) -> None:
    async with suite.http("coins", service="codes") as http:
        refused = await http.write("referrals", {"user": "ben", "code": "X"})
        assert (refused.status_code, refused.json()["code"]) == (403, "feature_disabled")


@pytest.mark.parametrize("app", ["vpn", "ai-credits"])
async def test_the_suite_has_the_programmes_of_the_apps(suite: Suite, user: str, app: str) -> None:
    terms: dict[str, Any] = yaml.safe_load((APPS / f"{app}.yaml").read_text())["referrals"]
    async with suite.http(app, service="codes") as http:
        own = (await http.write(f"referrals/{user}", {}, method="PUT")).json()
        assert own["this_month"]["left"] == terms["month_max_credits"]
        bound = await http.write("referrals", {"user": f"{user}-2", "code": own["code"]})
        assert (bound.status_code, bound.json()["referrer"]) == (201, user)
