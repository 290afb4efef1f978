"""Putting a bug into a process: what it changes is changed as it is read, in modules and migrations alike.

`sitecustomize` in `site/` calls :func:`install` in every Python process whose environment names a bug, before anything
of the product is loaded, so that processes which tests start have it too.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.bugs.bug import ROOT, Bug

NAME = "SEEDED_BUG"
"""The bug that a process is to have."""
SEEN = "SEEDED_BUG_SEEN"
"""A file in which each changed file is noted once it was read."""


def module_name(path: str) -> str:
    """The module that a file of the project is. The client is a distribution of its own."""
    return ".".join(Path(path).with_suffix("").parts).removesuffix(".__init__").removeprefix("libs.client.")


def _note(path: str) -> None:
    if SEEN in os.environ:
        with open(os.environ[SEEN], "a", encoding="utf-8") as seen:  # noqa: PTH123
            seen.write(f"{path}\n")


class _Loader(SourceFileLoader):
    """Compiles the changed text; bytecode is neither read nor written."""

    def __init__(self, name: str, file: str, bug: Bug, path: str) -> None:
        super().__init__(name, file)
        self._bug = bug
        self._path = path

    def path_stats(self, path: Any) -> Any:
        raise OSError("there is no bytecode of a changed module")

    def get_data(self, path: Any) -> bytes:
        text = super().get_data(path).decode()
        changed = self._bug.change(self._path, text).encode()
        _note(self._path)
        return changed


class _Finder(MetaPathFinder):
    def __init__(self, bug: Bug) -> None:
        self._bug = bug
        self._paths = {module_name(path): path for path in bug.paths if path.endswith(".py")}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        changed = self._paths.get(fullname)
        if changed is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin, self._bug, changed)
        return spec


def install(bug: Bug) -> None:
    """Make this process read the product with `bug` in it. RuntimeError if it has read a part of that already."""
    early = [name for name in map(module_name, bug.paths) if name in sys.modules]
    if early:
        raise RuntimeError(f"{bug.name} comes too late: {early} are loaded")
    sys.meta_path.insert(0, _Finder(bug))
    texts = {ROOT / path: path for path in bug.paths if not path.endswith(".py")}
    if not texts:
        return
    read_text = Path.read_text

    def changed_text(self: Path, encoding: str | None = None, errors: str | None = None) -> str:
        text = read_text(self, encoding, errors)
        path = texts.get(self.resolve())
        if path is None:
            return text
        _note(path)
        return bug.change(path, text)

    Path.read_text = changed_text  # type: ignore[method-assign]
