"""What a caller sees of writes and reads, the same through both clients."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest
from tallystick import (
    AccountOwes,
    AsyncClient,
    Client,
    Conflict,
    ConnectionFailed,
    Forbidden,
    HoldResolved,
    IdempotencyKeyReused,
    InsufficientCredits,
    InvalidRequest,
    NotFound,
    RateLimited,
    ServerError,
    TallystickError,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    WaitTimedOut,
)

from .conftest import QUICK, run
from .ledger_peer import Ledger, answer_lost, answers, not_reached

pytestmark = pytest.mark.anyio
Either = Client | AsyncClient


async def test_a_charge_tells_what_is_left_and_a_refund_gives_it_back(client: Either) -> None:
    grant = await run(client.grant("ada", "100.00", source="promo", reason="welcome"))
    assert (grant.amount, grant.available, grant.partition) == (Decimal("100.00"), Decimal("100.00"), 3)
    charge = await run(client.charge("ada", Decimal("2.50")))
    assert charge.available == Decimal("97.50")
    assert (await run(client.get_charge(charge.id))).amount == Decimal("2.50")
    assert (await run(client.refund(charge.id))).available == Decimal(100)
    state = await run(client.state("ada", min_position=charge.position))
    assert (state.settled, state.held, state.owed) == (Decimal(100), Decimal(0), Decimal(0))


async def test_too_few_credits_says_how_many_and_is_not_tried_again(client: Either, ledger: Ledger) -> None:
    await run(client.grant("ada", 3))
    with pytest.raises(InsufficientCredits) as refused:
        await run(client.charge("ada", 5, idempotency_key="k1"))
    error = refused.value
    assert (error.required, error.available, error.top_up_url) == (Decimal(5), Decimal(3), None)
    assert (error.status, error.code, error.request_id, error.idempotency_key) == (
        402,
        "insufficient_credits",
        "req_1",
        "k1",
    )
    assert ledger.paths().count("POST /v1/charges") == 1


@pytest.mark.parametrize("fault", [answer_lost, not_reached, answers(502), answers(503), answers(504), answers(429)])
async def test_a_write_is_tried_again_with_the_same_key_and_has_one_effect(
    client: Either, ledger: Ledger, fault: object
) -> None:
    await run(client.grant("ada", 10))
    ledger.faults["/charges"] += [fault, fault]  # type: ignore[list-item]
    charge = await run(client.charge("ada", 4))
    keys = [sent.headers["Idempotency-Key"] for sent in ledger.seen if sent.url.path == "/v1/charges"]
    assert len(keys) == 3
    assert set(keys) == {charge.idempotency_key}
    assert charge.available == Decimal(6)
    assert charge.replayed is (fault is answer_lost)


async def test_a_repeat_by_the_caller_is_the_first_answer_and_another_body_is_refused(client: Either) -> None:
    first = await run(client.grant("ada", 10, idempotency_key="order-7"))
    again = await run(client.grant("ada", 10, idempotency_key="order-7"))
    assert (first.replayed, again.replayed) == (False, True)
    assert again.id == first.id
    with pytest.raises(IdempotencyKeyReused):
        await run(client.grant("ada", 11, idempotency_key="order-7"))


async def test_reads_are_tried_again_too(client: Either, ledger: Ledger) -> None:
    await run(client.grant("ada", 10))
    ledger.faults["/state"] += [not_reached, answers(503)]
    assert (await run(client.state("ada"))).available == Decimal(10)


async def test_retries_end_and_the_error_names_the_key(client: Either, ledger: Ledger) -> None:
    ledger.faults["/grants"] += [answer_lost] * QUICK.attempts
    with pytest.raises(ConnectionFailed) as failed:
        await run(client.grant("ada", 10))
    assert len(ledger.seen) == QUICK.attempts
    assert failed.value.idempotency_key == ledger.seen[0].headers["Idempotency-Key"]
    assert (await run(client.grant("ada", 10, idempotency_key=failed.value.idempotency_key))).available == Decimal(10)


async def test_a_wait_longer_than_the_time_left_is_not_waited_for(client: Either, ledger: Ledger) -> None:
    ledger.faults["/grants"] += [answers(429, "rate_limited", {"Retry-After": "600"})]
    with pytest.raises(RateLimited) as limited:
        await run(client.grant("ada", 10))
    assert limited.value.retry_after_s == 600
    assert len(ledger.seen) == 1


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_request", InvalidRequest),
        (413, "body_too_large", InvalidRequest),
        (401, "token_invalid", Unauthorized),
        (402, "account_owes", AccountOwes),
        (403, "scope_missing", Forbidden),
        (404, "unknown_asset", NotFound),
        (409, "hold_resolved", HoldResolved),
        (409, "something_new", Conflict),
        (418, "something_newer", TallystickError),
        (500, "", ServerError),
    ],
)
async def test_a_refusal_is_raised_by_its_code_at_once(
    client: Either, ledger: Ledger, status: int, code: str, kind: type[TallystickError]
) -> None:
    fields = [{"code": "amount_too_precise", "field": "amount", "detail": "two decimals"}]
    ledger.faults["/grants"] += [answers(status, code, errors=fields)]
    with pytest.raises(kind) as refused:
        await run(client.grant("ada", "1.005"))
    assert (type(refused.value), refused.value.code, refused.value.errors) == (kind, code, fields)
    assert len(ledger.seen) == 1


async def test_a_proxy_that_answers_in_html_is_unavailable_or_unexpected(client: Either, ledger: Ledger) -> None:
    ledger.faults["/grants"] += [lambda request, go: httpx.Response(502, text="<html>")] * QUICK.attempts
    with pytest.raises(Unavailable):
        await run(client.grant("ada", 1))
    ledger.faults["/grants"] += [lambda request, go: httpx.Response(200, text="<html>")]
    with pytest.raises(UnexpectedAnswer) as unexpected:
        await run(client.grant("ada", 1))
    assert unexpected.value.idempotency_key == ledger.seen[-1].headers["Idempotency-Key"]


async def test_a_missing_field_is_named_and_an_unknown_one_is_kept(client: Either, ledger: Ledger) -> None:
    await run(client.grant("ada", 1))
    ledger.faults["/state"] += [lambda request, go: httpx.Response(200, json={"settled": "1"})]
    with pytest.raises(UnexpectedAnswer, match="held"):
        await run(client.state("ada"))
    body = {"settled": 1, "held": 0.1, "owed": "0", "available": "0.9", "position": 1, "partition": 2, "mood": "good"}
    ledger.faults["/state"] += [lambda request, go: httpx.Response(200, json=body)]
    state = await run(client.state("ada"))
    assert (state.raw["mood"], state.held) == ("good", Decimal("0.1"))


async def test_floats_and_naive_times_are_refused_before_anything_is_sent(client: Either, ledger: Ledger) -> None:
    with pytest.raises(TypeError):
        await run(client.charge("ada", 0.1))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        await run(client.charge("ada", True))
    with pytest.raises(ValueError, match="zone"):
        await run(client.state("ada", at=datetime(2026, 1, 1)))  # noqa: DTZ001
    assert ledger.seen == []


async def test_what_is_sent_is_what_the_contract_says(client: Either, ledger: Ledger) -> None:
    await run(
        client.grant(
            "ada",
            Decimal("1E+2"),
            expires_at=datetime(2027, 1, 1, tzinfo=UTC),
            scope=["chat"],
            metadata={"order": 7},
            unique_ref=None,
        )
    )
    sent = ledger.seen[0]
    assert sent.content == (
        b'{"user":"ada","amount":"100","expires_at":"2027-01-01T00:00:00.000000Z","scope":["chat"],"metadata":{"order":7}}'
    )
    assert sent.headers["Authorization"] == "Bearer secret"
    assert sent.headers["User-Agent"].startswith("tallystick-python/")
    assert "Tallystick-App" not in sent.headers


async def test_a_user_id_of_dots_stays_in_its_route(client: Either, ledger: Ledger) -> None:
    with pytest.raises(NotFound):
        await run(client.state(".."))
    assert ledger.seen[0].url.raw_path == b"/v1/accounts/%2E%2E/state"
    with pytest.raises(ValueError, match="missing"):
        await run(client.state(""))


async def test_every_transaction_is_fetched_page_by_page(client: Either, ledger: Ledger) -> None:
    for amount in range(1, 8):
        await run(client.grant("ada", amount))
    page = await run(client.transactions("ada", limit=3))
    assert (len(page), page.has_more) == (3, True)
    every = client.every_transaction("ada", limit=3)
    lines = [line async for line in every] if isinstance(every, AsyncIterator) else list(every)
    assert [line.amount for line in lines] == [Decimal(amount) for amount in range(1, 8)]
    assert [line.after for line in lines][-1] == Decimal(28)
    assert ledger.paths().count("GET /v1/accounts/ada/transactions") == 1 + 3


async def test_a_pending_transfer_is_waited_for(client: Either, ledger: Ledger) -> None:
    ledger.pending_polls = 3
    await run(client.grant("ada", 10))
    transfer = await run(client.transfer("ada", "bob", 4))
    assert transfer.pending
    assert (await run(client.wait(transfer.id))).status == "completed"
    ledger.transfers[transfer.id] = 1_000_000
    with pytest.raises(WaitTimedOut):
        await run(client.wait(transfer.id, timeout_s=0.2))


async def test_configuration_is_planned_and_changed_once(client: Either) -> None:
    config = await run(client.get_config())
    assert (await run(client.plan_config({"zone": "UTC"}))).raw == {"changed": ["zone"]}
    changed = await run(client.put_config({"zone": "UTC"}, if_match=config.etag))
    assert (changed.version, changed.config) == (2, {"zone": "UTC"})
    with pytest.raises(Conflict):
        await run(client.put_config({"zone": "Asia/Baku"}, if_match=config.etag))
