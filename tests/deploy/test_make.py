"""What a person types first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy import setup_venv
from tests.deploy.compose import ROOT


def test_make_alone_lists_every_target_with_what_it_does() -> None:
    done = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("help", "run", "test", "check", "bench", "lock", "clean"):
        assert any(line.startswith(f"  {target} ") and len(line) > 20 for line in done.stdout.splitlines()), target


def test_ci_runs_what_developers_run() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
    assert script.read_text().rstrip().endswith("exec make test")


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_locks_are_hashed_and_name_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert "--index" not in text
    packages = [block for block in text.split("\n") if block and not block.startswith((" ", "#"))]
    assert all(block.endswith("\\") for block in packages), "a package without a hash"


def test_both_locks_agree_on_versions() -> None:
    runtime, development = (
        {line.split(" ")[0] for line in (ROOT / lock).read_text().splitlines() if "==" in line}
        for lock in ("requirements.lock", "requirements-dev.lock")
    )
    assert runtime <= development


class Place:
    """A project of a temporary folder for ``setup_venv``, in which nothing is really installed."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.installed: list[str] = []
        for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
            (root / name).write_text("first")
        monkeypatch.setattr(setup_venv, "ROOT", root)
        monkeypatch.setattr(setup_venv, "VENV", root / ".venv")
        monkeypatch.setattr(setup_venv, "PYTHON", root / ".venv" / "bin" / "python")
        monkeypatch.setattr(setup_venv, "STAMPS", root / ".venv" / "locks")
        monkeypatch.setattr(setup_venv, "PROJECTS", (root,))
        monkeypatch.setattr(setup_venv, "make_venv", self.make_venv)
        monkeypatch.setattr(setup_venv, "install", lambda lock: self.installed.append(lock.name))
        self.monkeypatch = monkeypatch

    def make_venv(self) -> None:
        (self.root / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
        (self.root / ".venv" / "bin" / "python").touch()

    def set_up(self, lock: str) -> list[str]:
        """What was installed by a call with this lock."""
        self.installed.clear()
        self.monkeypatch.setattr(sys, "argv", ["setup_venv.py", lock])
        setup_venv.main()
        return list(self.installed)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_a_lock_is_installed_once_until_it_changes(place: Place) -> None:
    assert place.set_up("requirements.lock") == ["requirements.lock"]
    assert place.set_up("requirements.lock") == []
    (place.root / "requirements.lock").write_text("second")
    assert place.set_up("requirements.lock") == ["requirements.lock"]


def test_the_development_lock_serves_for_running(place: Place) -> None:
    assert place.set_up("requirements-dev.lock") == ["requirements-dev.lock"]
    assert place.set_up("requirements.lock") == []


def test_an_interrupted_installation_is_done_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(setup_venv, "install", interrupted)
        with pytest.raises(KeyboardInterrupt):
            place.set_up("requirements.lock")
    assert place.set_up("requirements.lock") == ["requirements.lock"]


def test_an_old_python_is_told_what_to_do(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    with pytest.raises(SystemExit, match=r"Python 3\.11 or newer .* PYTHON=python3\.12"):
        place.set_up("requirements.lock")
