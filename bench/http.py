"""Charges and grants over HTTP, and the proof that the load generator is not what is measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.load import Plan, Result
from bench.rounds import Sample, Side
from bench.world import CHARGE, GRANT, HOT, ROOT, BenchError, Ledger, generate

CHARGES = "/v1/charges"
GRANTS = "/v1/grants"
CLIENTS = (1, 16, 64)
MOST = CLIENTS[-1]
WARM_S = 0.5
STOP_S = 10.0


def sample_of(result: Result, cost_us: dict[str, float]) -> Sample:
    """What a result says of a rate."""
    return Sample(result.statuses["201"] / result.wall_s, result.p50_ms, result.p99_ms, result.busy, cost_us)


def metered(ledger: Ledger, run: Callable[[], Result]) -> Sample:
    """A result with what it cost the ledger, PostgreSQL and the generator."""
    meter = ledger.meter()
    result = run()
    return sample_of(result, meter.each_us(result.total, result.cpu_s))


def fund(ledger: Ledger) -> Sample:
    """Give every account what it needs for all rounds; that is the measurement of grants, too."""
    users = [*ledger.users, HOT]
    return metered(ledger, lambda: ledger.load(GRANTS, GRANT, users, MOST, count=len(users)))


def charge(ledger: Ledger, users: list[str], clients: int, seconds: float) -> Result:
    """Single charges by so many clients."""
    return ledger.load(CHARGES, CHARGE, users, clients, seconds=seconds + WARM_S, warm_s=WARM_S)


def spread_name(clients: int = MOST) -> str:
    """What the side with so many clients is called."""
    return f"HTTP, {clients} client{'s' if clients > 1 else ''}, spread"


def hot_name(clients: int = MOST) -> str:
    """What the side with so many clients on one account is called."""
    return f"HTTP, {clients} client{'s' if clients > 1 else ''}, hot"


def sides(ledger: Ledger, seconds: float, clients: tuple[int, ...] = CLIENTS) -> list[Side]:
    """Charges spread over all accounts, and on one."""

    def side(name: str, users: list[str], count: int) -> Side:
        return Side(name, lambda: metered(ledger, lambda: charge(ledger, users, count, seconds)))

    return [
        made
        for count in clients
        for made in (side(spread_name(count), ledger.users, count), side(hot_name(count), [HOT], count))
    ]


def batches(before: dict[str, float], after: dict[str, float]) -> str:
    """What the writer did between two looks at its metrics."""

    def mean(name: str) -> float:
        count = after[f"{name}_count"] - before[f"{name}_count"]
        return (after[f"{name}_sum"] - before[f"{name}_sum"]) / max(count, 1.0)

    commands, append_ms = mean("ledger_batch_commands"), 1000 * mean("ledger_append_duration_seconds")
    busy_s = after["process_cpu_seconds_total"] - before["process_cpu_seconds_total"]
    return f"{commands:.0f} commands a batch, {append_ms:.1f} ms an append, {busy_s:.1f} s of its own processor time"


def headroom(ledger: Ledger, seconds: float) -> Sample:
    """The generator against a server that only repeats one of the ledger's answers."""
    answer = charge(ledger, ledger.users, 1, 0.1).sample.encode("latin-1")
    with _trivial(answer) as port:
        plan = Plan(
            port=port,
            path=CHARGES,
            token="t" * 400,
            body=CHARGE,
            users=ledger.users,
            clients=MOST,
            run="trivial",
            seconds=seconds + WARM_S,
            warm_s=WARM_S,
        )
        return sample_of(generate(plan), {})


@contextmanager
def _trivial(answer: bytes) -> Iterator[int]:
    """The port of a trivial server while the block lasts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.trivial"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(b"%d\n" % len(answer) + answer)
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise BenchError("the trivial server did not start")
        yield int(line)
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
