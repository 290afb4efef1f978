"""`python -m tests.sim`: so many seeds, or as many as there is time for, on several cores; a failing seed is shown.

One line sums the trial up, and `build/reliability/sim.json` holds its figures.
"""

from __future__ import annotations

import argparse
import gc
import logging
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.reliability import spread, write_report
from tests.sim.world import Outcome, simulate

CHUNK = 20
SHOWN = 400
"""Lines of a failing seed's trace that are printed, the last ones."""


@dataclass
class Summary:
    """What a trial came to."""

    seeds: int = 0
    first: int = 0
    failing: dict[int, list[str]] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)
    converged_ms: list[int] = field(default_factory=list)
    seconds: float = 0.0
    virtual_s: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """One more run."""
        self.seeds += 1
        self.virtual_s += outcome.virtual_s
        counts = dict(outcome.counts)
        self.converged_ms.append(counts.pop("converged_ms", 0))
        self.totals.update(counts)
        self.totals["steps"] += outcome.steps
        if outcome.violations:
            self.failing[outcome.seed] = outcome.violations
            print(
                f"seed {outcome.seed}: {outcome.violations[0]}\n  python -m tests.sim --seed {outcome.seed}", flush=True
            )

    def figures(self) -> dict[str, Any]:
        """For the report."""
        return {
            "seeds": self.seeds,
            "first_seed": self.first,
            "violating_seeds": {str(seed): found for seed, found in self.failing.items()},
            "seconds": round(self.seconds, 1),
            "virtual_hours": round(self.virtual_s / 3600, 1),
            "converged": spread([ms / 1000 for ms in self.converged_ms]),
            **dict(sorted(self.totals.items())),
        }

    def line(self) -> str:
        """In one line."""
        return (
            f"sim: {self.seeds} seeds from {self.first}, {len(self.failing)} with violations; "
            f"{self.totals['commands']} commands, {self.totals['events']} events, {self.totals['faults']} faults, "
            f"{self.totals['takeovers']} takeovers in {self.virtual_s / 3600:.1f} virtual hours; {self.seconds:.0f} s"
        )


def _run(seeds: Sequence[int]) -> list[Outcome]:
    """A chunk, after which alone garbage is collected: that is a seventh of the time."""
    outcomes = []
    gc.disable()
    for seed in seeds:
        outcome = simulate(seed)
        outcome.trace.clear()
        outcomes.append(outcome)
    gc.enable()
    gc.collect()
    return outcomes


def _chunks(first: int, seeds: int, until: float) -> Iterator[range]:
    """Ranges of seeds: so many, or until the time is over."""
    start = first
    while time.monotonic() < until and (not seeds or start < first + seeds):
        end = min(start + CHUNK, first + seeds) if seeds else start + CHUNK
        yield range(start, end)
        start = end


def trial(first: int, seeds: int, minutes: float, jobs: int) -> Summary:
    """Run `seeds` seeds from `first` on, or with `minutes` as many as that."""
    summary = Summary(first=first)
    began = time.monotonic()
    until = began + minutes * 60 if minutes else float("inf")
    chunks = _chunks(first, 0 if minutes else seeds, until)
    if jobs == 1:
        for chunk in chunks:
            for outcome in _run(chunk):
                summary.add(outcome)
    else:
        with multiprocessing.get_context("spawn").Pool(jobs) as pool:
            pending = [pool.apply_async(_run, (chunk,)) for _, chunk in zip(range(2 * jobs), chunks, strict=False)]
            while pending:
                for outcome in pending.pop(0).get():
                    summary.add(outcome)
                following = next(chunks, None)
                if following is not None:
                    pending.append(pool.apply_async(_run, (following,)))
    summary.seconds = time.monotonic() - began
    return summary


def show(outcome: Outcome) -> str:
    """A run as text: its trace, and what was wrong."""
    lines = [" ".join(str(fact) for fact in line) for line in outcome.trace[-SHOWN:]]
    wrong = [f"  {violation}" for violation in outcome.violations]
    return "\n".join([*lines, f"seed {outcome.seed}: {len(wrong)} violations, digest {outcome.digest}", *wrong])


def main() -> int:
    """The command; 1 if any seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--minutes", type=float, default=0.0, help="as many seeds as there is time for")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--seed", type=int, help="one seed, with its trace and what the processes log")
    asked = parser.parse_args()
    if asked.seed is not None:
        logging.basicConfig(level=logging.INFO, format="    %(message)s", stream=sys.stdout)
        outcome = simulate(asked.seed, quiet=False)
        print(show(outcome))
        return 1 if outcome.violations else 0
    summary = trial(asked.first, asked.seeds, asked.minutes, asked.jobs)
    write_report("sim", summary.figures())
    if summary.failing:
        print(show(simulate(next(iter(summary.failing)))))
    print(summary.line())
    return 1 if summary.failing else 0
