"""A stream of commands: order, back-pressure, what breaks it, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import orjson
import pytest
from tallystick.ledger.v1 import ledger_pb2 as pb

from deploy.embedded.ports import free_port
from libs.service.keys import issue_token
from services.ledger.api.sending import PATH, caller_of
from services.ledger.grpc_api.calls import http_request
from services.ledger.grpc_api.metrics import STREAMS
from services.ledger.grpc_api.stream import CommandStream
from services.ledger.tests.grpc_door.door import Door, charge, many, streaming
from services.ledger.tests.http.client import DOCUMENT, Api, running
from tests.plugins.postgres import Database
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
MANY = 300


async def results(stream: Any, number: int) -> list[pb.CommandResult]:
    """So many results, in the order in which they come."""
    found: list[pb.CommandResult] = []
    async with asyncio.timeout(60):
        while len(found) < number:
            found.append(await stream.read())
    assert all(isinstance(one, pb.CommandResult) for one in found), found
    return found


async def test_results_carry_the_tags_and_one_account_keeps_its_order(api: Api, door: Door) -> None:
    for user in ("ann", "bob"):
        await api.grant(user, "1000")
    async with streaming(door) as stream:
        writing = asyncio.create_task(_write(stream, [charge(f"{n}", "ann" if n % 2 else "bob") for n in range(MANY)]))
        told = await results(stream, MANY)
        await writing
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() == grpc.StatusCode.OK
    assert {one.tag for one in told} == {str(n) for n in range(MANY)}
    assert {(one.status, one.replayed, one.WhichOneof("outcome")) for one in told} == {(201, False, "charge")}
    for odd in (0, 1):
        mine = sorted((one for one in told if int(one.tag) % 2 == odd), key=lambda one: int(one.tag))
        assert [one.charge.settled for one in mine] == [f"{999 - n}.00" for n in range(MANY // 2)]
        assert [one.charge.position for one in mine] == sorted(one.charge.position for one in mine)


async def _write(stream: Any, messages: list[pb.CommandRequest]) -> None:
    for message in messages:
        await stream.write(message)


async def test_every_outcome_in_its_place(api: Api, door: Door) -> None:
    await api.grant("ann", "10")
    hold = (await api.post("/holds", {"user": "ann", "amount": "2"}))["id"]
    commands = [
        charge("ok"),
        charge("short", amount="100"),
        charge("fine", amount="0.001"),
        charge("again", key="ok"),
        charge("other", key="ok", amount="2"),
        charge("keyless", key=""),
        pb.CommandRequest(tag="nothing"),
        pb.CommandRequest(tag="capture", capture_hold=pb.CaptureHoldRequest(idempotency_key="c", hold=hold)),
        pb.CommandRequest(
            tag="moved",
            transfer_credits=pb.TransferCreditsRequest(idempotency_key="t", from_user="ann", to_user="bob", amount="1"),
        ),
        pb.CommandRequest(
            tag="scope",
            adjust_balance=pb.AdjustBalanceRequest(idempotency_key="x", user="ann", amount="1", reason="fix"),
        ),
    ]
    async with streaming(door) as stream:
        await _write(stream, commands)
        told = {one.tag: one for one in await results(stream, len(commands))}
    statuses = {tag: one.status for tag, one in told.items()}
    assert statuses == {
        "ok": 201,
        "short": 402,
        "fine": 400,
        "again": 201,
        "other": 422,
        "keyless": 400,
        "nothing": 400,
        "capture": 201,
        "moved": 201,
        "scope": 403,
    }
    assert told["again"].replayed
    assert told["again"].charge == told["ok"].charge
    assert told["moved"].transfer.status == "completed"
    assert told["capture"].capture.charge.startswith("charge_")
    assert told["short"].problem.code == "insufficient_credits"
    assert orjson.loads(told["short"].problem.json)["available"] == "7.00"
    assert (await api.post("/charges", {"user": "ann", "amount": "1"}, key="ok"))["id"] == told["ok"].charge.id


async def test_a_caller_that_takes_no_results_is_held_back(api: Api, door: Door) -> None:
    """However much it sends: what is under way is bounded, and all of it is answered once results are taken."""
    await api.grant("ann", "1000")
    taken, told = 0, []
    reads_on, closing = asyncio.Event(), asyncio.Event()

    async def messages() -> AsyncIterator[bytes]:
        nonlocal taken
        for number in range(MANY):
            taken += 1
            yield charge(f"{number}").SerializeToString()

    async def write(result: pb.CommandResult) -> None:
        await reads_on.wait()
        told.append(result.status)

    request = http_request(api.app, door.metadata(), "POST", PATH)
    stream = CommandStream(lambda: caller_of(request), write, 8, 1000)
    running_on = asyncio.create_task(stream.run(messages(), closing))

    async def full() -> bool:
        return taken == 8 and (await api.state("ann"))["total_spent"] == "8.00"

    await eventually(full)
    for _ in range(100):
        await asyncio.sleep(0)
    assert taken == 8
    reads_on.set()
    await running_on
    assert told == [201] * MANY


async def test_many_commands_of_one_message_are_answered_by_one(api: Api, door: Door) -> None:
    """In their places, whatever becomes of them; those of one account in order, across messages of either form."""
    await api.grant("ann", "100")
    sent = [
        many("first", charge("a"), charge("b", amount="500"), charge("c", amount="2"), charge("a2", key="a")),
        charge("alone", amount="3"),
        many(
            "second",
            charge("d", amount="4"),
            pb.CommandRequest(tag="nothing"),
            many("nested", charge("inner")),
            pb.CommandRequest(
                tag="moved",
                transfer_credits=pb.TransferCreditsRequest(
                    idempotency_key="t", from_user="ann", to_user="bob", amount="5"
                ),
            ),
            charge("e", key="a", amount="9"),
        ),
    ]
    async with streaming(door) as stream:
        await _write(stream, sent)
        told = {one.tag: one for one in await results(stream, len(sent))}
    first, second = told["first"].results, told["second"].results
    assert told["first"].status == 0
    assert [(one.tag, one.status, one.replayed) for one in first] == [
        ("a", 201, False),
        ("b", 402, False),
        ("c", 201, False),
        ("a2", 201, True),
    ]
    assert [(one.tag, one.status) for one in second] == [
        ("d", 201),
        ("nothing", 400),
        ("nested", 400),
        ("moved", 201),
        ("e", 422),
    ]
    assert (first[0].charge.settled, first[2].charge.settled) == ("99.00", "97.00")
    assert first[3].charge == first[0].charge
    assert (told["alone"].charge.settled, second[0].charge.settled) == ("94.00", "90.00")
    assert second[3].transfer.status == "completed"
    assert (await api.state("ann"))["settled"] == "85.00"


async def test_a_message_that_is_too_much_does_nothing(api: Api, door: Door) -> None:
    await api.grant("ann", "10")
    items_max = api.app.state.settings.batch_items_max
    both = charge("both")
    both.commands.append(charge("one more"))
    async with streaming(door) as stream:
        await _write(stream, [many("all", *(charge(f"{n}", amount="0.01") for n in range(items_max + 1))), both])
        told = {one.tag: one for one in await results(stream, 2)}
    assert {(tag, one.status, one.problem.errors[0].code) for tag, one in told.items()} == {
        ("all", 400, "too_many"),
        ("both", 400, "not_together"),
    }
    assert not any(one.results for one in told.values())
    assert (await api.state("ann"))["settled"] == "10.00"


async def test_messages_of_many_are_held_back_too(api: Api, door: Door) -> None:
    """While more than its share of a stream's commands are under way, no further message is read."""
    await api.grant("ann", "1000")
    taken, told = 0, []
    reads_on = asyncio.Event()

    async def messages() -> AsyncIterator[bytes]:
        nonlocal taken
        for number in range(50):
            taken += 1
            yield many(f"{number}", *(charge(f"{number}-{each}") for each in range(10))).SerializeToString()

    async def write(result: pb.CommandResult) -> None:
        await reads_on.wait()
        told.append([one.status for one in result.results])

    request = http_request(api.app, door.metadata(), "POST", PATH)
    stream = CommandStream(lambda: caller_of(request), write, 25, 1000)
    running_on = asyncio.create_task(stream.run(messages(), asyncio.Event()))

    async def full() -> bool:
        return taken == 3 and (await api.state("ann"))["total_spent"] == "30.00"

    await eventually(full)
    for _ in range(100):
        await asyncio.sleep(0)
    assert taken == 3
    reads_on.set()
    await running_on
    assert told == [[201] * 10] * 50


