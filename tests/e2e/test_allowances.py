"""A1, A6, A9, A10 and F10: monthly allowances, as the apps' files say them, through a month's end."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import new_user
from tests.e2e.suite import Http, Suite
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

APPS = Path(__file__).parents[2] / "deploy" / "apps"
START = datetime(2025, 1, 20, 15, 0, tzinfo=UTC)
FEBRUARY = datetime(2025, 2, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Trial:
    """An app as its file says it, under another name and with a clock of its own."""

    suite: Suite
    app: str
    http: Http

    def forward(self, to: datetime) -> None:
        """Put the clock forward, as an operator does."""
        done = self.suite.tallystick("app", "clock", self.app, to.isoformat())
        assert done.returncode == 0, done.stderr

    async def put(self, path: str, body: dict[str, Any], expected: int = 200) -> dict[str, Any]:
        """What a PUT answers."""
        return await self._write("PUT", path, body, expected)

    async def post(self, path: str, body: dict[str, Any], expected: int = 201) -> dict[str, Any]:
        """What a POST answers."""
        return await self._write("POST", path, body, expected)

    async def _write(self, method: str, path: str, body: dict[str, Any], expected: int) -> dict[str, Any]:
        answer = await self.http.write(path, body, method=method)
        assert answer.status_code == expected, answer.text
        shown: dict[str, Any] = answer.json()
        return shown


Begin = Callable[[str], Trial]


@pytest.fixture
async def begin(suite: Suite, tmp_path: Path) -> AsyncIterator[Begin]:
    """Apply one of the apps' files as a trial of it."""
    opened: list[Http] = []

    def apply(name: str) -> Trial:
        app = f"{name}-{secrets.token_hex(4)}"
        text = (APPS / f"{name}.yaml").read_text().replace(f"app: {name}\n", f"app: {app}\n", 1)
        file = tmp_path / f"{name}.yaml"
        file.write_text(f"{text}\ntest_mode: {{clock_start: {START.isoformat()}}}\n")
        applied = suite.tallystick("app", "apply", file)
        assert applied.returncode == 0, applied.stderr
        opened.append(suite.http(app, "admin"))
        return Trial(suite, app, opened[-1])

    yield apply
    for http in opened:
        await http.aclose()


async def test_a1_a_new_user_has_100_and_the_limit_returns_on_the_1st(begin: Begin, user: str) -> None:
    app = begin("ai-credits")
    charged = await app.post("charges", {"user": user, "amount": "5"})
    assert charged["available"] == "95"
    await app.post("grants", {"user": user, "amount": "50", "source": "paid"})
    state = await app.http.state(user)
    assert state["allowance"]["last_reset"] == "2025-01-20T15:00:00.000000Z"
    assert (state["allowance"]["limit"], state["allowance"]["used"]) == ("100", "5")
    assert state["next_reset"] == "2025-02-01T00:00:00.000000Z"

    app.forward(FEBRUARY)
    state = await app.http.state(user)
    assert state["available"] == "150", "unused allowance does not pile up, bought credits stay"
    assert (state["allowance"]["last_reset"], state["allowance"]["used"]) == ("2025-02-01T00:00:00.000000Z", "0")
    past = (await app.http.read(f"accounts/{user}/state", at="2025-01-31T23:59:59Z")).json()
    assert past["available"] == "145"


async def test_a6_a_reset_by_hand_is_for_admins_and_leaves_the_schedule(begin: Begin, suite: Suite, user: str) -> None:
    app = begin("ai-credits")
    await app.post("charges", {"user": user, "amount": "60"})
    async with suite.http(app.app, "service") as service:
        assert (await service.write(f"accounts/{user}/reset", {})).status_code == 403
    done = await app.post(f"accounts/{user}/reset", {}, 200)
    assert (done["available"], done["allowance"]["used"]) == ("100", "0")
    assert done["allowance"]["next_reset"] == "2025-02-01T00:00:00.000000Z"


async def test_a9_a_monthly_reset_reports_how_many_it_covered(begin: Begin) -> None:
    app = begin("ai-credits")
    users = [new_user() for _ in range(25)]
    for user in users:
        await app.post("charges", {"user": user, "amount": "7"})
    app.forward(FEBRUARY)

    told: list[dict[str, Any]] = []

    async def all_told() -> bool:
        page = (await app.http.read("events", type="reset_completed", limit=100)).json()
        told[:] = [event["payload"] for event in page["data"]]
        return len(told) == 16

    await eventually(all_told, "the resets of every partition are told of")
    assert sum(each["accounts"] for each in told) == 25
    assert {each["due_at"] for each in told} == {"2025-02-01T00:00:00.000000Z"}
    for user in users:
        rows = (await app.http.read(f"accounts/{user}/transactions", type="allowance_reset")).json()["data"]
        assert len(rows) == 1, "nobody twice, nobody skipped"


async def test_a10_plans_of_100_500_and_2000(begin: Begin, user: str) -> None:
    app = begin("ai-credits")
    await app.post("charges", {"user": user, "amount": "30"})
    for plan, available in (("pro", "470"), ("team", "1970"), ("free", "70")):
        assert (await app.put(f"accounts/{user}/plan", {"plan": plan}))["available"] == available
    await app.put(f"accounts/{user}/plan", {"plan": "pro", "paid_until": "2025-02-10T00:00:00Z"})
    unknown = await app.put(f"accounts/{user}/plan", {"plan": "gold"}, 404)
    assert unknown["code"] == "plan_not_found"
    app.forward(datetime(2025, 2, 1, tzinfo=UTC))
    assert (await app.http.state(user))["available"] == "500"
    app.forward(datetime(2025, 3, 1, tzinfo=UTC))
    state = await app.http.state(user)
    assert (state["available"], state["allowance"]["status"]) == ("0", "lapsed")


async def test_f10_free_credits_each_month_are_used_first(begin: Begin, user: str) -> None:
    app = begin("studio")
    await app.put(f"accounts/{user}/plan", {"plan": "free"})
    await app.post("grants", {"user": user, "amount": "1000", "source": "paid"})
    await app.post("grants", {"user": user, "amount": "10", "source": "promo", "expires_at": "2025-01-21T00:00:00Z"})
    await app.post("charges", {"user": user, "amount": "4999.50"})
    lots = {lot["source"]: lot["remaining"] for lot in (await app.http.state(user))["lots"]}
    assert lots == {"allowance": "0.50", "paid": "1000.00", "promo": "10.00"}
    app.forward(FEBRUARY)
    assert (await app.http.state(user))["available"] == "6000.00"
