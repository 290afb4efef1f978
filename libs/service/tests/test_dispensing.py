"""What is not installed is looked for once, and what is installed is left alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from types import ModuleType

import pytest

from libs.service.server import dispense_with


class Watching(MetaPathFinder):
    """Sees what is looked for, and finds nothing."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Somebody looks for this."""
        self.asked.append(name)


def test_a_module_that_is_not_there_is_not_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    watching, name = Watching(), "no_such_module_anywhere"
    monkeypatch.setattr(sys, "meta_path", [watching, *sys.meta_path])
    monkeypatch.delitem(sys.modules, name, raising=False)
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError):
            import_module(name)
    assert watching.asked == [name, name]
    dispense_with([name, "colorsys"])
    for _ in range(3):
        with pytest.raises(ModuleNotFoundError):
            import_module(name)
    assert watching.asked.count(name) == 3, "once more, to be sure"
    assert import_module("colorsys").rgb_to_hsv(0, 0, 0) == (0, 0, 0)
    del sys.modules[name]