async def test_a_message_that_is_none_ends_the_stream_after_what_came_before(api: Api, door: Door) -> None:
    await api.grant("ann", "10")

    async def sent() -> AsyncIterator[bytes]:
        for tag in "abc":
            yield charge(tag).SerializeToString()
        yield b"\xff\xff\xff"

    execute: Any = door.channel.stream_stream("/tallystick.ledger.v1.Ledger/Execute")
    stream = execute(sent(), metadata=grpc.aio.Metadata(*door.metadata()))
    told = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for raw in stream:
            told += [pb.CommandResult.FromString(raw).tag]
    assert sorted(told) == ["a", "b", "c"]
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert (await api.state("ann"))["total_spent"] == "3.00"


async def test_a_stream_without_a_token_that_may_send_is_refused_at_once(api: Api, door: Door) -> None:
    for other, code in (
        (door.as_("user", sub="ann"), grpc.StatusCode.PERMISSION_DENIED),
        (door.as_("admin", scopes=("ledger:read",)), grpc.StatusCode.PERMISSION_DENIED),
    ):
        async with streaming(other) as stream:
            assert await stream.code() == code
    bare = door.stub.Execute()
    assert await bare.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_that_ends_ends_nothing_but_what_comes_after(api: Api, door: Door) -> None:
    """Its commands are refused one by one from then on, as over HTTP."""
    await api.grant("ann", "10")
    token = issue_token(
        api.key_file, sub="tests", audience="ledger", role="service", scopes=["ledger:spend"], app="coins", ttl_s=1
    )
    metadata = grpc.aio.Metadata(("authorization", f"Bearer {token}"))
    stream = door.stub.Execute(metadata=metadata)
    numbers = iter(range(100_000))

    async def refused() -> bool:
        await stream.write(charge(f"{next(numbers)}", amount="0.01"))
        one = await stream.read()
        assert isinstance(one, pb.CommandResult)
        assert one.status in (201, 401)
        return one.status == 401 and one.problem.code == "token_expired"

    await eventually(refused)
    stream.cancel()


