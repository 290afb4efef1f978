"""The ledger's processes take failpoints from their setting, and none of them in production."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("env", "failpoints", "said"),
    [
        ("production", "append.sent=kill", "TALLYSTICK_FAILPOINTS is for trials"),
        ("development", "append.sent=burn", "append.sent=burn"),
    ],
)
def test_a_process_refuses_failpoints(env: str, failpoints: str, said: str) -> None:
    settings = {
        "TALLYSTICK_ENV": env,
        "TALLYSTICK_FAILPOINTS": failpoints,
        "TALLYSTICK_LEDGER_DSN": "postgresql://nobody@127.0.0.1:1/none",
        "TALLYSTICK_KAFKA": "127.0.0.1:1",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    ended = subprocess.run(
        [sys.executable, "-m", "services.ledger", "relay"],
        env=inherited | settings,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 2
    assert said in ended.stderr
