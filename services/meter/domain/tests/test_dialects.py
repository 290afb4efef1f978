"""What requests ask for and chunks say."""

from __future__ import annotations

from typing import Any

import pytest

from services.meter.domain.dialects import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, Dialect, InvalidBody, Passage
from services.meter.domain.dialects.completions import usage_of
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
        (RESPONSES, {"model": "m"}, "input"),
        (RESPONSES, {"model": "m", "input": []}, "input"),
        (RESPONSES, {"input": "x"}, "model"),
        (RESPONSES, {"model": "m", "input": "x", "max_output_tokens": 0}, "max_output_tokens"),
        (RESPONSES, {"model": "m", "input": "x", "background": True}, "background"),
        (RESPONSES, {"model": "m", "input": "x", "previous_response_id": "resp_1"}, "previous_response_id"),
        (RESPONSES, {"model": "m", "input": [{"type": "item_reference", "id": "msg_1"}]}, "input"),
    ],
)
def test_what_cannot_be_metered_is_refused(dialect: Dialect, body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        dialect.ask(body)
    assert refused.value.param == param


ASKED = {"stream_options": {"include_usage": True}}


def chat(**more: Any) -> Passage:
    """The streamed answer to a chat."""
    return CHAT.passage(CHAT.ask({"model": "m", "messages": MESSAGES, "stream": True, **more}))


def test_chunks_of_a_chat() -> None:
    def choice(**delta: Any) -> dict[str, Any]:
        return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}

    passage = chat()
    assert passage.take(choice(role="assistant", content="")).texts == ()
    assert passage.take(choice(content="word")).texts == ("word",)
    assert passage.take(choice(reasoning_content="hm")).texts == ("hm",)
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert passage.take(choice(tool_calls=[call])).texts == ("f", "{}")
    told = passage.take({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
    assert (told.usage, told.last) == ({"input": 3, "output": 4}, False)
    assert passage.take({"error": {"message": "x"}}).texts == ()


def test_the_usage_is_hidden_from_who_did_not_ask_for_it() -> None:
    plain, asked = chat(), chat(**ASKED)
    last: dict[str, Any] = {"choices": [], "usage": {"prompt_tokens": 3}}
    word = {"choices": [{"index": 0, "delta": {"content": "w"}}], "usage": None}
    assert plain.take(last).shown is None
    assert plain.take(word).shown == {"choices": word["choices"]}
    assert asked.take(last).shown is last
    untouched = {"choices": word["choices"]}
    assert plain.take(untouched).shown is untouched


def test_an_early_end() -> None:
    passage = chat(n=2, **ASKED)
    passage.take({"id": "c", "created": 1, "model": "m"})
    last, usage = passage.ending({"input": 3, "output": 4})
    assert [(each["index"], each["finish_reason"]) for each in last["choices"]] == [(0, "length"), (1, "length")]
    assert (last["id"], last["object"]) == ("c", "chat.completion.chunk")
    assert usage["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


RESPONSE = {"id": "r", "object": "response", "status": "in_progress", "output": []}
STARTED: list[dict[str, Any]] = [
    {"type": "response.created", "sequence_number": 0, "response": RESPONSE},
    {"type": "response.output_item.added", "output_index": 0, "item": {"id": "f", "status": "completed"}},
    {"type": "response.output_item.added", "output_index": 1, "item": {"id": "m", "status": "in_progress"}},
]


def delta(kind: str, text: str, part: int = 0) -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "output_index": 1, "content_index": part, "delta": text}


def response() -> Passage:
    """A streamed response that has begun."""
    passage = RESPONSES.passage(RESPONSES.ask({"model": "m", "input": "four", "stream": True}))
    for chunk in STARTED:
        assert passage.take(chunk).shown is chunk
    return passage


def test_a_response() -> None:
    items = [{"role": "user", "content": [{"type": "input_text", "text": "four"}]}]
    ask = RESPONSES.ask({"model": "m", "input": items, "instructions": "be kind", "max_output_tokens": 40})
    assert (ask.limit, ask.overhead, ask.stream) == (40, 4, False)
    assert {"four", "be kind"} <= set(ask.texts)
    body = {"model": "m", "input": "four"}
    assert RESPONSES.prepared(body, RESPONSES.ask(body), 9, "max_tokens") == {**body, "max_output_tokens": 9}
    assert RESPONSES.prepared(body, RESPONSES.ask(body), None, "max_tokens") == body
    said = {"output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}]}
    assert list(RESPONSES.texts(said)) == ["hi"]


def test_events_of_a_response() -> None:
    passage = response()
    assert passage.take(delta("output_text", "word")).texts == ("word",)
    assert passage.take(delta("reasoning_summary_text", "hm")).texts == ("hm",)
    assert passage.take(delta("function_call_arguments", "{}")).texts == ("{}",)
    assert passage.take(delta("audio", "AAAA")).texts == ()
    usage = {
        "input_tokens": 10,
        "output_tokens": 20,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens_details": {"reasoning_tokens": 5},
    }
    for kind in ("completed", "incomplete", "failed"):
        last = passage.take({"type": f"response.{kind}", "response": {**RESPONSE, "usage": usage}})
        assert (last.usage, last.last) == ({"input": 10, "output": 20, "cached": 4, "reasoning": 5}, True)
    assert passage.take({"type": "error", "message": "x"}).last


def test_an_early_end_of_a_response() -> None:
    passage = response()
    for text in ("a ", "few ", "words"):
        passage.take({**delta("output_text", text), "sequence_number": 7})
    (last,) = passage.ending({"input": 3, "output": 2})
    assert (last["type"], last["sequence_number"]) == ("response.incomplete", 8)
    told = last["response"]
    assert (told["id"], told["status"]) == ("r", "incomplete")
    assert told["incomplete_details"] == {"reason": "max_output_tokens"}
    assert told["usage"] == {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    done, begun = told["output"]
    assert done == {"id": "f", "status": "completed"}
    assert begun["content"] == [{"type": "output_text", "text": "a few ", "annotations": []}], "the last was not paid"
    (failed,) = passage.failing("upstream_failed", "it broke off")
    assert (failed["type"], failed["code"]) == ("error", "upstream_failed")


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
