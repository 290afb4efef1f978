"""What all dialects share: what a request asks for, what a piece of its answer says, and texts wherever they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from services.meter.domain.calls import Usage

Body = Mapping[str, Any]


class InvalidBody(Exception):
    """The request cannot be metered; `param` names the field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request asks for. `limit`: tokens that one choice of the answer may have, in the field `limit_field`."""

    model: str
    texts: tuple[str, ...]
    overhead: int = 0
    """Tokens of the prompt beside its texts."""
    stream: bool = False
    choices: int = 1
    limit: int | None = None
    limit_field: str | None = None
    tells_usage: bool = False
    """Whether the caller wants to be told the usage."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one chunk of a stream says: text that was made, the usage if it tells it, and what of it is shown.

    `shown` is the chunk itself where nothing is changed, and None where nothing is left of it. `last` says that the
    answer is over with it.
    """

    texts: tuple[str, ...] = ()
    usage: Usage | None = None
    shown: Body | None = None
    last: bool = False


class Passage(ABC):
    """One streamed answer as it passes."""

    says_done: ClassVar[bool]
    """Whether `[DONE]` ends it."""

    @abstractmethod
    def take(self, chunk: Body) -> Piece:
        """What a chunk says."""

    @abstractmethod
    def ending(self, usage: Usage) -> Iterator[Body]:
        """The chunks that end it here, as an answer that has reached its length."""

    @abstractmethod
    def failing(self, code: str, message: str) -> Iterator[Body]:
        """The chunks that end it here, as one that went wrong."""


class Dialect(ABC):
    """What the requests and answers of the route `path` mean."""

    path: ClassVar[str]
    makes_tokens: ClassVar[bool] = False

    @abstractmethod
    def ask(self, body: Body) -> Ask:
        """What the request asks for. Raises :class:`InvalidBody`."""

    def prepared(self, body: Body, ask: Ask, limit: int | None, limit_field: str) -> Body:
        """The body that goes upstream, its answer bounded to `limit` tokens for each choice if that is given.

        `limit_field` is how that is said where the request itself names no limit.
        """
        return body if limit is None else {**body, ask.limit_field or limit_field: limit}

    @abstractmethod
    def usage(self, answer: Body) -> Usage | None:
        """The usage that a whole answer tells."""

    def texts(self, answer: Body) -> Iterator[str]:
        """The texts that a whole answer has, for one that does not tell its usage."""
        yield from ()


class Streaming(Dialect):
    """A dialect whose answers may also come as a stream of chunks."""

    makes_tokens = True

    @abstractmethod
    def passage(self, ask: Ask) -> Passage:
        """The answer to a request, before anything of it has come."""


def units(told: Any, prompt: str, completion: str) -> Usage | None:
    """A usage object in the ledger's units, its fields named by these two words.

    `cached` is part of `input` and `reasoning` part of `output` in both.
    """
    if not isinstance(told, Mapping):
        return None
    read, made = (told.get(f"{side}_tokens_details") or {} for side in (prompt, completion))
    counts = {
        "input": told.get(f"{prompt}_tokens"),
        "output": told.get(f"{completion}_tokens"),
        "cached": read.get("cached_tokens") if isinstance(read, Mapping) else None,
        "reasoning": made.get("reasoning_tokens") if isinstance(made, Mapping) else None,
    }
    found = {unit: count for unit, count in counts.items() if type(count) is int and count > 0}
    return found or None


def text(body: Body, name: str) -> str:
    """A field that is a text. Raises :class:`InvalidBody`."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidBody(f"'{name}' is a text that is not empty", name)
    return value


def count(body: Body, name: str, default: int) -> int:
    """A field that is a whole number of at least 1, or left out. Raises :class:`InvalidBody`."""
    value = body.get(name)
    if value is None:
        return default
    if type(value) is not int or value < 1:
        raise InvalidBody(f"'{name}' is a whole number of at least 1", name)
    return value


def strings(value: Any, skip: frozenset[str] = frozenset()) -> Iterator[str]:
    """Every text in a value, however deep. A picture's data is no text of the prompt."""
    match value:
        case str():
            if not (value.startswith("data:") and ";base64," in value[:128]):
                yield value
        case Mapping():
            for name, each in value.items():
                if name not in skip:
                    yield from strings(each, skip)
        case list():
            for each in value:
                yield from strings(each, skip)
