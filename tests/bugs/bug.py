"""What a seeded bug is: a change of the product's text, and the tests that must notice it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


class BugGoneError(Exception):
    """The text that a bug would change is not there any more, so the bug must be written anew."""


@dataclass(frozen=True, slots=True)
class Edit:
    """In the file at `path` (from the project's root) the text `old`, which is there `times` times, becomes `new`."""

    path: str
    old: str
    new: str
    times: int = 1

    def apply(self, text: str) -> str:
        """The changed text; :class:`BugGoneError` unless `old` is there exactly so often."""
        found = text.count(self.old)
        if found != self.times:
            raise BugGoneError(f"{self.path} has {found} times, not {self.times}: {self.old!r}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Bug:
    """One way to get it wrong.

    `violates` names invariants and crash points; `tests` are what pytest is given, and expected to fail; each of
    those tests may take `limit_s` seconds.
    """

    name: str
    wrong: str
    violates: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]
    limit_s: int = 60

    @property
    def paths(self) -> list[str]:
        """The files that it changes."""
        return list(dict.fromkeys(edit.path for edit in self.edits))

    def text(self, path: str) -> str:
        """The file at `path` as this bug has it; :class:`BugGoneError` where an edit does not apply."""
        return self.change(path, (ROOT / path).read_text(encoding="utf-8"))

    def change(self, path: str, text: str) -> str:
        """`text`, which is that of `path`, with this bug's edits."""
        for edit in self.edits:
            if edit.path == path:
                text = edit.apply(text)
        return text
