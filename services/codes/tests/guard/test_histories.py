"""What became of a redemption is told step by step, to whom it concerns."""

from __future__ import annotations

import pytest

from services.codes.tests.guard.gate import Gate

pytestmark = pytest.mark.anyio


async def test_a_redemption_tells_its_steps_in_order(gate: Gate) -> None:
    code = await gate.make("TEN")
    made = (await gate.enter("TEN", "ada")).json()
    await gate.enter("TEN", "bob")
    path = f"/redemptions/{made['id']}/history"
    steps = (await gate.get(path))["data"]
    assert [step["type"] for step in steps] == ["codes.redemption_reserved.v1"]
    gate.clock.advance(60)
    await gate.send("POST", f"/redemptions/{made['id']}/confirm")
    # What is claimed a second time, or too late, is no step.
    await gate.send("POST", f"/redemptions/{made['id']}/confirm")
    await gate.send("POST", f"/redemptions/{made['id']}/release")
    steps = (await gate.get(path))["data"]
    assert [step["type"] for step in steps] == ["codes.redemption_reserved.v1", "codes.redemption_confirmed.v1"]
    assert {(step["user"], step["actor"]) for step in steps} == {("ada", "service:tests")}
    for step in steps:
        assert (step["data"]["redemption"], step["data"]["code"]) == (made["id"], code.id)
        assert step["data"]["checkout"] == made["checkout"]


async def test_a_history_comes_in_pages(gate: Gate) -> None:
    await gate.make("TEN")
    made = (await gate.enter("TEN", "ada")).json()
    await gate.send("POST", f"/redemptions/{made['id']}/confirm")
    path = f"/redemptions/{made['id']}/history?limit=1"
    first = await gate.get(path)
    second = await gate.get(f"{path}&cursor={first['next_cursor']}")
    types = [page["data"][0]["type"].split(".")[1] for page in (first, second)]
    assert types == ["redemption_reserved", "redemption_confirmed"]
    assert second["next_cursor"] is None


async def test_users_see_histories_of_their_own_alone(gate: Gate) -> None:
    await gate.make("TEN")
    made = (await gate.enter("TEN", "ada")).json()
    path = f"/redemptions/{made['id']}/history"
    assert len((await gate.as_("user", "ada").get(path))["data"]) == 1
    refused = await gate.as_("user", "eve").send("GET", path)
    assert (refused.status_code, refused.json()["code"]) == (403, "wrong_user")
    unknown = await gate.send("GET", "/redemptions/redemption_1/history")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "redemption_not_found")
