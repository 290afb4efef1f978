"""Texts of a catalogue with their values filled in, safe to show beside text of the other direction."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

RIGHT_TO_LEFT = frozenset({"ar", "fa"})
FIRST_STRONG_ISOLATE, POP_ISOLATE = "\u2068", "\u2069"
_STRONG_RIGHT = frozenset({"R", "AL", "AN"})


def isolate(text: str) -> str:
    """`text` in an isolate of its own (Unicode UAX #9): a code or a number neither turns nor is turned by what is
    around it.
    """
    return f"{FIRST_STRONG_ISOLATE}{text}{POP_ISOLATE}"


def fill(template: str, values: Mapping[str, str], language: str) -> str:
    """`template` with `{name}` replaced by `values[name]`, each isolated where directions could mix.

    That is every value in a text from right to left, and a value from right to left in any other. KeyError for a name
    without a value: a catalogue's test calls this with all that its texts may name.
    """
    shown = {
        name: isolate(value) if language in RIGHT_TO_LEFT or _is_right_to_left(value) else value
        for name, value in values.items()
    }
    return template.format_map(shown)


def _is_right_to_left(text: str) -> bool:
    return any(unicodedata.bidirectional(character) in _STRONG_RIGHT for character in text)
