"""Codes as the apps' backends redeem them: K2 and K3."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.suite import Http, Suite

pytestmark = pytest.mark.anyio

KERNEL: dict[str, Any] = yaml.safe_load(Path("deploy/apps/kernel.yaml").read_text())
AS_OF = "2025-11-15T12:00:00Z"


@pytest.fixture
async def codes(suite: Suite) -> AsyncIterator[Http]:
    """The codes service as the backend of AI Agent Kernel sees it."""
    async with suite.http("kernel", service="codes") as http:
        yield http


@pytest.fixture
async def trial(suite: Suite, tmp_path: Path) -> str:
    """A fresh copy of AI Agent Kernel in test mode, as of the middle of November 2025."""
    name = f"kernel-{secrets.token_hex(4)}"
    document = KERNEL | {"app": name, "test_mode": {"clock_start": AS_OF}}
    file = tmp_path / "app.yaml"
    file.write_text(yaml.safe_dump(document))
    done = suite.tallystick("app", "apply", file)
    assert done.returncode == 0, done.stderr
    return name


async def test_k2_today_all_samples_have_expired(codes: Http, user: str) -> None:
    for code in ("WELCOME100", "BONUS500", "RESEARCH20", "VIP1000"):
        answer = await codes.write("redemptions", {"code": code, "user": user})
        assert (answer.status_code, answer.json()["code"]) == (409, "code_expired"), answer.text


async def test_k2_as_of_november_three_work_and_the_fourth_is_used_up(suite: Suite, trial: str, user: str) -> None:
    async with suite.http(trial, service="codes") as http:
        for code, amount, available in (
            ("BONUS500", "500", "500.00"),
            ("research-20", "200", "700.00"),
            (" vip1000 ", "1000", "1700.00"),
        ):
            answer = await http.write("redemptions", {"code": code, "user": user})
            assert answer.status_code == 201, answer.text
            made = answer.json()
            assert (made["status"], made["amount"], made["available"]) == ("confirmed", amount, available)
        refused = await http.write("redemptions", {"code": "WELCOME100", "user": user})
        assert (refused.status_code, refused.json()["code"]) == (409, "code_used_up")


async def test_k3_nobody_redeems_a_code_twice(suite: Suite, trial: str, user: str) -> None:
    async with suite.http(trial, service="codes") as http:
        body = {"code": "BONUS500", "user": user}
        first = await http.write("redemptions", body, key="once")
        again = await http.write("redemptions", body, key="once")
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotency-replayed"] == "true"
        refused = await http.write("redemptions", body)
        assert (refused.status_code, refused.json()["code"]) == (409, "code_already_redeemed")
        unknown = await http.write("redemptions", {"code": "NOTHING", "user": user})
        assert (unknown.status_code, unknown.json()["code"]) == (404, "code_not_found")
