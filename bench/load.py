"""The load generator: closed-loop clients over keep-alive connections, in a process of its own.

It does as little as a client can: one epoll loop, requests put together from ready parts, and of an answer only the
status and the length are looked at. `python -m bench.load` reads a :class:`Plan` as JSON from its input and prints a
:class:`Result` as JSON.
"""

from __future__ import annotations

import itertools
import json
import random
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass

DRAIN_S = 15.0
UNLIMITED_S = 3600.0
END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length: "


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send. Every request gets the next of `users`, in a shuffled order, and an idempotency key of its own.

    `body` has `{user}` where the user belongs. Of `seconds`, the first `warm_s` are not counted. With `count`, it ends
    after so many requests instead, and all of them are counted.
    """

    port: int
    path: str
    token: str
    body: str
    users: list[str]
    clients: int
    run: str
    """What tells the keys of this run from those of all others."""
    seconds: float = 0.0
    warm_s: float = 0.0
    count: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a plan. `statuses` counts the answers within the time that counts; latencies are of those."""

    wall_s: float
    total: int
    """How many answers came, with those outside of the time that counts."""
    cpu_s: float
    """Processor time of the generator for all of them."""
    busy: float
    """Share of its time that the generator itself was computing: near 1 it would be the limit."""
    statuses: dict[str, int]
    p50_ms: float
    p99_ms: float
    max_ms: float
    sample: str
    """The first answer, whole, in latin-1."""


def requests_of(plan: Plan) -> Iterator[bytes]:
    """The requests, without end."""
    users = list(plan.users)
    random.Random(plan.run).shuffle(users)
    parts = []
    for user in users:
        body = plan.body.replace("{user}", user)
        head = (
            f"POST {plan.path} HTTP/1.1\r\nHost: 127.0.0.1:{plan.port}\r\nAuthorization: Bearer {plan.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nIdempotency-Key: {plan.run}-"
        )
        parts.append((head.encode(), b"\r\n\r\n" + body.encode()))
    for number, (head_part, tail) in enumerate(itertools.cycle(parts)):
        yield b"%b%08d%b" % (head_part, number, tail)


def is_whole(answer: bytes) -> bool:
    """Whether an answer with a `Content-Length` has come to its end."""
    end = answer.find(END_OF_HEAD)
    if end < 0:
        return False
    at = answer.find(LENGTH)
    if at < 0 or at > end:
        at = answer[:end].lower().find(LENGTH)
        if at < 0:
            raise ConnectionError(f"an answer without a length: {answer[:200]!r}")
    length = int(answer[at + len(LENGTH) : answer.find(b"\r", at)])
    return len(answer) >= end + 4 + length


def drive(plan: Plan) -> Result:
    """Carry out a plan. `ConnectionError` when the server hangs up or falls silent."""
    clients = [socket.create_connection(("127.0.0.1", plan.port)) for _ in range(plan.clients)]
    try:
        return _drive(plan, {client.fileno(): client for client in clients})
    finally:
        for client in clients:
            client.close()


def _drive(plan: Plan, clients: dict[int, socket.socket]) -> Result:
    poll = select.epoll()
    for fd, client in clients.items():
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setblocking(False)
        poll.register(fd, select.EPOLLIN)
    receive = {fd: client.recv for fd, client in clients.items()}
    send = {fd: client.send for fd, client in clients.items()}
    requests = itertools.islice(requests_of(plan), plan.count or None)
    clock = time.perf_counter
    answers: list[tuple[float, float, bytes]] = []
    partial: dict[int, bytes] = {}
    sent_at: dict[int, float] = {}
    sample = b""
    cpu_from, begin = time.process_time(), clock()
    deadline = begin + (plan.seconds or UNLIMITED_S)
    for (fd, transmit), request in zip(send.items(), requests, strict=False):
        sent_at[fd] = clock()
        transmit(request)
    while sent_at:
        ready = poll.poll(DRAIN_S)
        if not ready:
            raise ConnectionError(f"no answer for {DRAIN_S:g} s to {len(sent_at)} requests")
        for fd, _ in ready:
            answer = receive[fd](65536)
            if not answer:
                raise ConnectionError("the server closed a connection")
            if fd in partial:
                answer = partial.pop(fd) + answer
            if not is_whole(answer):
                partial[fd] = answer
                continue
            now = clock()
            answers.append((now, now - sent_at.pop(fd), answer[9:12]))
            sample = sample or answer
            if now < deadline and (request := next(requests, b"")):
                sent_at[fd] = clock()
                send[fd](request)
    cpu_s, took_s = time.process_time() - cpu_from, clock() - begin
    end = deadline if plan.seconds else answers[-1][0]
    return _result(answers, begin + plan.warm_s, end, (cpu_s, took_s), sample.decode("latin-1"))


def _result(
    answers: list[tuple[float, float, bytes]], begin: float, end: float, spent: tuple[float, float], sample: str
) -> Result:
    """What the answers (time, latency, status) between two moments come to; `spent` is processor and wall time."""
    counted = [(latency, status) for at, latency, status in answers if begin <= at <= end]
    latencies = sorted(latency for latency, _ in counted)
    return Result(
        wall_s=end - begin,
        total=len(answers),
        cpu_s=spent[0],
        busy=spent[0] / spent[1],
        statuses=dict(Counter(status.decode() for _, status in counted)),
        p50_ms=_quantile(latencies, 0.50),
        p99_ms=_quantile(latencies, 0.99),
        max_ms=_quantile(latencies, 1.0),
        sample=sample,
    )


def _quantile(ordered: list[float], share: float) -> float:
    """Milliseconds; 0 of nothing."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 if ordered else 0.0


def main() -> None:
    """One plan in, one result out."""
    plan = Plan(**json.load(sys.stdin))
    json.dump(asdict(drive(plan)), sys.stdout)


if __name__ == "__main__":
    main()
