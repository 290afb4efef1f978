"""Batches of charges over HTTP, and charges on gRPC streams, many to a message and one by one."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from bench.rounds import Sample, Side
from bench.world import ROOT, BenchError, Ledger

BATCH = 100
"""Commands in a batch."""
CLIENTS = 8
"""Callers that wait for one batch before they send the next."""
STREAMS = 4
BATCHES = f"HTTP batches of {BATCH}, {CLIENTS} clients"
STREAM = f"gRPC, {STREAMS} streams, {BATCH} commands a message"
SINGLES = f"gRPC, {STREAMS} streams, one command a message"
UNDER_WAY = 4
"""Messages of a stream that wait for their results, before the next is sent."""
LIMIT_S = 120.0
WARM_S = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send; keys begin with `run`. Of `seconds`, the first `warm_s` are not counted."""

    door: str
    port: int
    token: str
    users: list[str]
    run: str
    seconds: float
    warm_s: float


def sides(ledger: Ledger, token: str, seconds: float, run_name: Callable[[], str]) -> list[Side]:
    """All doors, over all accounts."""

    def side(name: str, door: str, port: int) -> Side:
        def run() -> Sample:
            meter = ledger.meter()
            plan = Plan(door, port, token, ledger.users, run_name(), seconds + WARM_S, WARM_S)
            told = _generate(plan)
            return Sample(
                told["per_s"], generator_busy=told["busy"], cost_us=meter.each_us(told["total"], told["cpu_s"])
            )

        return Side(name, run)

    return [
        side(BATCHES, "batch", ledger.port),
        side(STREAM, "stream", ledger.grpc_port),
        side(SINGLES, "singles", ledger.grpc_port),
    ]


def _generate(plan: Plan) -> dict[str, Any]:
    """Carry out a plan in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.doors"],
        input=json.dumps(asdict(plan)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"the {plan.door} generator failed:\n{done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


class Count:
    """Charges that were answered within the time that counts."""

    def __init__(self, plan: Plan) -> None:
        began = time.perf_counter()
        self._from, self.until = began + plan.warm_s, began + plan.seconds
        self._span = plan.seconds - plan.warm_s
        self.total = 0
        self._counted = 0

    def add(self, number: int) -> None:
        """So many more."""
        self.total += number
        if self._from <= time.perf_counter() <= self.until:
            self._counted += number

    @property
    def per_s(self) -> float:
        """Charges a second."""
        return self._counted / self._span

    @property
    def over(self) -> bool:
        """Whether nothing more is sent."""
        return time.perf_counter() > self.until


def _users(plan: Plan) -> Iterator[tuple[str, str]]:
    """Users in a shuffled order, each with a key of its own, without end."""
    users = list(plan.users)
    random.Random(plan.run).shuffle(users)
    for number, user in enumerate(itertools.cycle(users)):
        yield user, f"{plan.run}-{number:08d}"


async def _send_batches(plan: Plan, count: Count) -> None:
    import httpx
    import orjson

    users = _users(plan)
    headers = {"Authorization": f"Bearer {plan.token}", "Content-Type": "application/json"}

    async def client(http: httpx.AsyncClient) -> None:
        while not count.over:
            commands = [
                {"type": "charge", "key": key, "user": user, "amount": "1"}
                for user, key in itertools.islice(users, BATCH)
            ]
            answer = await http.post("/v1/batch", content=orjson.dumps({"commands": commands}))
            if answer.content.count(b'"status":201') != BATCH:
                raise BenchError(f"a batch was answered {answer.status_code}: {answer.text[:500]}")
            count.add(BATCH)

    url = f"http://127.0.0.1:{plan.port}"
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60.0) as http:
        await asyncio.gather(*(client(http) for _ in range(CLIENTS)))


async def _send_streams(plan: Plan, count: Count) -> None:
    from tallystick.ledger.v1 import ledger_pb2 as pb

    users = _users(plan)

    async def exchange(call: Any) -> None:
        room = asyncio.Semaphore(UNDER_WAY)

        async def write() -> None:
            while not count.over:
                await room.acquire()
                commands = [_charge(user, key) for user, key in itertools.islice(users, BATCH)]
                await call.write(pb.CommandRequest(commands=commands))
            await call.done_writing()

        writing = asyncio.create_task(write())
        async for result in call:
            if [each.status for each in result.results] != [201] * BATCH:
                raise BenchError(f"commands were answered {result}")
            count.add(BATCH)
            room.release()
        await writing

    await _stream(plan, exchange)


async def _send_singles(plan: Plan, count: Count) -> None:
    users = _users(plan)

    async def exchange(call: Any) -> None:
        async def write() -> None:
            for user, key in users:
                if count.over:
                    break
                await call.write(_charge(user, key))
            await call.done_writing()

        writing = asyncio.create_task(write())
        async for result in call:
            if result.status != 201:
                raise BenchError(f"a command was answered {result}")
            count.add(1)
        await writing

    await _stream(plan, exchange)


def _charge(user: str, key: str) -> Any:
    from tallystick.ledger.v1 import ledger_pb2 as pb

    return pb.CommandRequest(
        tag=key, charge_credits=pb.ChargeCreditsRequest(idempotency_key=key, user=user, amount="1")
    )


async def _stream(plan: Plan, exchange: Callable[[Any], Awaitable[None]]) -> None:
    """Open all streams, and send and receive on each."""
    import grpc
    from tallystick.ledger.v1.ledger_pb2_grpc import LedgerStub

    metadata = grpc.aio.Metadata(("authorization", f"Bearer {plan.token}"))

    async def stream(number: int) -> None:
        # A connection of its own for each, or they would share one.
        async with grpc.aio.insecure_channel(f"127.0.0.1:{plan.port}", options=[("bench.stream", number)]) as channel:
            await exchange(LedgerStub(channel).Execute(metadata=metadata))

    await asyncio.gather(*(stream(number) for number in range(STREAMS)))


def main() -> None:
    """One plan in, one result out."""
    plan = Plan(**json.load(sys.stdin))
    send = {"batch": _send_batches, "stream": _send_streams, "singles": _send_singles}[plan.door]
    cpu_from, began = time.process_time(), time.perf_counter()
    count = Count(plan)
    asyncio.run(send(plan, count))
    cpu_s, took_s = time.process_time() - cpu_from, time.perf_counter() - began
    json.dump({"per_s": count.per_s, "total": count.total, "cpu_s": cpu_s, "busy": cpu_s / took_s}, sys.stdout)


if __name__ == "__main__":
    main()
