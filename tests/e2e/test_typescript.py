"""The TypeScript client against the running suite: its own tests, by node; its types, where a compiler is there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from tests.docs.markdown import ROOT
from tests.e2e.suite import Suite

CLIENT = ROOT / "clients" / "typescript"
NODE_AT_LEAST = 20
TIMEOUT_S = 150


def node() -> str:
    """The interpreter; the test is skipped where there is none that is new enough."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed: the TypeScript client is unproven here")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    major = re.match(r"v(\d+)", version)
    if major is None or int(major[1]) < NODE_AT_LEAST:
        pytest.skip(f"node {NODE_AT_LEAST} is needed for the TypeScript client, {version.strip()} is here")
    return found


def test_the_client_does_what_its_tests_say(suite: Suite) -> None:
    token = suite.token("coins", "service", sub="typescript")
    done = subprocess.run(
        [node(), "--test", "--test-reporter=spec", "test/"],
        cwd=CLIENT,
        env={**os.environ, "TALLYSTICK_URL": suite.url, "TALLYSTICK_TOKEN": token},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"pass (\d+)", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 11


def test_its_types_fit_their_use() -> None:
    compiler = CLIENT / "node_modules" / ".bin" / "tsc"
    if not compiler.exists():
        pytest.skip("the TypeScript compiler is not installed: `npm ci` in clients/typescript")
    done = subprocess.run(
        [node(), compiler.resolve(), "-p", "."],
        cwd=CLIENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout
