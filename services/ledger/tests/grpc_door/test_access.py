"""Who may call what: every method of the service, as its descriptor lists them, is as closed as its route."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from tallystick.ledger.v1 import ledger_pb2 as pb

from deploy.embedded.ports import free_port
from libs.service.auth import ROLE_SCOPES
from libs.service.keys import issue_token
from services.ledger.grpc_api.messages import message_of
from services.ledger.grpc_api.rpcs import READS, SERVICE, UNARY
from services.ledger.tests.grpc_door.door import Door, charge
from services.ledger.tests.http.client import DOCUMENT, Api, prepare_ledger, running, settings_of, until_ready
from services.ledger.tests.http.test_failures import rows
from tests.plugins.postgres import Database
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
Code = grpc.StatusCode
METHODS = pb.DESCRIPTOR.services_by_name["Ledger"].methods_by_name
HOLD = "hold_0001ARZ3NDEKTSV4RRFFQ69G5FAV"
FIELDS: dict[str, Any] = {
    "idempotency_key": "k",
    "key": "k",
    "user": "ann",
    "from_user": "ann",
    "to_user": "bob",
    "amount": "1",
    "hold": HOLD,
    "ttl_s": 5,
    "reason": "fix",
    "action": "jump",
}


def test_the_server_serves_what_the_descriptor_says() -> None:
    assert {rpc.name for rpc in UNARY} | {"Batch", "Execute"} == set(METHODS)


def _message(name: str) -> bytes:
    if name == "Batch":
        return pb.BatchRequest(commands=[charge("x")]).SerializeToString()
    if name == "Execute":
        return charge("x").SerializeToString()
    known = METHODS[name].input_type.fields_by_name
    given = {field: value for field, value in FIELDS.items() if field in known}
    return message_of(METHODS[name].input_type.name, given).SerializeToString()


async def ask(door: Door, name: str, *metadata: tuple[str, str]) -> tuple[Code, bytes]:
    """The status of a call, and what came back."""
    path, sent = f"/{SERVICE}/{name}", grpc.aio.Metadata(*metadata)
    answers: list[Any] = []
    call: Any
    if METHODS[name].client_streaming:
        stream: Callable[..., Any] = door.channel.stream_stream(path)
        call = stream(iter([_message(name)]), metadata=sent, timeout=30)
        try:
            async for answer in call:
                answers += [answer]
        except grpc.aio.AioRpcError as error:
            return error.code(), b"".join(answers)
        return await call.code(), b"".join(answers)
    unary: Callable[..., Any] = door.channel.unary_unary(path)
    try:
        return Code.OK, await unary(_message(name), metadata=sent, timeout=30)
    except grpc.aio.AioRpcError as error:
        return error.code(), b""


def token(api: Api, **options: Any) -> tuple[str, str]:
    """The metadata of a token."""
    given = {"sub": "tests", "audience": "ledger", "role": "service", "app": "coins", **options}
    scopes = sorted(given.pop("scopes", ROLE_SCOPES[given["role"]]))
    return ("authorization", "Bearer " + issue_token(api.key_file, scopes=scopes, **given))


async def test_no_call_without_a_token_that_is_good(api: Api, door: Door) -> None:
    await api.grant("ann", "10")
    before = await api.state("ann")
    good = token(api)[1]
    for name in METHODS:
        for metadata in (
            (),
            (("authorization", "Bearer x"),),
            (("authorization", good.removeprefix("Bearer ")),),
            (("token", good),),
            (token(api, audience="payments"),),
        ):
            assert (await ask(door, name, *metadata))[0] == Code.UNAUTHENTICATED, (name, metadata)
    assert {**await api.state("ann"), "time": ""} == {**before, "time": ""}


async def test_no_call_without_its_scope(api: Api, door: Door) -> None:
    await api.grant("ann", "10")
    before = await api.state("ann")
    reads = {rpc.name for rpc in READS}
    for name in METHODS:
        held = {"ledger:grant", "ledger:spend", "ledger:adjust", "ledger:config"} if name in reads else {"ledger:read"}
        assert (await ask(door, name, token(api, role="admin", scopes=held)))[0] == Code.PERMISSION_DENIED, name
        assert (await ask(door, name, token(api, scopes=())))[0] == Code.PERMISSION_DENIED, name
        # Nobody is told whether a charge of somebody else's is there.
        refused = Code.NOT_FOUND if name == "ExplainCharge" else Code.PERMISSION_DENIED
        assert (await ask(door, name, token(api, role="user", sub="eve")))[0] == refused, name
    assert {**await api.state("ann"), "time": ""} == {**before, "time": ""}


async def test_nothing_of_another_app(api: Api, door: Door) -> None:
    await api.as_("admin", app="other").put("/config", DOCUMENT)
    await api.grant("ann", "10", reference="secret")
    before = await api.state("ann")
    for name in METHODS:
        for role in ("service", "admin"):
            _, told = await ask(door, name, token(api, role=role, app="other"))
            assert b"secret" not in told, name
            code, _ = await ask(door, name, token(api, role=role, app="other"), ("tallystick-app", "coins"))
            assert code == Code.PERMISSION_DENIED, name
    assert {**await api.state("ann"), "time": ""} == {**before, "time": ""}
    several = token(api, app=None, apps=["coins", "other"])
    assert (await ask(door, "GetState", several))[0] == Code.PERMISSION_DENIED
    assert (await ask(door, "GetState", several, ("tallystick-app", "coins")))[0] == Code.OK


async def test_a_user_reads_its_own_account(api: Api, door: Door) -> None:
    await api.grant("ann", "10")
    assert (await ask(door, "GetState", token(api, role="user", sub="ann")))[0] == Code.OK
    assert (await ask(door, "GetState", token(api, role="user", sub="bob")))[0] == Code.PERMISSION_DENIED


async def test_health_and_reflection_need_no_token(api: Api, door: Door) -> None:
    stub = health_pb2_grpc.HealthStub(door.channel)

    async def serving() -> bool:
        """Both say so, within the second that it takes to hear of it."""
        asked = [health_pb2.HealthCheckRequest(service=service) for service in ("", SERVICE)]
        return {(await stub.Check(one)).status for one in asked} == {health_pb2.HealthCheckResponse.SERVING}

    await eventually(serving)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    answers = reflection_pb2_grpc.ServerReflectionStub(door.channel).ServerReflectionInfo(iter([asked]))
    listed = [one.name async for answer in answers for one in answer.list_services_response.service]
    assert SERVICE in listed


async def test_health_follows_readiness(books: Database, tmp_path: Path) -> None:
    """A process whose database is locked away is not to be asked; when it is back, it is."""
    async with running(books, tmp_path, grpc_listen_port=free_port()) as api, Door(api) as door:
        stub = health_pb2_grpc.HealthStub(door.channel)
        ready = True

        async def as_ready() -> bool:
            told = await stub.Check(health_pb2.HealthCheckRequest(service=SERVICE))
            return bool((told.status == health_pb2.HealthCheckResponse.SERVING) == ready)

        await eventually(as_ready)
        ready = False

        async def broken() -> None:
            raise RuntimeError("away")

        api.app.state.health.add("trial", broken)
        await eventually(as_ready)
        del api.app.state.health._checks["trial"]
        ready = True
        await eventually(as_ready)


async def test_two_processes_cannot_share_a_port(books: Database, tmp_path: Path) -> None:
    port = free_port()
    async with running(books, tmp_path, grpc_listen_port=port):
        with pytest.raises(RuntimeError):
            async with running(books, tmp_path, grpc_listen_port=port):
                pass


async def test_the_port_is_that_of_http_and_a_thousand(books: Database, tmp_path: Path) -> None:
    assert settings_of(books, tmp_path, listen_port=8001, grpc_listen_port=None).grpc_port == 9001
    assert settings_of(books, tmp_path, listen_port=8001).grpc_port == 0


async def test_calls_are_counted(api: Api, door: Door) -> None:
    await ask(door, "GetState", *door.metadata())
    await ask(door, "GetState")
    told = (await api.http.get("/metrics")).text
    assert 'grpc_requests_total{code="UNAUTHENTICATED",method="GetState"}' in told
    assert 'grpc_requests_total{code="NOT_FOUND",method="GetState"}' in told
    assert 'grpc_request_duration_seconds_count{method="GetState"}' in told


async def test_a_message_over_the_limit(books: Database, tmp_path: Path) -> None:
    async with running(books, tmp_path, grpc_listen_port=free_port(), batch_bytes_max=4096) as api, Door(api) as door:
        await api.as_("admin").put("/config", DOCUMENT)
        await api.grant("ann", "10")
        asked = pb.BatchRequest(commands=[charge(f"{number}" * 20) for number in range(100)])
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.stub.Batch(asked, metadata=grpc.aio.Metadata(*door.metadata()))
        assert caught.value.code() == Code.RESOURCE_EXHAUSTED
        assert (await api.state("ann"))["settled"] == "10.00"


async def _prepare_two(database: Database) -> None:
    await prepare_ledger(database, ("0", "1"))


async def test_commands_of_another_process_are_passed_on(database_from: Any, tmp_path: Path) -> None:
    """By calls, batches and streams; those of one account keep their order."""
    from services.ledger.tests.http.client import served
    from services.ledger.tests.http.test_shards import _user_of

    books = await database_from("ledger-http-two-shards", _prepare_two)
    near, far = _user_of(0), _user_of(1)
    async with (
        served(books, tmp_path, shard="0", grpc_listen_port=free_port()) as first,
        served(books, tmp_path, shard="1") as second,
    ):
        for api in (first, second):
            await until_ready(api.http)
        await first.as_("admin").put("/config", DOCUMENT)
        for user in (near, far):
            await first.grant(user, "1000")
        async with Door(first) as door:
            alone, _ = await door.call("ChargeCredits", user=far, amount="1")
            assert alone.settled == "999.00"
            stream = door.execute()
            for number in range(200):
                await stream.write(charge(f"{number}", far if number % 2 else near))
            told = [await stream.read() for _ in range(200)]
            stream.cancel()
            assert {one.status for one in told} == {201}
            mine = sorted((one for one in told if int(one.tag) % 2), key=lambda one: int(one.tag))
            assert [one.charge.settled for one in mine] == [f"{998 - number}.00" for number in range(100)]
        doors = await rows(books, "SELECT DISTINCT actor FROM events WHERE type = 'ledger.credits_charged.v1'")
        assert [row["actor"] for row in doors] == ["service:tests"]
