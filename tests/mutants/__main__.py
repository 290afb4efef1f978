"""`python -m tests.mutants`: change the rules and the append in small ways, one at a time, and see which tests notice.

mutmut makes the changes and runs the tests, by the settings in `setup.cfg`, in a copy below `build/`. Prints how many
mutants were killed, survived, or are known to change nothing (`equivalent.py`), and writes
`build/reliability/mutants.json`. The exit status is 1 when one survives. `--fraction 0.1 --seed 7` tries a tenth of
them, always the same.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from tests.mutants.equivalent import reason_for
from tests.reliability import write_report

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "build" / "mutants"
NEEDED = ("services", "libs", "deploy", "tests", "conftest.py", "pyproject.toml", "setup.cfg")
MUTMUT = Path(sys.executable).with_name("mutmut")
POLITE = 10
"""Niceness: a run takes long, and nobody waits for it."""
NOTHING_CHOSEN = "no.such.mutant"
KILLED = frozenset({"killed", "timeout", "caught by type check", "segfault"})


def _mutmut(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MUTMUT, *arguments],
        cwd=PLACE,
        text=True,
        capture_output=True,
        check=False,
        preexec_fn=lambda: os.nice(POLITE),
    )


def prepare() -> None:
    """A folder that looks like the project, in which mutmut makes its copy."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    for name in NEEDED:
        (PLACE / name).symlink_to(ROOT / name)


def states() -> dict[str, str]:
    """Every mutant and what is known of it."""
    lines = (line.strip().rpartition(": ") for line in _mutmut("results", "--all", "true").stdout.splitlines())
    return {name: state for name, _, state in lines if name}


def change_of(mutant: str) -> tuple[str, str]:
    """What a mutant takes out and puts in, as text on one line each."""
    lines = [
        line
        for line in _mutmut("show", mutant).stdout.splitlines()
        if line[:1] in "+-" and line[:3] not in ("+++", "---")
    ]
    taken, put = (" ".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    return taken, put


def run(fraction: float, seed: int, jobs: int, only: Sequence[str]) -> dict[str, str]:
    """Try mutants: those that match `only`, or all, and of these a part, always the same for a seed. Their states.

    Raises RuntimeError when mutmut itself fails, as when tests fail without any change.
    """
    # A first call makes the mutants and finds out which tests reach them, so that there is something to choose from.
    first = _mutmut("run", NOTHING_CHOSEN)
    every = states()
    if not every or "Filtered for specific mutants" not in first.stdout + first.stderr:
        raise RuntimeError(f"mutmut made no mutants:\n{first.stdout[-3000:]}\n{first.stderr[-3000:]}")
    names = sorted(name for name in every if not only or any(fnmatch(name, pattern) for pattern in only))
    if fraction < 1:
        names = sorted(random.Random(seed).sample(names, max(1, round(len(names) * fraction))))  # noqa: S311
    done = _mutmut("run", f"--max-children={jobs}", *names)
    if done.returncode:
        raise RuntimeError(f"mutmut failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return {name: state for name, state in states().items() if state != "not checked"}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="Whether the tests notice mutants.")
    parser.add_argument("--fraction", type=float, default=1.0, help="the part of all mutants that is tried")
    parser.add_argument("--seed", type=int, default=1, help="which part (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="mutants tried at once (default: %(default)s)")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="these mutants; repeatable")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    prepare()
    known = run(options.fraction, options.seed, options.jobs, options.only)
    counts: Counter[str] = Counter()
    left: list[dict[str, str]] = []
    for mutant, state in known.items():
        if state in KILLED:
            counts["killed"] += 1
            continue
        taken, put = change_of(mutant)
        reason = reason_for(mutant, taken, put)
        counts["equivalent" if reason else "survived"] += 1
        left.append({"mutant": mutant, "state": state, "from": taken, "to": put, "equivalent": reason})
        if not reason:
            print(f"{state}: {mutant}\n  - {taken}\n  + {put}", flush=True)
    killed, survived, equivalent = counts["killed"], counts["survived"], counts["equivalent"]
    score = killed / max(1, killed + survived)
    if not options.only:
        report = {
            "tried": len(known),
            "killed": killed,
            "survived": survived,
            "equivalent": equivalent,
            "score": round(score, 4),
            "fraction": options.fraction,
            "seed": options.seed,
            "seconds": round(time.monotonic() - began),
            "left": left,
        }
        write_report("mutants", report)
    print(f"mutants: {killed} killed, {survived} survived, {equivalent} equivalent, score {score:.1%}")
    return 0 if not survived else 1


if __name__ == "__main__":
    sys.exit(main())
