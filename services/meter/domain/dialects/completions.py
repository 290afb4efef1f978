"""Chats, completions and embeddings.

Sources: https://platform.openai.com/docs/api-reference/chat (create, object, streaming), …/completions, …/embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from services.meter.domain.calls import Usage
from services.meter.domain.dialects.base import (
    Ask,
    Body,
    Dialect,
    InvalidBody,
    Passage,
    Piece,
    Streaming,
    count,
    strings,
    text,
    units,
)
from services.meter.domain.tokens import MESSAGE_TOKENS


class Embeddings(Dialect):
    """`/v1/embeddings`, whose answers have no tokens."""

    path = "/v1/embeddings"

    def ask(self, body: Body) -> Ask:
        """What the request asks for. Raises :class:`InvalidBody`."""
        given = body.get("input")
        # The input may also be tokens, as numbers, or a list of such lists.
        tokens = sum(1 for each in _flat(given) if type(each) is int)
        return Ask(text(body, "model"), tuple(strings(given)), overhead=tokens)

    def usage(self, answer: Body) -> Usage | None:
        """The usage that a whole answer tells."""
        return usage_of(answer.get("usage"))


class Completions(Streaming):
    """`/v1/completions`: text for text."""

    path = "/v1/completions"
    limit_fields: ClassVar[tuple[str, ...]] = ("max_tokens",)
    chunk: ClassVar[str] = "text_completion"

    def ask(self, body: Body) -> Ask:
        """What the request asks for. Raises :class:`InvalidBody`."""
        field = next((name for name in self.limit_fields if body.get(name) is not None), None)
        options = body.get("stream_options")
        return Ask(
            text(body, "model"),
            tuple(self._prompt(body)),
            overhead=MESSAGE_TOKENS * len(body["messages"]) if isinstance(body.get("messages"), list) else 0,
            stream=body.get("stream") is True,
            choices=max(count(body, "n", 1), count(body, "best_of", 1)),
            limit=None if field is None else count(body, field, 1),
            limit_field=field,
            tells_usage=isinstance(options, Mapping) and options.get("include_usage") is True,
        )

    def _prompt(self, body: Body) -> Iterator[str]:
        yield from strings(body.get("prompt"))
        yield from strings(body.get("suffix"))

    def prepared(self, body: Body, ask: Ask, limit: int | None, limit_field: str) -> Body:
        """The body that goes upstream; a stream is asked to tell its usage at the end."""
        sent = super().prepared(body, ask, limit, limit_field)
        if not ask.stream:
            return sent
        options = body.get("stream_options")
        return {**sent, "stream_options": {**(options if isinstance(options, Mapping) else {}), "include_usage": True}}

    def usage(self, answer: Body) -> Usage | None:
        """The usage that a whole answer tells."""
        return usage_of(answer.get("usage"))

    def texts(self, answer: Body) -> Iterator[str]:
        """The texts that a whole answer has, for one that does not tell its usage."""
        return strings(answer.get("choices"))

    def passage(self, ask: Ask) -> Passage:
        """The answer to a request, before anything of it has come."""
        return _Chunks(self, ask)

    def made(self, choice: Body) -> Iterator[str]:
        """What a choice of a chunk brings."""
        yield from strings(choice.get("text"))

    def finish(self, index: int) -> Body:
        """A choice that has reached its length."""
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

    def made(self, choice: Body) -> Iterator[str]:
        """What a choice of a chunk brings."""
        delta = choice.get("delta")
        if not isinstance(delta, Mapping):
            return
        # The role comes with the first chunk and is no text; `reasoning_content` is how several servers stream it.
        for name in ("content", "refusal", "reasoning_content", "reasoning", "tool_calls", "function_call"):
            yield from strings(delta.get(name), skip=frozenset({"id", "type"}))

    def finish(self, index: int) -> Body:
        """A choice that has reached its length."""
        return {"index": index, "delta": {}, "logprobs": None, "finish_reason": "length"}


class _Chunks(Passage):
    says_done = True

    def __init__(self, dialect: Completions, ask: Ask) -> None:
        self._dialect = dialect
        self._ask = ask
        self._last: Body = {}

    def take(self, chunk: Body) -> Piece:
        self._last = chunk
        choices = chunk.get("choices")
        found = [each for each in choices if isinstance(each, Mapping)] if isinstance(choices, list) else []
        texts = tuple(text for choice in found for text in self._dialect.made(choice) if text)
        return Piece(texts, usage_of(chunk.get("usage")), self._shown(chunk))

    def _shown(self, chunk: Body) -> Body | None:
        """The chunk as the caller asked for it: without the usage if it did not."""
        if self._ask.tells_usage or "usage" not in chunk:
            return chunk
        if not chunk.get("choices"):
            return None
        return {name: value for name, value in chunk.items() if name != "usage"}

    def ending(self, usage: Usage) -> Iterator[Body]:
        head = {
            name: self._last[name] for name in ("id", "created", "model", "system_fingerprint") if name in self._last
        }
        head = {"object": self._dialect.chunk, **head}
        yield {**head, "choices": [self._dialect.finish(index) for index in range(self._ask.choices)]}
        if self._ask.tells_usage:
            tokens = {"prompt_tokens": usage.get("input", 0), "completion_tokens": usage.get("output", 0)}
            yield {**head, "choices": [], "usage": {**tokens, "total_tokens": sum(tokens.values())}}

    def failing(self, code: str, message: str) -> Iterator[Body]:
        yield {"error": {"message": message, "type": "upstream_error", "code": code}}


EMBEDDINGS, COMPLETIONS, CHAT = Embeddings(), Completions(), Chat()


def usage_of(told: Any) -> Usage | None:
    """A usage object of these routes in the ledger's units."""
    return units(told, "prompt", "completion")


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _flat(each)
    else:
        yield value
