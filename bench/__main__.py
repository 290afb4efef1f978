"""`python -m bench`: measure, print a table with ratios, and say which targets were met. Always ends with 0."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from bench import doors, http, kafka, meter, quotes, reset, size, startup, streams, truth, wrk
from bench.machine import resident_mb, watched
from bench.pgbench import DATABASE, Postgres
from bench.report import Report, Target
from bench.rounds import Sample, Side, cost_ratio, ratio, take_turns
from bench.world import ACCOUNTS, ROOT, Ledger, World

SHOWN = 64
"""Lines of a profile that are printed; all are in its file."""
PARTS = ("http", "kafka", "doors", "quotes", "streams", "relay", "meter", "start", "size", "truth", "reset")
PGBENCH_SPREAD = "pgbench, 64 clients, spread"
PGBENCH_HOT = "pgbench, 64 clients, hot"
GRANTS = "HTTP grants, 64 clients, spread"
TRIVIAL = "generator on a trivial server, 64 clients"
TRUTH = "truth"
LONG = ("streams", "start", "size", "truth", "reset")
"""Parts whose figures are single ones, told with how busy the machine was."""
BARE = "bare limit: 256 events a transaction"


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """What was asked for; ends the process with 2 for what cannot be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, nothing of a million")
    parser.add_argument("--only", metavar="PART,…", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, help="how often each side is measured (default 5; quick: 3)")
    parser.add_argument("--seconds", type=float, help="how long a round lasts (default 4; quick: 2)")
    parser.add_argument("--accounts", type=int, default=ACCOUNTS, help=f"spread over so many (default {ACCOUNTS:,})")
    parser.add_argument(
        "--reset-accounts",
        type=int,
        default=reset.ACCOUNTS,
        help=f"whose month ends (default {reset.ACCOUNTS:,})",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    parser.add_argument(
        "--profile", type=Path, metavar="OUT", help="run the ledger under a sampling profiler; no comparisons"
    )
    parser.add_argument(
        "--data", type=Path, default=ROOT / ".cache" / "bench", help="where to put the databases (default .cache/bench)"
    )
    options = parser.parse_args(arguments)
    usual = PARTS[:2] if options.quick else PARTS
    options.parts = set(options.only.split(",") if options.only else usual)
    if unknown := options.parts - set(PARTS):
        parser.error(f"--only: no such part: {', '.join(sorted(unknown))}")
    options.profile = options.profile and options.profile.resolve()
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.seconds = options.seconds or (2.0 if options.quick else 4.0)
    return options


def tell(line: str) -> None:
    """A line of progress."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")


def profile(world: World, options: argparse.Namespace) -> None:
    """Spread and hot charges with 64 clients and by Kafka, each with a profile of its own."""
    ledger = world.ledger()
    ledger.configure()
    tell("funding the accounts")
    http.fund(ledger)
    world.settle(ledger.database)
    sides = http.sides(ledger, options.seconds, (http.MOST,)) if "http" in options.parts else []
    sides += kafka.sides(world, ledger) if "kafka" in options.parts else []
    if "doors" in options.parts:
        sides += doors.sides(ledger, world.token("service"), options.seconds, world.run_name)
    for side in sides:
        ledger.cut_profile()
        tell(side.name)
        before = ledger.counters()
        sample = side.run()
        told = http.batches(before, ledger.counters())
        written = ledger.cut_profile()
        cost = " + ".join(f"{us:.0f} {name}" for name, us in sample.cost_us.items())
        p99 = "" if sample.p99_ms is None else f", p99 {sample.p99_ms:.1f} ms"
        print(f"\n{side.name}: {sample.per_s:,.0f}/s under the profiler{p99}")
        print(f"{told}; µs of processor time each: {cost}; {written}\n")
        print("\n".join(written.read_text().splitlines()[:SHOWN]))


def funded(world: World, report: Report) -> Ledger:
    """The ledger that most is measured on, its accounts funded, its database and pgbench's in a steady state."""
    ledger = world.ledger()
    if GRANTS not in report.series:
        ledger.configure()
        report.series |= take_turns([Side(GRANTS, lambda: http.fund(ledger))], 1, tell)
        world.settle(ledger.database, DATABASE)
    return ledger


def http_part(world: World, postgres: Postgres, options: argparse.Namespace, report: Report) -> None:
    """Charges by HTTP in turns with pgbench; grants; the generator's headroom."""
    seconds = options.seconds
    ledger = funded(world, report)
    spread, hot = http.spread_name(), http.hot_name()
    *few, most_spread, most_hot = http.sides(ledger, seconds)
    sides = [
        *few,
        most_spread,
        Side(PGBENCH_SPREAD, lambda: postgres.charge(hot=False, seconds=seconds)),
        most_hot,
        Side(PGBENCH_HOT, lambda: postgres.charge(hot=True, seconds=seconds)),
        *wrk.sides(world, ledger, seconds),
    ]
    found = take_turns(sides, options.rounds, tell)
    report.series |= found
    report.series |= take_turns([Side(TRIVIAL, lambda: http.headroom(ledger, seconds))], 1, tell)
    report.targets += [
        Target("HTTP spread / pgbench spread", ratio(found[spread], found[PGBENCH_SPREAD]), 0.8, 1.2),
        Target("the same per processor time", cost_ratio(found[spread], found[PGBENCH_SPREAD]), None, None),
        Target("HTTP hot / HTTP spread", ratio(found[hot], found[spread]), 0.9, None),
        Target("HTTP hot / pgbench hot", ratio(found[hot], found[PGBENCH_HOT]), None, 1.0),
        Target("p99 with 64 clients, spread", found[spread].p99_ms or 0.0, None, 25.0, " ms", lower_is_better=True),
        Target("generator alone / HTTP spread", report.series[TRIVIAL].per_s / found[spread].per_s, 2.0, None),
    ]


def relay_part(world: World, options: argparse.Namespace, report: Report) -> None:
    """The same charges while the relay publishes them to Kafka, as it does in operation."""
    ledger = funded(world, report)
    tell("the relay publishes what there is")
    backlog, took_s = ledger.start_relay()
    ledger.stop_relay()
    report.facts.append(("the relay, from its start", f"{backlog:,} events published in {took_s:.1f} s"))
    (without, _) = http.sides(ledger, options.seconds, (http.MOST,))

    def run() -> Sample:
        ledger.start_relay()
        try:
            return without.run()
        finally:
            ledger.stop_relay()

    beside = Side(f"{without.name}, relay running", run)
    found = take_turns([without, beside], options.rounds, tell)
    report.series[beside.name] = found[beside.name]
    report.targets.append(
        Target("HTTP with the relay / without", ratio(found[beside.name], found[without.name]), None, None)
    )


def kafka_part(world: World, postgres: Postgres, options: argparse.Namespace, report: Report) -> None:
    """Charges by Kafka in turns with the bare limit."""
    ledger = funded(world, report)
    sides = kafka.sides(world, ledger, 0.5 if options.quick else 1.0)
    sides.append(Side(BARE, lambda: postgres.bare(options.seconds)))
    found = take_turns(sides, options.rounds, tell)
    report.series |= found
    report.targets += [
        Target("Kafka spread / bare limit", ratio(found[kafka.SPREAD], found[BARE]), 0.25, 0.5),
        Target("Kafka hot / Kafka spread", ratio(found[kafka.KAFKA_HOT], found[kafka.SPREAD]), None, None),
    ]


def doors_part(world: World, postgres: Postgres, options: argparse.Namespace, report: Report) -> None:
    """Batches and a gRPC stream in turns with the bare limit."""
    ledger = funded(world, report)
    sides = doors.sides(ledger, world.token("service"), options.seconds, world.run_name)
    sides.append(Side(BARE, lambda: postgres.bare(options.seconds)))
    found = take_turns(sides, options.rounds, tell)
    report.series |= found
    report.targets += [
        Target("batches / bare limit", ratio(found[doors.BATCHES], found[BARE]), 0.1, 0.3),
        Target("gRPC stream / bare limit", ratio(found[doors.STREAM], found[BARE]), 0.1, 0.3),
        Target("gRPC stream / batches", ratio(found[doors.STREAM], found[doors.BATCHES]), 0.9, None),
        Target("gRPC one by one / bare limit", ratio(found[doors.SINGLES], found[BARE]), None, None),
    ]


def quotes_part(world: World, options: argparse.Namespace, report: Report) -> None:
    """Quotes in turns with charges."""
    ledger = funded(world, report)
    charges, _ = http.sides(ledger, options.seconds, (http.MOST,))
    found = take_turns([quotes.side(ledger, options.seconds), charges], options.rounds, tell)
    report.series |= found
    report.targets.append(Target("quotes / HTTP spread", ratio(found[quotes.QUOTES], found[charges.name]), None, None))


def meter_part(world: World, report: Report) -> None:
    """What the metering proxy adds to the first token."""
    ledger = world.ledger("meter")
    found = meter.measure(world, ledger, tell)
    direct, through = median(found.direct_ms), median(found.through_ms)
    report.facts.append(("first token, median", f"{direct:.1f} ms directly, {through:.1f} ms through the proxy"))
    added = found.added_ms(0.99)
    report.targets.append(Target("p99 added to the first token", added, None, 10.0, " ms", lower_is_better=True))
    ledger.stop()


def streams_part(world: World, report: Report) -> None:
    """An event on its way to a thousand readers."""
    ledger = funded(world, report)
    tell(f"{streams.LISTENERS:,} readers listen")
    told = streams.measure(ledger, world.token("admin"), world.token("service"), world.run_name())
    report.facts += [
        (
            f"from a charge's answer to the last of {told.listeners:,} readers",
            f"{told.last_ms:.0f} ms, 95th percentile {told.last_p95_ms:.0f} ms",
        ),
        (f"events told to {told.listeners:,} readers", f"{told.per_s:,.0f}/s altogether"),
    ]


def start_part(world: World, options: argparse.Namespace, report: Report) -> None:
    """The suite as `make run` starts it, once its environment is there: on nothing, and on its own data."""
    tell("the suite starts")
    first_s, later_s = startup.measure(world.data / "suite", options.rounds)
    report.facts.append(("the suite serves, from an empty directory, after", f"{first_s:.1f} s"))
    report.targets.append(
        Target("the suite serves again after", median(later_s), 5.0, None, " s", lower_is_better=True)
    )


def size_part(world: World, report: Report) -> None:
    """A ledger with a million accounts."""
    tell(f"making {size.ACCOUNTS:,} accounts")
    ledger = size.prepare(world)
    started_s, before_mb = size.start(ledger)
    side = size.charges(ledger)
    report.series |= take_turns([side], 1, tell)
    after_mb = resident_mb(ledger.pid)
    each_kb = (after_mb - before_mb) * 1024 / size.TOUCHED
    report.facts += [
        (f"start with {size.ACCOUNTS:,} accounts", f"{started_s:.2f} s until ready, then {before_mb:.0f} MB"),
        (f"after a charge to {size.TOUCHED:,} of them", f"{after_mb:.0f} MB, {each_kb:.1f} kB for each in memory"),
    ]
    ledger.stop()


def truth_part(world: World, report: Report) -> None:
    """Verify, rebuild and decide again a log of a million events."""
    owner = world.database(TRUTH)
    found = truth.measure(owner, world.postgres.dsn(TRUTH, TRUTH), TRUTH, tell)
    report.facts += [
        ("verify", _of_events(found.events, found.verify_s, found.jobs)),
        ("rebuild and compare", _of_events(found.events, found.rebuild_s, found.jobs)),
        ("what-if", _of_events(found.events, found.what_if_s, found.jobs)),
    ]


def reset_part(world: World, options: argparse.Namespace, report: Report) -> None:
    """The monthly reset of many accounts, and live charges meanwhile."""
    report.facts.append(("monthly reset", str(reset.measure(world, options.reset_accounts, tell))))


def _of_events(events: int, took_s: float, jobs: int) -> str:
    return f"{events:,} events in {took_s:.1f} s ({events / took_s:,.0f}/s), {jobs} processes"


def main() -> None:
    """Everything that was asked for, one part after the other."""
    options = parsed(sys.argv[1:])
    report = Report()
    with World(options.data, options.profile, options.accounts) as world:
        if options.profile is not None:
            profile(world, options)
            return
        postgres = Postgres(world)
        parts: dict[str, Callable[[], None]] = {
            "http": lambda: http_part(world, postgres, options, report),
            "kafka": lambda: kafka_part(world, postgres, options, report),
            "doors": lambda: doors_part(world, postgres, options, report),
            "quotes": lambda: quotes_part(world, options, report),
            "streams": lambda: streams_part(world, report),
            "relay": lambda: relay_part(world, options, report),
            "meter": lambda: meter_part(world, report),
            "start": lambda: start_part(world, options, report),
            "size": lambda: size_part(world, report),
            "truth": lambda: truth_part(world, report),
            "reset": lambda: reset_part(world, options, report),
        }
        for name, measure in parts.items():
            if name not in options.parts:
                continue
            try:
                with watched() as usage:
                    measure()
                if name in LONG and usage.others is not None:
                    report.facts.append((f"taken by others during “{name}”", f"{usage.others:.0%} of the machine"))
            except Exception as error:  # The other parts are still worth having.
                report.failed(name, error)
    report.print()
    if options.json:
        report.write(options.json)


if __name__ == "__main__":
    main()
