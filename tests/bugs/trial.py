"""Trying one bug: its tests are run on a product that has it, and at least one of them must fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from tests.bugs.bug import ROOT, Bug
from tests.bugs.loading import NAME, SEEN

SITE = Path(__file__).parent / "site"
START_S = 120
"""What a run may take beside its tests: its servers have to start, on a machine that does other things too."""
TESTS_FAILED = 1
"""Pytest's exit status when tests failed, and nothing worse happened."""


@dataclass(slots=True)
class Verdict:
    """What came of a trial. `by` are the tests that failed, `problem` says why a trial proves nothing."""

    name: str
    caught: bool
    by: list[str] = field(default_factory=list)
    seconds: float = 0.0
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the report."""
        return asdict(self)


@dataclass(slots=True)
class Run:
    """One run of pytest; `status` is None when it had to be ended."""

    status: int | None
    failed: list[str]
    passed: int
    output: str


def pytest_run(tests: list[str], limit_s: int, environment: dict[str, str], *, stop_early: bool) -> Run:
    """Run these tests in a process of their own; one that takes longer than `limit_s` seconds fails."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "tests.bugs.plugin"]
        command += ["-m", "", f"--timeout={limit_s}", f"--junitxml={report}", *(["-x"] if stop_early else []), *tests]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=limit_s * len(tests) + START_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            return Run(None, [], 0, output)
        failed, passed = _read(report) if report.exists() else ([], 0)
        return Run(process.returncode, failed, passed, output)


def _read(report: Path) -> tuple[list[str], int]:
    failed, passed = [], 0
    for case in ET.parse(report).iter("testcase"):  # noqa: S314
        outcomes = {child.tag for child in case}
        if outcomes & {"failure", "error"}:
            failed.append(f"{case.get('classname')}::{case.get('name')}")
        elif "skipped" not in outcomes:
            passed += 1
    return failed, passed


def try_bug(bug: Bug) -> Verdict:
    """Whether the tests of `bug` notice it. A trial in which the bug was not read, or pytest itself failed, is none."""
    began = time.monotonic()
    with tempfile.NamedTemporaryFile(mode="r", encoding="utf-8") as seen:
        environment = {
            NAME: bug.name,
            SEEN: seen.name,
            "PYTHONPATH": os.pathsep.join(filter(None, [str(SITE), os.environ.get("PYTHONPATH")])),
        }
        run = pytest_run(list(bug.tests), bug.limit_s, environment, stop_early=True)
        unread = set(bug.paths) - set(seen.read().splitlines())
    verdict = Verdict(bug.name, caught=False, seconds=round(time.monotonic() - began, 1))
    if run.status is None:
        verdict.problem = "the tests did not end"
    elif run.status not in (0, TESTS_FAILED):
        verdict.problem = f"pytest ended with {run.status}:\n{run.output[-2000:]}"
    elif unread:
        verdict.problem = f"never read: {', '.join(sorted(unread))}"
    else:
        verdict.by = run.failed
        verdict.caught = bool(run.failed)
    return verdict
