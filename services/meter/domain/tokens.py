"""How many tokens a text has, roughly: what is held and cut by until the upstream says what was used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TypeAlias

Counter: TypeAlias = Callable[[str, str], int]
"""Given a model and a text, its tokens. The whole of a prompt is counted, and each piece of an answer by itself."""

BYTES_PER_TOKEN = 4
"""Of English in today's vocabularies; other languages have fewer, and are counted by their longer UTF-8."""
MESSAGE_TOKENS = 4
"""What a message costs beside its text (OpenAI cookbook, "How to count tokens with tiktoken": 3 and a name)."""


def by_length(model: str, text: str) -> int:
    """A token for every four bytes begun. A piece of a stream with any text is thus at least one."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def total(counter: Counter, model: str, texts: Iterable[str]) -> int:
    """The tokens of several texts."""
    return sum(counter(model, text) for text in texts)


def load_counter(name: str) -> Counter:
    """The counter `package.module:function`. Raises ValueError when there is none of that name."""
    module, _, function = name.partition(":")
    try:
        counter: Counter = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"there is no counter {name!r}: {error}") from error
    return counter
