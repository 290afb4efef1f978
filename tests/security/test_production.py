"""Nothing that is made for development and tests starts where TALLYSTICK_ENV says production."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.embedded.broker import EmbeddedBroker
from deploy.embedded.ports import free_port
from deploy.embedded.postgres import PostgresServer
from deploy.embedded.supervisor import Supervisor
from libs.service.keys import ensure_keys
from libs.service.settings import load_settings
from services.ledger.settings import LedgerSettings

STARTS: dict[str, Callable[[Path], object]] = {
    "postgres": lambda data: PostgresServer(data / "postgres", free_port()).start(),
    "broker": lambda _data: EmbeddedBroker({"a": 1}).start(),
    "supervisor": lambda data: Supervisor(data, 9000).run(),
}


@pytest.mark.parametrize("env", ["production", "Production", "prod", "staging"])
@pytest.mark.parametrize("what", sorted(STARTS))
def test_a_part_refuses(what: str, env: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_ENV", env)
    with pytest.raises(SystemExit) as refused:
        STARTS[what](tmp_path)
    assert f"TALLYSTICK_ENV={env}" in str(refused.value)
    assert list(tmp_path.iterdir()) == [], "nothing was left"


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "deploy.embedded.broker", "--file", "{data}/broker.json", "--topic", "a:1"],
        [sys.executable, "-c", "from libs.service.cli import main; main()", "up"],
    ],
    ids=["broker", "up"],
)
def test_a_process_refuses(command: list[str], tmp_path: Path) -> None:
    environment = {**os.environ, "TALLYSTICK_ENV": "production", "TALLYSTICK_DATA": str(tmp_path / "data")}
    filled = [part.replace("{data}", str(tmp_path)) for part in command]
    done = subprocess.run(filled, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "does not start with TALLYSTICK_ENV=production" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_ledger_takes_nothing_of_a_trial_into_production(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ensure_keys(tmp_path / "keys", tmp_path / "keys" / "jwks.json")
    good = {
        "TALLYSTICK_ENV": "production",
        "TALLYSTICK_DATA": str(tmp_path),
        "TALLYSTICK_KAFKA": "kafka:9092",
        "TALLYSTICK_LEDGER_DSN": "postgresql://ledger:secret@db/ledger",
    }
    for name, value in good.items():
        monkeypatch.setenv(name, value)
    assert load_settings(LedgerSettings).env == "production"
    for name, value in (
        ("TALLYSTICK_FAILPOINTS", "append.committed=kill"),
        ("TALLYSTICK_KAFKA", "file:/somewhere/broker.json"),
    ):
        with monkeypatch.context() as changed:
            changed.setenv(name, value)
            with pytest.raises(SystemExit):
                load_settings(LedgerSettings)
        said = capsys.readouterr().err
        assert "TALLYSTICK_ENV=production" in said
        assert "secret" not in said