async def test_through_a_writer_that_is_cut_off(api: Api, door: Door, books: Database) -> None:
    """What is answered 503 is sent again; in the end everything has happened once."""
    await api.grant("ann", "1000")
    admin = await asyncpg.connect(books.admin_dsn)
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'ledger-writer'"
    )
    done: dict[str, pb.CommandResult] = {}
    async with streaming(door) as stream:
        waiting = [f"c{number}" for number in range(MANY)]
        while waiting:
            await admin.execute(cut)
            await _write(stream, [charge(tag) for tag in waiting])
            told = await results(stream, len(waiting))
            assert {one.status for one in told} <= {201, 503}
            done |= {one.tag: one for one in told if one.status == 201}
            waiting = [one.tag for one in told if one.status == 503]
            await asyncio.sleep(0.02)
    await admin.close()
    assert len({one.charge.id for one in done.values()}) == MANY
    assert (await api.state("ann"))["total_spent"] == f"{MANY}.00"


async def test_a_caller_that_goes_away_leaves_nothing_behind(api: Api, door: Door) -> None:
    await api.grant("ann", "1000")
    open_before = STREAMS._value.get()
    async with streaming(door) as stream:
        await _write(stream, [charge(f"{number}") for number in range(50)])
        await results(stream, 1)

    async def gone() -> bool:
        return bool(STREAMS._value.get() == open_before)

    await eventually(gone)
    assert (await api.post("/charges", {"user": "ann", "amount": "1"}))["id"]


async def test_the_end_of_the_process_answers_what_it_has_read(books: Database, tmp_path: Path) -> None:
    port = free_port()
    async with running(books, tmp_path, grpc_listen_port=port) as api:
        await api.as_("admin").put("/config", DOCUMENT)
        await api.grant("ann", "1000")
        door = Door(api, port)
        stream = door.execute()
        await _write(stream, [charge(f"{number}") for number in range(20)])
        assert {one.status for one in await results(stream, 20)} == {201}
    assert await stream.code() == grpc.StatusCode.UNAVAILABLE
    await door.channel.close(None)
