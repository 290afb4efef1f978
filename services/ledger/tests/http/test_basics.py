"""The first things that a caller does, and what comes of them."""

from __future__ import annotations

import pytest

from services.ledger.tests.http.client import Api

pytestmark = pytest.mark.anyio


async def test_grant_charge_and_refusal(api: Api) -> None:
    granted = await api.grant("ann", "10.5")
    assert granted["id"].startswith("grant_")
    assert (granted["settled"], granted["available"]) == ("10.50", "10.50")
    charged = await api.post("/charges", {"user": "ann", "amount": "4"})
    assert (charged["amount"], charged["available"]) == ("4.00", "6.50")
    refused = await api.post("/charges", {"user": "ann", "amount": "7"}, status=402)
    assert (refused["code"], refused["required"], refused["available"]) == ("insufficient_credits", "7.00", "6.50")
    state = await api.state("ann", min_position=charged["position"])
    assert (state["settled"], state["total_granted"], state["total_spent"]) == ("6.50", "10.50", "4.00")
    assert [lot["remaining"] for lot in state["lots"]] == ["6.50"]


async def test_transfer(api: Api) -> None:
    await api.grant("ann", "10")
    moved = await api.post("/transfers", {"from_user": "ann", "to_user": "bob", "amount": "3"})
    assert moved["status"] == "completed"
    assert [(side["user"], side["settled"]) for side in moved["accounts"]] == [("ann", "7.00"), ("bob", "3.00")]
