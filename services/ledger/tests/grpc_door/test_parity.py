"""What is asked by HTTP and by gRPC is one thing: the same answer, the same fingerprint, the same problem."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import orjson
import pytest
from google.protobuf.message import Message
from tallystick.ledger.v1 import ledger_pb2 as pb

from services.ledger.grpc_api.calls import CODES
from services.ledger.grpc_api.messages import message_of
from services.ledger.grpc_api.rpcs import COMMANDS, READS
from services.ledger.tests.grpc_door.door import RPCS, Door, Refused, charge
from services.ledger.tests.http.client import Api

pytestmark = pytest.mark.anyio

Make = Callable[[Api], Awaitable[dict[str, Any]]]


async def _hold(api: Api) -> dict[str, Any]:
    return {"hold": (await api.post("/holds", {"user": "ann", "amount": "2"}))["id"]}


async def _charge(api: Api) -> dict[str, Any]:
    return {"charge": (await api.post("/charges", {"user": "ann", "amount": "2"}))["id"]}


async def _grant(api: Api) -> dict[str, Any]:
    return {"grant": (await api.grant("ann", "2"))["id"]}


async def _freeze(api: Api) -> dict[str, Any]:
    await api.post("/accounts/ben/freeze", {"unique_ref": "x"}, status=200)
    return {}


async def _plan(api: Api) -> dict[str, Any]:
    await api.as_("admin").put("/accounts/ben/plan", {"plan": "pro", "paid_until": "2090-01-01T00:00:00Z"})
    return {}


async def _nothing(_api: Api) -> dict[str, Any]:
    return {}


LABELS = {"reference": "r", "description": "for her", "metadata": {"a": "b"}, "reason": "test", "member": "eve"}
TABLE: dict[str, tuple[Make, dict[str, Any]]] = {
    "GrantCredits": (
        _nothing,
        {
            "user": "ann",
            "amount": "2.50",
            "source": "paid",
            "priority": 0,
            "expires_at": "2090-01-01T00:00:00Z",
            "scope": ["a", "b"],
            "cost_basis": {"amount_minor": 0, "currency": "EUR"},
            **LABELS,
        },
    ),
    "RevokeGrant": (_grant, {"amount": "1", "policy": "absorb"}),
    "ChargeCredits": (_nothing, {"user": "ann", "amount": "1.5", "service": "voice", **LABELS}),
    "RefundCharge": (_charge, {"amount": "0.5"}),
    "CreateHold": (_nothing, {"user": "ann", "amount": "1", "ttl_s": 30, "partial": False, "asset": "coins"}),
    "CaptureHold": (_hold, {"amount": "1", "final": False}),
    "ExtendHold": (_hold, {"ttl_s": 60}),
    "ReleaseHold": (_hold, {}),
    "TransferCredits": (_nothing, {"from_user": "ann", "to_user": "bob", "amount": "1"}),
    "AdjustBalance": (_nothing, {"user": "ann", "amount": "-1", "reason": "fix"}),
    "FreezeAccount": (_nothing, {"user": "ben", "unique_ref": "y"}),
    "UnfreezeAccount": (_freeze, {"user": "ben", "unique_ref": "x"}),
    "ChangeAccount": (_nothing, {"user": "ben", "overdraft": "3", "zone": "Asia/Tehran"}),
    "SetThresholds": (_nothing, {"user": "ben", "thresholds": [{"below": "3"}]}),
    "EraseTexts": (_nothing, {"user": "ann"}),
    "PerformAction": (_nothing, {"user": "ann", "action": "jump"}),
    "SetBudgets": (
        _nothing,
        {
            "user": "ben",
            "budgets": [{"period": "day", "limit": "3"}, {"member": "*", "period": "month", "limit": "1"}],
        },
    ),
    "AssignPlan": (
        _nothing,
        {"user": "ben", "plan": "pro", "anchor": "2025-01-31T10:00:00Z", "paid_until": "2090-01-01T00:00:00Z"},
    ),
    "ResetAllowance": (_plan, {"user": "ben"}),
    "MakeQuote": (_nothing, {"user": "ann", "price": "image", "quantity": "2"}),
    "ImportOperation": (
        _nothing,
        {
            "user": "ann",
            "kind": "usage",
            "occurred_at": "2025-03-01T10:00:00+01:00",
            "amount": "-2.5",
            "balance_after": "7.5",
            **LABELS,
        },
    ),
}


async def by_http(api: Api, name: str, fields: dict[str, Any], key: str) -> tuple[dict[str, Any], bool]:
    """The body of the answer over HTTP, and whether it is a repeat."""
    rpc, rest = RPCS[name], dict(fields)
    path = rpc.path.removeprefix("/v1")
    for word, field in rpc.in_path:
        path = path.replace(f"{{{word}}}", rest.pop(field))
    answer = await api.send(rpc.method, path, rest, key=key)
    assert answer.is_success, answer.text
    return answer.json(), "idempotency-replayed" in answer.headers


def same(name: str, message: Message, body: dict[str, Any]) -> None:
    """Whether the message holds all of the body."""
    assert message == message_of(RPCS[name].answer.__name__, body)
    assert set(body) <= set(message.DESCRIPTOR.fields_by_name), "a field of the answer is not in the message"


@pytest.mark.parametrize("name", TABLE)
async def test_a_repeat_by_the_other_door(api: Api, door: Door, name: str) -> None:
    admin, other = api.as_("admin"), door.as_("admin")
    await admin.grant("ann", "100")
    await admin.grant("ben", "1")
    make, fixed = TABLE[name]
    fields = {**await make(admin), **fixed}
    body, replayed = await by_http(admin, name, fields, "first-by-http")
    assert not replayed
    message, replayed = await other.call(name, once="first-by-http", **fields)
    assert replayed
    same(name, message, body)

    fields = {**await make(admin), **fixed}
    message, replayed = await other.call(name, once="first-by-grpc", **fields)
    assert not replayed
    body, replayed = await by_http(admin, name, fields, "first-by-grpc")
    assert replayed
    same(name, message, body)
    told = await admin.get("/commands/first-by-grpc", user=body.get("user", body.get("from_user", "ann")))
    assert told["body"] == body


async def test_the_thresholds_of_an_account_may_be_none(api: Api, door: Door) -> None:
    admin = door.as_("admin")
    await admin.call("SetThresholds", user="ann", thresholds=[{"below": "3"}])
    message, _ = await admin.call("SetThresholds", user="ann", thresholds=[])
    assert list(message.thresholds) == []
    assert (await api.get("/accounts/ann/thresholds"))["thresholds"] == []


async def test_reads_say_what_http_says(api: Api, door: Door) -> None:
    admin = api.as_("admin")
    await admin.put("/accounts/ann", {"zone": "Europe/Paris", "thresholds": [{"below": "1"}]})
    await api.grant("ann", "10", cost_basis={"amount_minor": 5, "currency": "EUR"}, expires_at="2090-01-01T00:00:00Z")
    await api.post("/holds", {"user": "ann", "amount": "2", "reference": "r"})
    for number in range(3):
        await api.post("/charges", {"user": "ann", "amount": "1", "description": "d"}, key=f"c{number}")
    await api.post("/charges", {"user": "ann", "amount": "1000"}, key="refused", status=402)
    charge = await api.post("/charges", {"user": "ann", "amount": "1", "description": "d"}, key="c1")

    def timeless(body: dict[str, Any]) -> dict[str, Any]:
        return {**body, "time": "", "position": 0}

    for name, path, fields in (
        ("GetAccount", "/accounts/ann", {"user": "ann"}),
        ("ListLots", "/accounts/ann/lots", {"user": "ann"}),
        ("ListHolds", "/accounts/ann/holds", {"user": "ann"}),
        ("ListTransactions", "/accounts/ann/transactions", {"user": "ann"}),
        ("ListAccounts", "/accounts", {"status": "open"}),
        ("ExplainAccount", "/accounts/ann/explain", {"user": "ann"}),
        ("ExplainCharge", f"/charges/{charge['id']}/explain", {"id": charge["id"]}),
        ("GetCommand", "/commands/c1", {"user": "ann", "key": "c1"}),
        ("GetCommand", "/commands/refused", {"user": "ann", "key": "refused"}),
    ):
        params: dict[str, Any] = {"user": "ann"} if name == "GetCommand" else {}
        body = await api.get(path, **params)
        message, _ = await door.call(name, **fields)
        if name == "ExplainAccount":
            body["time"] = message.time
            assert [set(one) for one in body["lots"]] == [
                set(message.DESCRIPTOR.file.message_types_by_name["ExplainedLot"].fields_by_name)
            ]
        same(name, message, body)
        for one in body.get("data", ()):
            inner = message.DESCRIPTOR.fields_by_name["data"].message_type
            assert inner is not None
            assert set(one) <= set(inner.fields_by_name), name
    state, _ = await door.call("GetState", user="ann")
    assert set(await api.get("/accounts/ann/state")) <= set(state.DESCRIPTOR.fields_by_name)
    body = timeless(await api.get("/accounts/ann/state"))
    for field in ("time", "position"):
        state.ClearField(field)
    assert state == message_of("State", {**body, "time": None, "position": None})
    prices, _ = await door.call("GetPrices")
    body = await api.get("/prices")
    same("GetPrices", prices, {**body, "time": prices.time})
    first, _ = await door.call("ListTransactions", user="ann", limit=2, type="credits_charged")
    rest, _ = await door.call(
        "ListTransactions",
        user="ann",
        cursor=first.next_cursor,
        type="credits_charged",
    )
    assert [len(page.data) for page in (first, rest)] == [2, 1]


@pytest.mark.parametrize(
    ("name", "fields", "told"),
    [
        ("ChargeCredits", {"user": "ann", "amount": "1000"}, ("insufficient_credits", 402)),
        ("ChargeCredits", {"user": "ann", "amount": "0.001"}, ("invalid_request", 400)),
        ("ChargeCredits", {"user": "ann"}, ("invalid_request", 400)),
        ("ChargeCredits", {"user": "a/b", "amount": "1"}, ("invalid_request", 400)),
        ("ExtendHold", {"hold": "x", "ttl_s": 0}, ("hold_not_found", 404)),
        ("GetState", {"user": "nobody"}, ("account_not_found", 404)),
        ("GetState", {"user": "a/../b"}, ("invalid_request", 400)),
        ("GetState", {"user": "ann", "at": "yesterday"}, ("invalid_request", 400)),
        ("AdjustBalance", {"user": "ann", "amount": "1", "reason": "fix"}, ("scope_missing", 403)),
    ],
)
async def test_problems_are_those_of_http(
    api: Api, door: Door, name: str, fields: dict[str, Any], told: tuple[str, int]
) -> None:
    await api.grant("ann", "10")
    with pytest.raises(Refused) as caught:
        await door.call(name, **fields)
    assert caught.value.code == CODES[told[1]]
    assert (caught.value.problem["code"], caught.value.problem["status"]) == told
    assert caught.value.details.startswith(f"{told[0]}: ")


async def test_a_key_is_needed_and_may_stand_in_the_metadata(api: Api, door: Door) -> None:
    await api.grant("ann", "10")
    with pytest.raises(Refused) as caught:
        await door.call("ChargeCredits", user="ann", amount="1", once="")
    assert caught.value.problem["code"] == "idempotency_key_missing"
    rpc = RPCS["ChargeCredits"]
    message = message_of(rpc.request, {"user": "ann", "amount": "1"})
    for expected in (None, "true"):
        _, told = await door.raw(rpc, message, door.metadata(**{"idempotency-key": "k"}))
        assert told.get("idempotency-replayed") == expected
    with pytest.raises(Refused) as caught:
        await door.call("ChargeCredits", user="ann", amount="2", once="k")
    assert caught.value.problem["code"] == "idempotency_key_reused"
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT


async def test_what_cannot_be_read_is_refused(api: Api, door: Door) -> None:
    await api.grant("ann", "10")
    for rpc in (*COMMANDS, *READS):
        for content in (b"\xff" * 20, b"\x0a\x05abc"):
            with pytest.raises(Refused) as caught:
                await door.raw(rpc, content, door.metadata())
            assert caught.value.code in (CODES[400], CODES[403], CODES[404]), (rpc.name, content)
    assert (await api.state("ann"))["settled"] == "10.00"


async def test_a_batch_is_the_batch_of_http(api: Api, door: Door) -> None:
    await api.grant("ann", "10")
    commands = [
        {"type": "charge", "key": "a", "user": "ann", "amount": "3"},
        {"type": "charge", "key": "b", "user": "ann", "amount": "30"},
        {"type": "hold", "key": "c", "user": "ann", "amount": "2"},
    ]
    told = await api.post("/batch", {"commands": commands}, key="", status=200)
    held = pb.CreateHoldRequest(idempotency_key="c", user="ann", amount="2")
    asked = pb.BatchRequest(
        commands=[
            charge("x", amount="3", key="a"),
            charge("y", amount="30", key="b"),
            pb.CommandRequest(tag="z", create_hold=held),
            pb.CommandRequest(tag="nothing"),
        ]
    )
    answer = await door.stub.Batch(asked, metadata=grpc.aio.Metadata(*door.metadata()))
    assert [(one.tag, one.status, one.replayed) for one in answer.results] == [
        ("x", 201, True),
        ("y", 402, True),
        ("z", 201, True),
        ("nothing", 400, False),
    ]
    assert answer.results[0].charge == message_of("Charge", told["results"][0]["body"])
    assert orjson.loads(answer.results[1].problem.json) == told["results"][1]["problem"]
    assert answer.results[2].hold == message_of("Hold", told["results"][2]["body"])
    assert [one.user for one in answer.accounts] == ["ann"]
    asked = pb.BatchRequest(atomic=True, commands=[charge("d", amount="3"), charge("e", amount="30")])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await door.stub.Batch(asked, metadata=grpc.aio.Metadata(*door.metadata()))
    problem = orjson.loads(dict(caught.value.trailing_metadata())["problem-bin"])
    assert (problem["code"], problem["index"], problem["statuses"]) == ("insufficient_credits", 1, [424, 402])
    assert (await api.state("ann"))["total_spent"] == "3.00"
