"""What requests ask for and chunks say."""

from __future__ import annotations

from typing import Any

import pytest

from services.meter.domain.dialects import CHAT, COMPLETIONS, EMBEDDINGS, Dialect, InvalidBody, usage_of
from services.meter.domain.tokens import by_length, load_counter, total

MESSAGES = [{"role": "user", "content": "four"}]


def test_a_chat() -> None:
    ask = CHAT.ask({"model": "m", "messages": MESSAGES, "n": 2, "max_completion_tokens": 5, "stream": True})
    assert (ask.model, ask.stream, ask.choices, ask.limit, ask.limit_field) == (
        "m",
        True,
        2,
        5,
        "max_completion_tokens",
    )
    assert total(by_length, "m", ask.texts) + ask.overhead == 1 + 1 + 4, "its text, its role, and the message itself"
    body: dict[str, Any] = {"model": "m", "messages": MESSAGES, "stream": True, "stream_options": {"x": 1}}
    assert CHAT.prepared(body, ask, None, "max_tokens")["stream_options"] == {"x": 1, "include_usage": True}
    assert body["stream_options"] == {"x": 1}


def test_pictures_are_no_text() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 4000}}
    ask = CHAT.ask({"model": "m", "messages": [{"role": "user", "content": [picture]}]})
    assert total(by_length, "m", ask.texts) < 20


def test_an_answer_in_one_piece_is_bounded() -> None:
    body = {"model": "m", "messages": MESSAGES}
    assert CHAT.prepared(body, CHAT.ask(body), 9, "max_tokens") == {**body, "max_tokens": 9}
    asked = {**body, "max_completion_tokens": 50}
    assert CHAT.prepared(asked, CHAT.ask(asked), 9, "max_tokens") == {**body, "max_completion_tokens": 9}


@pytest.mark.parametrize(
    ("dialect", "body", "param"),
    [
        (CHAT, {"messages": MESSAGES}, "model"),
        (CHAT, {"model": "m"}, "messages"),
        (CHAT, {"model": "m", "messages": []}, "messages"),
        (CHAT, {"model": "m", "messages": MESSAGES, "max_tokens": "5"}, "max_tokens"),
        (CHAT, {"model": "m", "messages": MESSAGES, "max_tokens": 0}, "max_tokens"),
        (COMPLETIONS, {"model": "m", "prompt": "x", "n": True}, "n"),
        (EMBEDDINGS, {"model": 5}, "model"),
    ],
)
def test_what_cannot_be_metered_is_refused(dialect: Dialect, body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        dialect.ask(body)
    assert refused.value.param == param


def test_chunks_of_a_chat() -> None:
    def choice(**delta: Any) -> dict[str, Any]:
        return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}

    assert CHAT.piece(choice(role="assistant", content="")).texts == ()
    assert CHAT.piece(choice(content="word")).texts == ("word",)
    assert CHAT.piece(choice(reasoning_content="hm")).texts == ("hm",)
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert CHAT.piece(choice(tool_calls=[call])).texts == ("f", "{}")
    told = CHAT.piece({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
    assert told.usage == {"input": 3, "output": 4}
    assert CHAT.piece({"error": {"message": "x"}}).texts == ()


def test_the_usage_is_hidden_from_who_did_not_ask_for_it() -> None:
    plain = CHAT.ask({"model": "m", "messages": MESSAGES, "stream": True})
    asked = CHAT.ask({"model": "m", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}})
    last: dict[str, Any] = {"choices": [], "usage": {"prompt_tokens": 3}}
    word = {"choices": [{"index": 0, "delta": {"content": "w"}}], "usage": None}
    assert CHAT.shown(last, plain) is None
    assert CHAT.shown(word, plain) == {"choices": word["choices"]}
    assert CHAT.shown(last, asked) is last
    untouched = {"choices": word["choices"]}
    assert CHAT.shown(untouched, plain) is untouched


def test_an_early_end() -> None:
    ask = CHAT.ask({"model": "m", "messages": MESSAGES, "n": 2, "stream_options": {"include_usage": True}})
    last, usage = CHAT.ending({"id": "c", "created": 1, "model": "m"}, ask, {"input": 3, "output": 4})
    assert [(each["index"], each["finish_reason"]) for each in last["choices"]] == [(0, "length"), (1, "length")]
    assert (last["id"], last["object"]) == ("c", "chat.completion.chunk")
    assert usage["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def test_units() -> None:
    told = {
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    assert usage_of(told) == {"input": 10, "output": 20, "cached": 4, "reasoning": 5}
    assert usage_of({"prompt_tokens": 10, "prompt_tokens_details": None}) == {"input": 10}
    assert usage_of({"prompt_tokens": -1, "completion_tokens": "x"}) is None
    assert usage_of(None) is None


def test_embeddings_of_texts_and_of_tokens() -> None:
    assert EMBEDDINGS.ask({"model": "m", "input": ["one", "two"]}).texts == ("one", "two")
    assert EMBEDDINGS.ask({"model": "m", "input": [[1, 2, 3], [4]]}).overhead == 4
    assert EMBEDDINGS.usage({"usage": {"prompt_tokens": 8}}) == {"input": 8}


def test_counters() -> None:
    assert [by_length("m", text) for text in ("", "a", "word", "words", "слово")] == [0, 1, 1, 2, 3]
    assert load_counter("services.meter.domain.tokens:by_length") is by_length
    for name in ("nowhere", "services.meter.domain.tokens:no", "no.such.module:x"):
        with pytest.raises(ValueError, match="there is no counter"):
            load_counter(name)
