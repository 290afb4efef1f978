"""Reservations end when their time is up, by their app's clock; those that wait for the ledger do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from libs.events.commands import Outcome
from libs.service.clock import parse_time
from services.codes.handlers.outcomes import settle
from services.codes.jobs import expiry
from services.codes.tests.office import NOW, Office, office, prepare_codes
from tests.plugins.postgres import DatabaseFrom

pytestmark = pytest.mark.anyio

CHECKOUT: dict[str, Any] = {"id": "order-1", "amount_minor": 4000, "currency": "USD"}


@pytest.fixture
async def backend(database_from: DatabaseFrom, tmp_path: Path) -> AsyncIterator[Office]:
    """The backend of an app with a discount and a recharge code of one use each."""
    async with office(await database_from("codes", prepare_codes), tmp_path, answer_s=0.1) as made:
        await made.post("/codes", {"code": "OFF10", "kind": "discount", "percent_off": "10", "max_uses": 1})
        await made.post("/codes", {"code": "GIFT10", "kind": "recharge", "amount": "10", "max_uses": 1})
        yield made.as_("service")


async def redeemed(backend: Office, **body: Any) -> str:
    """The id of a new redemption by ann."""
    redemption: str = (await backend.post("/redemptions", {"user": "ann", **body}))["id"]
    return redemption


async def status(backend: Office, redemption: str) -> str:
    """What has become of it."""
    found: str = (await backend.get(f"/redemptions/{redemption}"))["status"]
    return found


async def test_a_reservation_ends_after_15_minutes_and_gives_its_use_back(backend: Office) -> None:
    redemption = await redeemed(backend, code="OFF10", checkout=CHECKOUT)
    backend.clock.advance(899)
    await expiry(backend.core).poll()
    assert await status(backend, redemption) == "reserved"
    backend.clock.advance(1)
    await expiry(backend.core).poll()
    assert await status(backend, redemption) == "expired"
    # Whoever comes next can have it.
    other = await backend.send(
        "POST", "/redemptions", {"code": "OFF10", "user": "ben", "checkout": {**CHECKOUT, "id": "order-2"}}
    )
    assert other.status_code == 201, other.text


async def test_a_transfer_that_a_person_approves_has_two_days(backend: Office) -> None:
    redemption = await redeemed(backend, code="OFF10", checkout={**CHECKOUT, "method": "manual"})
    backend.clock.advance(2 * 86_400 - 1)
    await expiry(backend.core).poll()
    assert await status(backend, redemption) == "reserved"
    backend.clock.advance(1)
    await expiry(backend.core).poll()
    assert await status(backend, redemption) == "expired"


async def test_what_waits_for_the_ledger_waits_for_as_long_as_it_takes(backend: Office) -> None:
    redemption = await redeemed(backend, code="GIFT10")
    backend.clock.advance(30 * 86_400)
    await expiry(backend.core).poll()
    assert await status(backend, redemption) == "reserved"

    command = await backend.core.pool.fetchval("SELECT command_id FROM redemptions WHERE id = $1", redemption)
    granted = Outcome(command, "event_1", "ledger.credits_granted.v1", b'{"lot":{"grant":"grant_1"}}')
    for _ in range(2):
        async with backend.core.pool.acquire() as connection, connection.transaction():
            await settle(backend.core, connection, {command: granted})
    assert (await backend.get(f"/redemptions/{redemption}"))["grant"] == "grant_1"
    counted = "SELECT array[reserved, redeemed] FROM codes WHERE text = 'GIFT10'"
    assert await backend.core.pool.fetchval(counted) == [0, 1]


async def test_more_at_once_than_there_are_connections_all_learn_the_time(
    database_from: DatabaseFrom, tmp_path: Path
) -> None:
    """In test mode it is read in the middle of a transaction."""
    async with office(await database_from("codes", prepare_codes), tmp_path, answer_s=0.1, pool_max=2) as made:
        trial = made.as_("admin", app="trial")
        document = {
            "test_mode": {"clock_start": "2025-11-15T00:00:00Z"},
            "codes": {"samples": {"GIFT10": {"amount": "10"}}},
        }
        assert (await trial.send("PUT", "/config", document)).status_code == 200
        async with asyncio.timeout(60):
            answers = await asyncio.gather(
                *[trial.send("POST", "/redemptions", {"code": "GIFT10", "user": f"u{n}"}) for n in range(12)]
            )
        assert {answer.status_code for answer in answers} == {202}


async def test_time_goes_by_the_clock_of_an_app_in_test_mode(backend: Office) -> None:
    trial = backend.as_("admin", app="trial")
    document = {
        "test_mode": {"clock_start": "2025-11-15T00:00:00Z"},
        "codes": {"samples": {"OFF10": {"kind": "discount", "percent_off": "10"}}},
    }
    assert (await trial.send("PUT", "/config", document)).status_code == 200
    redemption = await redeemed(trial, code="OFF10", checkout=CHECKOUT)
    assert (await trial.get(f"/redemptions/{redemption}"))["expires_at"] == "2025-11-15T00:15:00Z"
    assert backend.clock.now_us() == parse_time(NOW)
    await expiry(backend.core).poll()
    assert await status(trial, redemption) == "reserved"
    assert (await trial.send("PUT", "/test-clock", {"now": "2025-11-15T00:15:00Z"})).status_code == 200
    await expiry(backend.core).poll()
    assert await status(trial, redemption) == "expired"
