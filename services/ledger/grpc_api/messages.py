"""From messages to the JSON that HTTP takes, and from the JSON that it answers to messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import orjson
from google.protobuf import json_format, struct_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from tallystick.ledger.v1 import ledger_pb2 as pb

from services.ledger.grpc_api.rpcs import COMMANDS, Rpc, snake
from services.ledger.requests import Answer

Convert = Callable[[Any], Any]
_STRUCT = struct_pb2.Struct.DESCRIPTOR.full_name
_OUTCOMES = {rpc.kind: (snake(rpc.answer.__name__), rpc.answer.__name__) for rpc in COMMANDS}
"""By kind of command: the field of a result that holds its answer, and that message's name."""
SENT = {snake(rpc.name): rpc for rpc in COMMANDS}
"""By the field of a :class:`CommandRequest` that holds a command."""


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _value_of(field: FieldDescriptor) -> FieldDescriptor:
    """The values of a map."""
    entry = field.message_type
    assert entry is not None  # noqa: S101 - a map has entries
    return entry.fields_by_name["value"]


def fields_of(rpc: Rpc, message: Message) -> dict[str, Any]:
    """The fields of a request, as JSON has them; a list that a command needs is there even when it is empty."""
    given = _to_json(message)
    for name in _needed_lists(rpc):
        given.setdefault(name, [])
    return given


@cache
def _needed_lists(rpc: Rpc) -> tuple[str, ...]:
    fields = pb.DESCRIPTOR.message_types_by_name[rpc.request].fields
    lists = {field.name for field in fields if field.is_repeated and not _is_map(field)}
    return tuple(name for name in lists if rpc.fields.model_fields[name].is_required())


def _to_json(message: Message) -> dict[str, Any]:
    readers = _readers(message.DESCRIPTOR)
    return {field.name: readers[field.name](value) for field, value in message.ListFields()}


@cache
def _readers(descriptor: Descriptor) -> Mapping[str, Convert]:
    return {field.name: _reader(field) for field in descriptor.fields}


def _reader(field: FieldDescriptor) -> Convert:
    if _is_map(field):
        value = _reader(_value_of(field))
        return lambda values: {key: value(one) for key, one in values.items()}
    if field.message_type is None:
        return list if field.is_repeated else _as_it_is
    one: Convert = json_format.MessageToDict if field.message_type.full_name == _STRUCT else _to_json
    return (lambda values: [one(value) for value in values]) if field.is_repeated else one


def _as_it_is(value: Any) -> Any:
    return value


def message_of(name: str, content: Mapping[str, Any]) -> Message:
    """The message of that name with what JSON holds; null is not set, what the message does not know is left out."""
    return _build(pb.DESCRIPTOR.message_types_by_name[name], content)


def _build(descriptor: Descriptor, content: Mapping[str, Any]) -> Message:
    given = {
        name: value if write is None else write(value)
        for name, write in _writers(descriptor)
        if (value := content.get(name)) is not None
    }
    return GetMessageClass(descriptor)(**given)


@cache
def _writers(descriptor: Descriptor) -> tuple[tuple[str, Convert | None], ...]:
    return tuple((field.name, _writer(field)) for field in descriptor.fields)


def _writer(field: FieldDescriptor) -> Convert | None:
    kind = field.message_type
    if kind is None:
        return None
    if _is_map(field):
        write = _writer(_value_of(field))
        return None if write is None else lambda values: {key: write(one) for key, one in values.items()}
    one: Convert = _struct if kind.full_name == _STRUCT else lambda value: _build(kind, value)
    return (lambda values: [one(value) for value in values]) if field.is_repeated else one


def _struct(value: Any) -> struct_pb2.Struct:
    return json_format.ParseDict(value, struct_pb2.Struct())


def problem_of(body: bytes) -> pb.Problem:
    """A problem document; `json` is all of it."""
    problem = message_of("Problem", orjson.loads(body))
    assert isinstance(problem, pb.Problem)  # noqa: S101 - by its name
    problem.json = body
    return problem


def result_of(tag: str, kind: str | None, answer: Answer) -> pb.CommandResult:
    """What became of a command of this kind."""
    result = pb.CommandResult(tag=tag, status=answer.status, replayed=answer.replayed)
    if answer.status >= 400 or kind is None:
        result.problem.CopyFrom(problem_of(answer.body))
    else:
        field, name = _OUTCOMES[kind]
        getattr(result, field).CopyFrom(message_of(name, orjson.loads(answer.body)))
    return result


def item_of(message: pb.CommandRequest) -> dict[str, Any]:
    """A command as an item of a batch; without a type when it is none, or many."""
    field = message.WhichOneof("command")
    if field is None or message.commands:
        return {}
    rpc = SENT[field]
    given = fields_of(rpc, getattr(message, field))
    key = given.pop("idempotency_key", None)
    return {"type": rpc.kind, **({} if key is None else {"key": key}), **given}
