"""What the routes of the OpenAI API say: what a request asks for, and what the pieces of its answer mean.

Sources: https://platform.openai.com/docs/api-reference/chat (create, object, streaming), …/completions, …/embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from services.meter.domain.calls import Usage
from services.meter.domain.tokens import MESSAGE_TOKENS

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
    """Whether the caller wants the last chunk, that of the usage."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one chunk of a stream says: text that was made, and the usage if it is the one that tells it."""

    texts: tuple[str, ...] = ()
    usage: Usage | None = None


class Dialect:
    """The route `path`. This one is `/v1/embeddings`, whose answers have no tokens."""

    path: ClassVar[str] = "/v1/embeddings"
    makes_tokens: ClassVar[bool] = False

    def ask(self, body: Body) -> Ask:
        """What the request asks for. Raises :class:`InvalidBody`."""
        given = body.get("input")
        # The input may also be tokens, as numbers, or a list of such lists.
        tokens = sum(1 for each in _flat(given) if type(each) is int)
        return Ask(_text(body, "model"), tuple(strings(given)), overhead=tokens)

    def prepared(self, body: Body, ask: Ask, limit: int | None, limit_field: str) -> Body:
        """The body that goes upstream, its answer bounded to `limit` tokens for each choice if that is given."""
        return body

    def usage(self, answer: Body) -> Usage | None:
        """The usage that a whole answer tells."""
        return usage_of(answer.get("usage"))


class Completions(Dialect):
    """`/v1/completions`: text for text."""

    path = "/v1/completions"
    makes_tokens = True
    limit_fields: ClassVar[tuple[str, ...]] = ("max_tokens",)
    chunk: ClassVar[str] = "text_completion"

    def ask(self, body: Body) -> Ask:
        """What the request asks for. Raises :class:`InvalidBody`."""
        field = next((name for name in self.limit_fields if body.get(name) is not None), None)
        options = body.get("stream_options")
        return Ask(
            _text(body, "model"),
            tuple(self._prompt(body)),
            overhead=MESSAGE_TOKENS * len(body["messages"]) if isinstance(body.get("messages"), list) else 0,
            stream=body.get("stream") is True,
            choices=max(_count(body, "n", 1), _count(body, "best_of", 1)),
            limit=None if field is None else _count(body, field, 1),
            limit_field=field,
            tells_usage=isinstance(options, Mapping) and options.get("include_usage") is True,
        )

    def _prompt(self, body: Body) -> Iterator[str]:
        yield from strings(body.get("prompt"))
        yield from strings(body.get("suffix"))

    def prepared(self, body: Body, ask: Ask, limit: int | None, limit_field: str) -> Body:
        """The body that goes upstream: its stream tells the usage at the end, its answer has at most `limit` tokens."""
        sent = dict(body)
        if ask.stream:
            options = body.get("stream_options")
            sent["stream_options"] = {**(options if isinstance(options, Mapping) else {}), "include_usage": True}
        if limit is not None:
            sent[ask.limit_field or limit_field] = limit
        return sent

    def piece(self, chunk: Body) -> Piece:
        """What a chunk says."""
        choices = chunk.get("choices")
        found = choices if isinstance(choices, list) else []
        texts = tuple(text for choice in found if isinstance(choice, Mapping) for text in self._made(choice) if text)
        return Piece(texts, usage_of(chunk.get("usage")))

    def _made(self, choice: Body) -> Iterator[str]:
        yield from strings(choice.get("text"))

    def shown(self, chunk: Body, ask: Ask) -> Body | None:
        """The chunk as the caller asked for it: without the usage if it did not; None when nothing is left of it.

        The same object when nothing is to be changed.
        """
        if ask.tells_usage or "usage" not in chunk:
            return chunk
        if not chunk.get("choices"):
            return None
        return {name: value for name, value in chunk.items() if name != "usage"}

    def ending(self, last: Body, ask: Ask, usage: Usage) -> Iterator[Body]:
        """The chunks that end a stream early, as an answer that has reached its length."""
        head = {name: last[name] for name in ("id", "created", "model", "system_fingerprint") if name in last}
        head = {"object": self.chunk, **head}
        yield {**head, "choices": [self._finish(index) for index in range(ask.choices)]}
        if ask.tells_usage:
            tokens = {"prompt_tokens": usage.get("input", 0), "completion_tokens": usage.get("output", 0)}
            yield {**head, "choices": [], "usage": {**tokens, "total_tokens": sum(tokens.values())}}

    def _finish(self, index: int) -> Body:
        return {"index": index, "text": "", "logprobs": None, "finish_reason": "length"}


class Chat(Completions):
    """`/v1/chat/completions`: messages for messages."""

    path = "/v1/chat/completions"
    limit_fields = ("max_completion_tokens", "max_tokens")
    chunk = "chat.completion.chunk"

    def _prompt(self, body: Body) -> Iterator[str]:
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages:
            raise InvalidBody("'messages' is a list that is not empty", "messages")
        yield from strings(messages)
        yield from strings(body.get("tools"))

    def _made(self, choice: Body) -> Iterator[str]:
        delta = choice.get("delta")
        if not isinstance(delta, Mapping):
            return
        # The role comes with the first chunk and is no text; `reasoning_content` is how several servers stream it.
        for name in ("content", "refusal", "reasoning_content", "reasoning", "tool_calls", "function_call"):
            yield from strings(delta.get(name), skip=frozenset({"id", "type"}))

    def _finish(self, index: int) -> Body:
        return {"index": index, "delta": {}, "logprobs": None, "finish_reason": "length"}


EMBEDDINGS, COMPLETIONS, CHAT = Dialect(), Completions(), Chat()


def usage_of(told: Any) -> Usage | None:
    """A usage object in the ledger's units: `cached` is part of `input` and `reasoning` part of `output` in both."""
    if not isinstance(told, Mapping):
        return None
    prompt, completion = (told.get(f"{side}_tokens_details") or {} for side in ("prompt", "completion"))
    units = {
        "input": told.get("prompt_tokens"),
        "output": told.get("completion_tokens"),
        "cached": prompt.get("cached_tokens") if isinstance(prompt, Mapping) else None,
        "reasoning": completion.get("reasoning_tokens") if isinstance(completion, Mapping) else None,
    }
    found = {unit: count for unit, count in units.items() if type(count) is int and count > 0}
    return found or None


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidBody(f"'{name}' is a text that is not empty", name)
    return value


def _count(body: Body, name: str, default: int) -> int:
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


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _flat(each)
    else:
        yield value
