"""A process that is kept running, and how its lines look."""

import io
import subprocess
import time

import pytest

from deploy.embedded.child import Child
from deploy.embedded.console import Console
from deploy.embedded.tests.helpers import eventually
from deploy.embedded.unit import Unit


def unit_of(*command: str) -> tuple[Unit, list[str]]:
    said: list[str] = []
    return Unit("thing", lambda: Child(command, output=subprocess.PIPE), said.append), said


def test_one_that_keeps_ending_is_started_again_after_growing_pauses() -> None:
    unit, said = unit_of("sh", "-c", "echo hello; exit 3")
    unit.start()
    eventually(lambda: unit.ends == 3)
    unit.stop()
    assert said[:4] == [
        "hello",
        "ended with code 3; starting it again in 0.5 s",
        "hello",
        "ended with code 3; starting it again in 1 s",
    ]


def test_one_that_cannot_be_started_is_tried_again() -> None:
    unit, said = unit_of("/no/such/program")
    unit.start()
    eventually(lambda: unit.ends == 2)
    unit.stop()
    assert said[0] == ("/no/such/program could not be started (No such file or directory); starting it again in 0.5 s")


def test_a_stop_during_the_pause_is_prompt_and_final() -> None:
    unit, said = unit_of("sh", "-c", "exit 3")
    unit.start()
    eventually(lambda: unit.ends == 3)
    began = time.monotonic()
    unit.stop()
    assert time.monotonic() - began < 1.0, "the next start was due 2 s later"
    assert len(said) == unit.ends == 3


def test_one_that_was_never_started_can_be_stopped() -> None:
    unit, said = unit_of("true")
    unit.stop()
    assert said == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_names_have_colours_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        console = Console(stream)
        console.line("ledger", "one")
        console.line("postgres", "two")
        console.line("ledger", "three")
    assert file.getvalue().splitlines() == ["ledger         | one", "postgres       | two", "ledger         | three"]
    first, second, third = (line.split(" ")[0] for line in terminal.getvalue().splitlines())
    assert first == third
    assert first.startswith("\x1b[")
    assert first.removesuffix("ledger") != second.removesuffix("postgres")


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    Console(terminal).error("wrong")
    assert terminal.getvalue() == "wrong\n"
