"""Commands by Kafka: each is decided once, told once, and refused so that its sender hears."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from libs.events.contracts.base import Contract, model_of
from libs.events.contracts.ledger import commands as c
from libs.events.envelope import Envelope
from libs.events.partition import partition_of
from services.ledger.handlers.commands import KINDS, Origin, request_for
from services.ledger.tests.kafka.world import Told, World, changed
from services.ledger.tests.support import APP, PARTITIONS, Ledger
from services.ledger.verify.run import verify

pytestmark = pytest.mark.anyio


async def test_each_kind_of_command_is_told_with_its_cause(world: World, ledger: Ledger) -> None:
    sent: dict[str, Envelope] = {}
    kinds: dict[str, list[str]] = {}

    async def do(command: Contract, user: str = "ann") -> Told:
        envelope = world.command(command, user)
        await world.publish(envelope)
        sent[envelope.id] = envelope
        told = await world.outcome(ledger, envelope.id)
        kinds.setdefault(command.TYPE.split(".")[1], []).append(told.kind)
        return told

    grant = await do(c.GrantCredits(user="ann", amount="100", source="paid"))
    charge = await do(c.ChargeCredits(user="ann", amount="30.50", description="A call"))
    await do(c.RefundCharge(charge=charge.payload["charge"], amount="0.50"))
    hold = (await do(c.CreateHold(user="ann", amount="20"))).payload["hold"]
    await do(c.ExtendHold(hold=hold, ttl_s=900))
    await do(c.CaptureHold(hold=hold, amount="5"))
    hold = (await do(c.CreateHold(user="ann", amount="20"))).payload["hold"]
    await do(c.ReleaseHold(hold=hold))
    await do(c.AdjustBalance(user="ann", amount="-1", reason="mistake"))
    await do(c.PerformAction(user="ann", action="start"))
    await do(c.TransferCredits(from_user="ann", to_user="ben", amount="2"))
    await do(c.FreezeAccount(user="ann", unique_ref="fraud"))
    await do(c.UnfreezeAccount(user="ann", unique_ref="fraud"))
    await do(c.ChangeAccount(user="ann", zone="Asia/Tehran"))
    await do(c.RevokeGrant(grant=grant.payload["lot"]["grant"], policy="absorb"))
    await do(c.CloseAccount(user="ann"))
    assert kinds == {
        "grant_credits": ["credits_granted"],
        "charge_credits": ["credits_charged"],
        "refund_charge": ["charge_refunded"],
        "create_hold": ["hold_created"] * 2,
        "extend_hold": ["hold_extended"],
        "capture_hold": ["hold_captured"],
        "release_hold": ["hold_released"],
        "adjust_balance": ["balance_adjusted"],
        "perform_action": ["credits_granted"],
        "transfer_credits": ["transfer_debited"],
        "freeze_account": ["account_frozen"],
        "unfreeze_account": ["account_unfrozen"],
        "change_account": ["account_changed"],
        "revoke_grant": ["grant_revoked"],
        "close_account": ["account_closed"],
    }

    stored = await world.told(ledger)
    relaying = asyncio.create_task(world.relay(ledger).run())
    try:
        published = await world.published(lambda events, _: len(events) >= len(stored))
    finally:
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)
    assert {event.id for event in published} == {told.event_id for told in stored}
    answers = [event for event in published if event.causation_id in sent]
    assert {event.causation_id for event in answers} == set(sent)
    for event in answers:
        model = model_of(event.type)
        assert model is not None
        model.model_validate_json(event.data)
        command = sent[event.causation_id or ""]
        assert (event.source, event.app, event.subject, event.correlation_id, event.actor, event.idempotency_key) == (
            "ledger",
            APP,
            command.subject,
            command.correlation_id,
            "ann.admin",
            command.idempotency_key,
        )
    assert (await verify(ledger.dsn)).violations == []


async def test_a_redelivery_does_and_tells_nothing(world: World, ledger: Ledger) -> None:
    partition = partition_of(APP, "ann", PARTITIONS)
    good = world.command(c.GrantCredits(user="ann", amount="1"), "ann")
    short = world.command(c.ChargeCredits(user="ann", amount="2"), "ann")
    await world.publish(good, short, good, short, good)
    await world.passed(ledger, partition)
    before = await world.told(ledger)
    await world.publish(good, short, good)
    await world.passed(ledger, partition)
    assert await world.told(ledger) == before
    assert [told.kind for told in await world.told(ledger, good.id)] == ["account_opened", "credits_granted"]
    assert [told.payload["code"] for told in await world.told(ledger, short.id)] == ["insufficient_credits"]
    assert await world.balances(ledger, "ann") == (100, 0, 0)


async def test_a_refused_command_stays_refused_when_it_comes_again(world: World, ledger: Ledger) -> None:
    short = world.command(c.ChargeCredits(user="ann", amount="2"), "ann")
    await world.publish(short)
    assert (await world.outcome(ledger, short.id)).payload["code"] == "insufficient_credits"
    await world.done(ledger, c.GrantCredits(user="ann", amount="5"), "ann")
    await world.publish(short)
    await world.passed(ledger, partition_of(APP, "ann", PARTITIONS))
    assert len(await world.told(ledger, short.id)) == 1
    assert await world.balances(ledger, "ann") == (500, 0, 0)


async def test_a_taken_unique_ref_is_answered_with_the_first(world: World, ledger: Ledger) -> None:
    order = c.GrantCredits(user="ann", amount="5", unique_ref="order/1")
    first = await world.done(ledger, order, "ann")
    again = await world.done(ledger, order, "ann")
    assert again.kind == "command_repeated"
    assert again.payload == {
        "command": again.cause,
        "command_type": "ledger.grant_credits.v1",
        "first": first.payload["lot"]["grant"],
        "user": "ann",
    }
    other = await world.done(ledger, c.GrantCredits(user="ann", amount="6", unique_ref="order/1"), "ann")
    assert (other.payload["status"], other.payload["code"]) == (409, "unique_ref_taken")
    assert await world.balances(ledger, "ann") == (500, 0, 0)


async def test_what_finds_all_as_it_is_to_be_is_answered(world: World, ledger: Ledger) -> None:
    """Budgets and a freeze that are there already: nothing happens, and the sender hears of it."""
    budgets = c.SetBudgets(user="ann", budgets=(c.BudgetSetting(period="day", limit="60"),))
    for command, done in ((budgets, "budget_set"), (c.FreezeAccount(user="ann"), "account_frozen")):
        assert (await world.done(ledger, command, "ann")).kind == done
        again = await world.done(ledger, command, "ann")
        assert again.kind == "command_repeated"
        assert again.payload == {
            "command": again.cause,
            "command_type": type(command).TYPE,
            "first": "ann",
            "user": "ann",
        }


async def test_another_command_under_a_known_key_hears_what_the_first_came_to(world: World, ledger: Ledger) -> None:
    order, charge = c.GrantCredits(user="ann", amount="5"), c.ChargeCredits(user="ann", amount="6")
    first = await world.done(ledger, order, "ann", key="order-1")
    refused = await world.done(ledger, charge, "ann", key="sale-1")
    await world.done(ledger, order, "ann", key="order-2")

    again = await world.done(ledger, order, "ann", key="order-1")
    assert (again.kind, again.payload["first"]) == ("command_repeated", first.payload["lot"]["grant"])
    still = await world.done(ledger, charge, "ann", key="sale-1")
    assert (still.kind, still.user) == ("command_refused", "@app")
    for name in ("status", "code", "detail", "user", "command_type"):
        assert still.payload[name] == refused.payload[name]
    assert await world.balances(ledger, "ann") == (1000, 0, 0)


async def test_what_is_told_is_told_once_for_each_command(world: World, ledger: Ledger) -> None:
    order = world.command(c.GrantCredits(user="ann", amount="5"), "ann", key="order-1")
    short = world.command(c.ChargeCredits(user="ann", amount="6"), "ann", key="sale-1")
    await world.publish(order, short)
    told_of = [
        world.command(c.GrantCredits(user="ann", amount="5"), "ann", key="order-1"),
        world.command(c.GrantCredits(user="ann", amount="7"), "ann", key="order-1"),
        world.command(c.ChargeCredits(user="ann", amount="6"), "ann", key="sale-1"),
        world.command(c.GrantCredits(user="ann", amount="0.001"), "ann"),
        world.command(c.GrantCredits(user="ann", amount="1"), "ann", source="stranger"),
    ]
    for _ in range(3):
        await world.publish(*told_of, order, short)
    await world.passed(ledger, partition_of(APP, "ann", PARTITIONS))
    assert [len(await world.told(ledger, command.id)) for command in (order, short, *told_of)] == [2, 1, 1, 1, 1, 1, 1]
    # An id is its sender's own: who borrows it does not keep another from hearing.
    borrowed = changed(world.command(c.GrantCredits(user="ann", amount="0.001"), "ann", source="codes"), id=short.id)
    await world.publish(borrowed)
    await world.passed(ledger, partition_of(APP, "ann", PARTITIONS))
    assert len(await world.told(ledger, short.id)) == 2
    assert (await verify(ledger.dsn)).violations == []


async def test_keys_are_each_callers_own_whatever_door_they_come_by(world: World, ledger: Ledger) -> None:
    fields = c.GrantCredits(user="ann", amount="1")
    for sub in ("web", "anything"):
        origin = Origin(
            app=APP, caller=sub, key="same", actor=sub, role="service", door="http", request_id="r", command_id=""
        )
        await ledger.send(request_for(KINDS["grant"], fields, origin))
    by_kafka = await world.done(ledger, fields, "ann", key="same", source="payments")
    assert by_kafka.kind == "credits_granted"
    assert await world.balances(ledger, "ann") == (300, 0, 0)
    other = await world.done(ledger, c.GrantCredits(user="ann", amount="2"), "ann", key="same", source="payments")
    assert (other.payload["status"], other.payload["code"]) == (422, "idempotency_key_reused")
    assert await world.balances(ledger, "ann") == (300, 0, 0)


async def test_what_is_refused_is_told_and_changes_nothing(world: World, ledger: Ledger) -> None:
    await world.done(ledger, c.GrantCredits(user="ann", amount="10"), "ann")
    hold = (await world.done(ledger, c.CreateHold(user="ann", amount="4"), "ann")).payload["hold"]
    unknown = hold[:-1] + ("1" if hold.endswith("0") else "0")
    before = await world.balances(ledger, "ann")
    grant, charge = c.GrantCredits(user="ann", amount="1"), c.ChargeCredits(user="ann", amount="1")
    body = {"user": "ann", "amount": "1"}
    cases: list[tuple[Envelope, int, str]] = [
        (world.command(c.ChargeCredits(user="ann", amount="6.01"), "ann"), 402, "insufficient_credits"),
        (world.command(c.ChargeCredits(user="new", amount="1"), "new"), 402, "insufficient_credits"),
        (world.command(grant, "ann", app="shop"), 404, "app_not_found"),
        (world.command(c.CaptureHold(hold=unknown), "ann"), 404, "hold_not_found"),
        (world.command(c.CaptureHold(hold=hold), "ben"), 404, "hold_not_found"),
        (world.command(charge, "ann", source="payments"), 403, "scope_missing"),
        (world.command(grant, "ann", source="stranger"), 403, "scope_missing"),
        (changed(world.command(grant, "ann"), type="ledger.do_nothing.v1"), 404, "unknown_command"),
        (changed(world.command(grant, "ann"), idempotency_key=None), 400, "idempotency_key_missing"),
        (world.command(grant, "ann", key=""), 400, "idempotency_key_missing"),
        (world.command(grant, "ben"), 400, "invalid_request"),
        (world.command(c.GrantCredits(user="ann", amount="0.001"), "ann"), 400, "invalid_request"),
        (world.command(c.GrantCredits(user="ann", amount="-1"), "ann"), 400, "invalid_request"),
        (world.command(c.GrantCredits(user="ann", amount="1", asset="stars"), "ann"), 404, "unknown_asset"),
        *[
            (changed(world.command(grant, "ann"), data=data), 400, "invalid_request")
            for data in (
                b"",
                b"\xff{",
                b"not json",
                b"null",
                b"[]",
                b'"text"',
                b'{"user": "ann"}',
                orjson.dumps({**body, "amount": 1.5}),
                orjson.dumps({**body, "extra": 1}),
                orjson.dumps({**body, "reference": "a\x1fb"}),
                orjson.dumps({**body, "description": "a\x00b"}),
                b'{"user": "ann", "amount": "1", "reference": "\\ud800"}',
                b"[" * 100_000,
            )
        ],
    ]
    await world.publish(*[envelope for envelope, _, _ in cases])
    for envelope, status, code in cases:
        told = await world.outcome(ledger, envelope.id)
        assert told.kind == "command_refused", envelope
        seen: dict[str, Any] = told.payload
        assert (seen["command"], seen["status"], seen["code"]) == (envelope.id, status, code), (envelope, seen)
        assert told.user == "@app"
    for partition in range(PARTITIONS):
        await world.passed(ledger, partition)
    assert all([len(await world.told(ledger, envelope.id)) == 1 for envelope, _, _ in cases])
    assert await world.balances(ledger, "ann") == before
    assert await ledger.pool.fetchval("SELECT count(*) FROM accounts") == 1
    assert await ledger.pool.fetchval("SELECT count(*) FROM dead_letters") == 0
    # The one who was refused may still be served.
    assert (await world.done(ledger, c.CaptureHold(hold=hold), "ann")).kind == "hold_captured"
    assert (await verify(ledger.dsn)).violations == []
