"""Responses: items for items, streamed as typed events.

Sources: https://platform.openai.com/docs/api-reference/responses (create, object), …/responses-streaming.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from services.meter.domain.calls import Usage
from services.meter.domain.dialects.base import (
    Ask,
    Body,
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

LIMIT = "max_output_tokens"
_ELSEWHERE = ("previous_response_id", "conversation", "prompt")
"""Fields by which a prompt is taken from what lies upstream."""
_LAST = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})
_NO_TEXT = frozenset({"response.audio.delta"})
_NAMES = frozenset({"id", "type", "role", "status", "call_id"})


class Responses(Streaming):
    """`/v1/responses`.

    What lies upstream lies there under the proxy's own key, for all its callers alike, and how long it is is not known
    here. So a prompt that is taken from there is refused, and so is an answer that is fetched later.
    """

    path = "/v1/responses"

    def ask(self, body: Body) -> Ask:
        """What the request asks for. Raises :class:`InvalidBody`."""
        if body.get("background"):
            raise InvalidBody("An answer in the background cannot be metered: leave out 'background'", "background")
        for name in _ELSEWHERE:
            if body.get(name) is not None:
                raise InvalidBody(f"A prompt that lies upstream cannot be metered: send it whole, not '{name}'", name)
        given = body.get("input")
        items = given if isinstance(given, list) else []
        if not given or not isinstance(given, str | list):
            raise InvalidBody("'input' is a text or a list that is not empty", "input")
        if any(isinstance(item, Mapping) and item.get("type") == "item_reference" for item in items):
            raise InvalidBody("A prompt that lies upstream cannot be metered: send items whole", "input")
        return Ask(
            text(body, "model"),
            (*strings(body.get("instructions")), *strings(given), *strings(body.get("tools"))),
            overhead=MESSAGE_TOKENS * max(len(items), 1),
            stream=body.get("stream") is True,
            limit=count(body, LIMIT, 1) if body.get(LIMIT) is not None else None,
            limit_field=LIMIT,
            tells_usage=True,
        )

    def usage(self, answer: Body) -> Usage | None:
        """The usage that a whole answer tells."""
        return units(answer.get("usage"), "input", "output")

    def texts(self, answer: Body) -> Iterator[str]:
        """The texts that a whole answer has, for one that does not tell its usage."""
        return strings(answer.get("output"), skip=_NAMES)

    def passage(self, ask: Ask) -> Passage:
        """The answer to a request, before anything of it has come."""
        return _Events()


class _Events(Passage):
    """Keeps what has come of the answer: an event that ends it says all of it again."""

    says_done = False

    def __init__(self) -> None:
        self._response: Body = {}
        self._items: dict[int, Body] = {}
        self._said: dict[tuple[int, int], list[str]] = {}
        self._newest: tuple[tuple[int, int], str] | None = None
        self._number = -1

    def take(self, chunk: Body) -> Piece:
        kind, response = chunk.get("type"), chunk.get("response")
        if self._newest is not None:
            # Only now: a text that cannot be paid is the last that comes, and not said.
            place, delta = self._newest
            self._said.setdefault(place, []).append(delta)
            self._newest = None
        number = chunk.get("sequence_number")
        self._number = number if type(number) is int else self._number + 1
        if isinstance(response, Mapping):
            self._response = response
        if kind in ("response.output_item.added", "response.output_item.done"):
            self._items[_place(chunk, "output_index")] = chunk.get("item") or {}
        usage = RESPONSES.usage(self._response) if kind in _LAST else None
        return Piece(tuple(self._made(chunk)), usage, chunk, last=kind in _LAST)

    def _made(self, chunk: Body) -> Iterator[str]:
        kind, delta = chunk.get("type"), chunk.get("delta")
        if not isinstance(kind, str) or not kind.endswith(".delta") or kind in _NO_TEXT:
            return
        if isinstance(delta, str) and delta:
            if kind == "response.output_text.delta":
                self._newest = (_place(chunk, "output_index"), _place(chunk, "content_index")), delta
            yield delta

    def ending(self, usage: Usage) -> Iterator[Body]:
        tokens = {f"{unit}_tokens": usage.get(unit, 0) for unit in ("input", "output")}
        response = {
            "object": "response",
            **self._response,
            "status": "incomplete",
            "incomplete_details": {"reason": LIMIT},
            "output": [self._item(index) for index in sorted(self._items)],
            "usage": {**tokens, "total_tokens": sum(tokens.values())},
        }
        yield {"type": "response.incomplete", "sequence_number": self._number + 1, "response": response}

    def _item(self, index: int) -> Body:
        """An item as far as it has come."""
        item = self._items[index]
        if item.get("status") != "in_progress":
            return item
        said = {part: "".join(pieces) for (of, part), pieces in sorted(self._said.items()) if of == index}
        content: list[Any] = [{"type": "output_text", "text": each, "annotations": []} for each in said.values()]
        return {**item, "status": "incomplete", **({"content": content} if content else {})}

    def failing(self, code: str, message: str) -> Iterator[Body]:
        number = self._number + 1
        yield {"type": "error", "code": code, "message": message, "param": None, "sequence_number": number}


RESPONSES = Responses()


def _place(chunk: Body, name: str) -> int:
    place = chunk.get(name)
    return place if type(place) is int else 0
