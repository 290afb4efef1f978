"""Does what a page tells its reader to do, and compares what comes back with what the page shows.

Blocks of `sh` are run in order by bash in the repository's root, those of `python` by Python. A block of `text` behind
one is what it prints: a JSON answer with its status below, where the page may break the line and leave out members of
an object by `…`; or plain text, in which numbers may differ. Ids and times of a page stand for those that really come:
once an answer has shown what became of one, later commands use that.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.docs.markdown import ROOT, Block, blocks

TIMEOUT_S = 30
PASSING_S = 10.0
POLL_S = 0.1
_ASSIGNMENT = re.compile(r"^([A-Z_]+)=")
_ID = re.compile(r"[a-z]+_[0-9a-f]{2}[0-7][0-9A-HJKMNP-TV-Z]{25}")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z")
_NUMBER = re.compile(r"\d+(\.\d+)?")
_STATUS = re.compile(r"\n(\d{3})\s*$")
_OWN = frozenset({"request_id", "position", "version", "cursor", "next_cursor"})
"""Members whose values differ from one run to the next; that they are there is compared all the same."""
_REST = "…"


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a page and what the page says that it prints, if it does."""

    command: str
    shown: str | None
    language: str

    @property
    def reads(self) -> bool:
        """Whether it changes nothing, however often it is run."""
        return self.command.startswith("curl ") and not re.search(" -[dX] ", self.command)


@dataclass(slots=True)
class Reader:
    """Somebody who follows a page, with the variables of a shell and an eye for ids.

    `replacements` are texts of the page (addresses, programs) that stand for others here.
    """

    environment: dict[str, str]
    replacements: Mapping[str, str]
    met: dict[str, str] = field(default_factory=dict)

    def follow(self, page: str) -> int:
        """Do all that the page says; how many answers were compared."""
        compared = 0
        for step in steps(page):
            if step.shown is None:
                self._run(step)
            else:
                self._see(step, step.shown)
                compared += 1
        return compared

    def _see(self, step: Step, shown: str) -> None:
        """Run a command and compare; what only reads is repeated until it shows what was asked for in passing."""
        deadline = time.monotonic() + (PASSING_S if step.reads else 0)
        while True:
            met = dict(self.met)
            try:
                return self.compare(shown, self._run(step), step.command)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                self.met = met
                time.sleep(POLL_S)

    def _run(self, step: Step) -> str:
        command = step.command
        for shown, real in {**self.replacements, **self.met}.items():
            command = command.replace(shown, real)
        name = _ASSIGNMENT.match(command)
        script = f'{command}\nprintf %s "${name[1]}"' if name else command
        done = subprocess.run(
            [sys.executable, "-c", command] if step.language == "python" else ["bash", "-euc", script],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, f"{command}\nended with {done.returncode}:\n{done.stdout}{done.stderr}"
        if name:
            self.environment[name[1]] = done.stdout
        return done.stdout

    def compare(self, shown: str, printed: str, command: str) -> None:
        """Fail unless a command printed what the page shows."""
        status = _STATUS.search(shown)
        if status is None:
            same = _NUMBER.sub("0", shown.strip()) == _NUMBER.sub("0", printed.strip())
            assert same, f"{command}\nprinted\n{printed}\nand not\n{shown}"
            return
        real = _STATUS.search(printed)
        assert real is not None and real[1] == status[1], f"{command}\nprinted\n{printed}\nand not {status[1]}"
        wanted = json.loads(re.sub(r",\s*…\s*}", f', "{_REST}": 0}}', shown[: status.start()]))
        self._same(wanted, json.loads(printed[: real.start()]), "", f"{command}\nprinted\n{printed}\n")

    def _same(self, wanted: Any, real: Any, path: str, told: str) -> None:
        if isinstance(wanted, dict) and isinstance(real, dict):
            names = wanted.keys() - {_REST}
            complete = names <= real.keys() if _REST in wanted else names == real.keys()
            assert complete, f"{told}{path or 'the answer'} has {sorted(real)}, the page shows {sorted(names)}"
            for name in names:
                if name not in _OWN or real[name] is None:
                    self._same(wanted[name], real[name], f"{path}.{name}", told)
        elif isinstance(wanted, list) and isinstance(real, list):
            assert len(wanted) == len(real), f"{told}{path} has {len(real)} items, the page shows {len(wanted)}"
            for number, (one, other) in enumerate(zip(wanted, real, strict=True)):
                self._same(one, other, f"{path}[{number}]", told)
        elif _is_own(wanted, real):
            assert self.met.setdefault(wanted, real) == real, f"{told}{path}: {wanted} was {self.met[wanted]} before"
        else:
            assert wanted == real, f"{told}{path} is {real!r}, the page shows {wanted!r}"


def _is_own(wanted: Any, real: Any) -> bool:
    """Whether both are ids of the same word, or both are times."""
    if not isinstance(wanted, str) or not isinstance(real, str):
        return False
    if _TIME.fullmatch(wanted):
        return _TIME.fullmatch(real) is not None
    return all(_ID.fullmatch(text) for text in (wanted, real)) and wanted.partition("_")[0] == real.partition("_")[0]


def steps(page: str) -> list[Step]:
    """The commands of a page, each with the output that stands right behind it."""
    found: list[Step] = []
    before: Block | None = None
    for block in blocks(page):
        if block.language in ("sh", "python"):
            found.append(Step(block.text, None, block.language))
        elif block.language == "text" and before is not None and before.language == "sh":
            found[-1] = Step(before.text, block.text, before.language)
        before = block
    return found


def reader(data: Path, port_base: int) -> Reader:
    """Somebody at the suite that runs on `data` with ports from `port_base` on."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    environment |= {"TALLYSTICK_DATA": str(data), "TALLYSTICK_PORT_BASE": str(port_base), "COLUMNS": "200"}
    programs = Path(sys.executable).parent
    replacements = {
        ".venv/bin/": f"{programs}/",
        '".data/': f'"{data}/',
        "http://127.0.0.1:8001": f"http://127.0.0.1:{port_base + 1}",
        "http://127.0.0.1:8003": f"http://127.0.0.1:{port_base + 3}",
        '"127.0.0.1:9001"': f'"127.0.0.1:{port_base + 1001}"',
    }
    if shutil.which("curl") is None:
        stand_in = f"{sys.executable} {Path(__file__).with_name('curl.py')}"
        replacements["curl "] = f"{stand_in} "
    return Reader(environment, replacements)
