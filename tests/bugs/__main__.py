"""`python -m tests.bugs`: put each bug into the product and see whether the tests catch it.

First the tests must pass without any. Prints `caught k of k` and writes `build/reliability/bugs.json`; the exit status
is 1 when a bug survives, when a trial proves nothing, or when the tests fail by themselves.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.bugs.bug import Bug
from tests.bugs.catalogue import ALL, BY_NAME
from tests.bugs.trial import Verdict, pytest_run, try_bug
from tests.reliability import write_report

TEST_S = 120
"""How long one test may take without a bug."""


def sound(bugs: Sequence[Bug]) -> bool:
    """Whether the tests that are to catch these bugs pass on the product as it is."""
    tests = list(dict.fromkeys(test for bug in bugs for test in bug.tests))
    whole = {test for test in tests if "::" not in test}
    run = pytest_run([t for t in tests if t in whole or t.split("::")[0] not in whole], TEST_S, {}, stop_early=False)
    if run.status:
        sys.stdout.write(run.output)
    else:
        print(f"without a bug: {run.passed} tests pass", flush=True)
    return run.status == 0


def _tell(verdict: Verdict) -> None:
    said = "caught  " if verdict.caught else "SURVIVED"
    detail = verdict.problem or (verdict.by[0] if verdict.by else BY_NAME[verdict.name].wrong)
    print(f"{said} {verdict.seconds:5.1f} s  {verdict.name}: {detail}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bugs", description="Whether the tests catch seeded bugs.")
    parser.add_argument("--only", action="append", choices=sorted(BY_NAME), metavar="NAME", help="this bug; repeatable")
    parser.add_argument("--jobs", type=int, default=2, help="trials at once (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="say what there is and what it violates")
    options = parser.parse_args(arguments)
    bugs = [BY_NAME[name] for name in options.only] if options.only else list(ALL)
    if options.list:
        for bug in bugs:
            print(f"{bug.name} [{bug.violates}]: {bug.wrong}")
        return 0
    began = time.monotonic()
    if not sound(bugs):
        return 1
    verdicts: list[Verdict] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for verdict in pool.map(try_bug, bugs):
            verdicts.append(verdict)
            _tell(verdict)
    caught = sum(verdict.caught for verdict in verdicts)
    if not options.only:
        seconds = round(time.monotonic() - began, 1)
        found = [
            {**v.as_json(), "violates": BY_NAME[v.name].violates, "wrong": BY_NAME[v.name].wrong} for v in verdicts
        ]
        write_report("bugs", {"bugs": len(bugs), "caught": caught, "seconds": seconds, "trials": found})
    print(f"caught {caught} of {len(bugs)}")
    return 0 if caught == len(bugs) else 1


if __name__ == "__main__":
    sys.exit(main())
