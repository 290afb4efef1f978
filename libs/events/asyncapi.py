"""The AsyncAPI 3.0 document of one service: its channels, and the messages on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from libs.events.contracts.base import Contract
from libs.events.envelope import HEARTBEAT_TYPE

_TEXT = {"type": "string"}
_COUNT = {"type": "string", "pattern": "^[0-9]+$"}
_HEADERS: dict[str, Any] = {
    "content-type": {"const": "application/json"},
    "ce_specversion": {"const": "1.0"},
    "ce_id": {**_TEXT, "description": "Stays the same when the message is published again."},
    "ce_source": {**_TEXT, "pattern": "^/tallystick/[a-z]+$"},
    "ce_type": _TEXT,
    "ce_time": {**_TEXT, "format": "date-time"},
    "ce_subject": {**_TEXT, "description": "The user whom the message concerns, or @app."},
    "ce_app": _TEXT,
    "ce_correlationid": _TEXT,
    "ce_causationid": {**_TEXT, "description": "The id of the message that caused this one."},
    "ce_traceparent": _TEXT,
    "ce_actor": _TEXT,
    "ce_idempotencykey": _TEXT,
}
_REQUIRED = ["content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "ce_app"]
_LOG_HEADERS: dict[str, Any] = {
    "ce_stream": {**_TEXT, "description": "The incarnation of the log; a restore begins a new one."},
    "ce_seq": {**_COUNT, "description": "The place in the log of (source, topic, partition), from 1 without a gap."},
    "ce_prevseq": {**_COUNT, "description": "The place of the message before."},
}
_HEARTBEAT = {
    "name": HEARTBEAT_TYPE,
    "summary": "An idle relay says up to which ce_seq it has published in this partition.",
    "contentType": "application/json",
    "headers": {
        "type": "object",
        "properties": {name: {**_HEADERS, **_LOG_HEADERS}[name] for name in [*_REQUIRED[:-2], "ce_stream", "ce_seq"]},
        "required": [*_REQUIRED[:-2], "ce_stream", "ce_seq"],
    },
    "payload": {"type": "object", "maxProperties": 0},
}


def asyncapi(service: str, models: Sequence[type[Contract]]) -> dict[str, Any]:
    """The document; payload schemas are the files beside it."""
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for kind, action, what in (
        ("event", "send", "What has happened, in order for each partition."),
        ("command", "receive", "What the service is asked to do; each is answered by an event that it caused."),
    ):
        chosen = [model for model in models if kind == model.KIND]
        if not chosen:
            continue
        names = {model.TYPE: _reference("components", "messages", model.TYPE) for model in chosen}
        if kind == "event":
            names[HEARTBEAT_TYPE] = _reference("components", "messages", HEARTBEAT_TYPE)
        channels[f"{kind}s"] = {
            "address": f"{service}.{kind}s",
            "description": f"{what} The Kafka key is the app, 0x1F and the user, in UTF-8.",
            "messages": names,
        }
        operations[f"{action}_{kind}s"] = {"action": action, "channel": _reference("channels", f"{kind}s")}
    messages = {model.TYPE: _message(model) for model in models}
    if "events" in channels:
        messages[HEARTBEAT_TYPE] = _HEARTBEAT
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": f"Tallystick {service}",
            "version": "1",
            "description": "CloudEvents 1.0 over Kafka in binary mode.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def _message(model: type[Contract]) -> dict[str, Any]:
    is_event = model.KIND == "event"
    required = [*_REQUIRED, *_LOG_HEADERS] if is_event else [*_REQUIRED, "ce_idempotencykey"]
    return {
        "name": model.TYPE,
        "summary": (model.__doc__ or "").strip().partition("\n")[0],
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "properties": {**_HEADERS, **(_LOG_HEADERS if is_event else {})},
            "required": required,
        },
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./schemas/{model.TYPE}.json"},
        },
    }


def _reference(*path: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(path)}
