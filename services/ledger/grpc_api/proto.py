"""`ledger.proto`, made of the models that HTTP parses and describes its answers with.

A field keeps its number for as long as the file knows its name; the number of a field that is gone stays reserved. So
whoever adds a field to a command adds it here by `make generate`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from libs.service.answers import Problem
from services.ledger.api import answers
from services.ledger.grpc_api.rpcs import COMMANDS, READS, SERVICE, UNARY, snake

FILE = "tallystick/ledger/v1/ledger.proto"
"""Below the folder of definitions."""
_STRUCT = "google.protobuf.Struct"
_SCALARS = {"string": "string", "integer": "int64", "boolean": "bool", "number": "double"}
_MESSAGE = re.compile(r"^message (\w+) \{$(.*?)^\}$", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"(\w+) = (\d+);")
_RESERVED = re.compile(r'reserved (\d+); reserved "(\w+)";')
_COMMENT_WIDTH = 110

Fields = dict[str, str]
"""The fields of a message: names, and their types with what stands before them."""


class Definition:
    """What has been found of the messages; `old` is the text of the file as it was."""

    def __init__(self, old: str = "") -> None:
        self._numbers = _numbers(old)
        self._messages: dict[str, tuple[str, Fields]] = {}
        self._oneofs: dict[str, dict[str, Fields]] = {}
        self._known: Mapping[str, Any] = {}
        """The schemas that the one being read refers to."""

        self._asked = False
        """Whether it is of a request."""

    def text(self) -> str:
        """The whole file."""
        results: Fields = {}
        for rpc in COMMANDS:
            self._model(rpc.answer)
            results[snake(rpc.answer.__name__)] = rpc.answer.__name__
        for rpc in UNARY:
            self._request(rpc.request, rpc.fields, rpc.left_out, key=rpc.kind is not None)
            self._model(rpc.answer)
        self._model(Problem)
        # The whole document: what a code has beside these is not in the message.
        self._messages["Problem"][1]["json"] = "bytes"
        self._add(
            "CommandRequest",
            "A command in a batch or a stream; on a stream also many in one message, as `commands` of one that is none"
            " itself. `tag` is the caller's own and comes back with the result.",
            {"tag": "string", "commands": "repeated CommandRequest"},
            {"command": {snake(rpc.name): rpc.request for rpc in COMMANDS}},
        )
        self._add(
            "CommandResult",
            "What became of a command: its status as over HTTP, whether it is a repeat, and its answer or its refusal;"
            " or `results`, those of the `commands` of one message, in their order.",
            {"tag": "string", "status": "int32", "replayed": "bool", "results": "repeated CommandResult"},
            {"outcome": {"problem": "Problem", **results}},
        )
        self._add(
            "BatchRequest",
            "Commands in order; with `atomic`, all of them are done or none.",
            {"atomic": "bool", "commands": "repeated CommandRequest"},
        )
        self._add(
            "BatchAnswer",
            "The results in the order of the commands, and the accounts that they changed, by user and asset.",
            {"results": "repeated CommandResult", "accounts": "repeated AccountAfter"},
        )
        self._model(answers.AccountAfter)
        return "\n".join([*_HEADER, *_service(), *(self._message(name) for name in sorted(self._messages))])

    def _add(self, name: str, about: str, fields: Fields, oneofs: dict[str, Fields] | None = None) -> None:
        known = self._messages.get(name)
        if known is not None and known[1] != fields:
            raise ValueError(f"two messages are called {name}")
        self._messages[name] = (about, fields)
        self._oneofs[name] = oneofs or {}

    def _request(self, name: str, model: type[BaseModel], left_out: frozenset[str], *, key: bool) -> None:
        schema = model.model_json_schema(mode="validation")
        self._known, self._asked = schema.get("$defs", {}), True
        fields = {"idempotency_key": "string"} if key else {}
        fields |= self._fields(schema, left_out)
        self._add(name, schema.get("description", ""), fields)

    def _model(self, model: type[BaseModel]) -> None:
        schema = model.model_json_schema(mode="serialization")
        self._known, self._asked = schema.get("$defs", {}), False
        self._define(model.__name__, schema)

    def _define(self, name: str, schema: Mapping[str, Any]) -> None:
        self._add(name, schema.get("description", ""), self._fields(schema))

    def _fields(self, schema: Mapping[str, Any], left_out: frozenset[str] = frozenset()) -> Fields:
        return {
            name: self._type(field, required=name in schema.get("required", ()))
            for name, field in schema["properties"].items()
            if name not in left_out
        }

    def _type(self, schema: Mapping[str, Any], *, required: bool) -> str:
        """The type of a field, with `optional` where it must be seen whether it is there: in all that is asked."""
        choices = [choice for choice in schema.get("anyOf", [schema]) if choice.get("type") != "null"]
        if len(choices) > 1:
            # An amount may be a number in JSON; here it is always written out.
            choices = [choice for choice in choices if choice.get("type") == "string"]
        found = self._plain(choices[0]) if choices else _STRUCT
        nullable = self._asked or not required or {"type": "null"} in schema.get("anyOf", ())
        return f"optional {found}" if nullable and found in _SCALARS.values() else found

    def _plain(self, schema: Mapping[str, Any]) -> str:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            self._define(name, self._known[name])
            return str(name)
        match schema.get("type"):
            case "array":
                return f"repeated {self._plain(schema['items'])}"
            case "object" if isinstance(schema.get("additionalProperties"), dict):
                return f"map<string, {self._plain(schema['additionalProperties'])}>"
            case str(kind) if kind in _SCALARS:
                return _SCALARS[kind]
            case _:
                return _STRUCT

    def _message(self, name: str) -> str:
        about, fields = self._messages[name]
        oneofs = self._oneofs[name]
        every = [*fields, *(field for inner in oneofs.values() for field in inner)]
        numbers, gone = self._place(name, every)
        lines = [*_comment(about), f"message {name} {{"]
        lines += [f'  reserved {number}; reserved "{field}";' for field, number in gone.items()]
        lines += [f"  {kind} {field} = {numbers[field]};" for field, kind in fields.items()]
        for oneof, inner in oneofs.items():
            lines += [f"  oneof {oneof} {{"]
            lines += [f"    {kind} {field} = {numbers[field]};" for field, kind in inner.items()]
            lines += ["  }"]
        return "\n".join([*lines, "}", ""])

    def _place(self, name: str, fields: list[str]) -> tuple[dict[str, int], dict[str, int]]:
        """The numbers of all fields, and of those that are gone."""
        numbers = dict(self._numbers.get(name, {}))
        for field in fields:
            numbers.setdefault(field, max(numbers.values(), default=0) + 1)
        return numbers, {field: number for field, number in numbers.items() if field not in fields}


def _numbers(text: str) -> dict[str, dict[str, int]]:
    found = {}
    for name, body in _MESSAGE.findall(text):
        numbers = {field: int(number) for field, number in _FIELD.findall(body)}
        numbers |= {field: int(number) for number, field in _RESERVED.findall(body)}
        found[name] = numbers
    return found


def _comment(text: str) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > _COMMENT_WIDTH:
            lines.append("")
        lines[-1] += f" {word}"
    return [f"//{line}" for line in lines if line]


_HEADER = (
    "// The ledger over gRPC. Made by `make generate` from the routes and models of HTTP; numbers stay as they are.",
    'syntax = "proto3";',
    "",
    f"package {SERVICE.rpartition('.')[0]};",
    "",
    'import "google/protobuf/struct.proto";',
    "",
)


def _service() -> list[str]:
    lines = [
        "// Every command takes its idempotency key in its field or in the metadata `idempotency-key`.",
        f"service {SERVICE.rpartition('.')[2]} {{",
    ]
    for rpc in (*COMMANDS, *READS):
        lines += [f"  // {rpc.method} {rpc.path.replace(':path', '')}"]
        lines += [f"  rpc {rpc.name}({rpc.request}) returns ({rpc.answer.__name__});"]
    return [
        *lines,
        "  // POST /v1/batch",
        "  rpc Batch(BatchRequest) returns (BatchAnswer);",
        "  // Commands for as long as the stream lasts. Those of one account are decided in the order they come in;",
        "  // results come as they are decided, those of one message together.",
        "  rpc Execute(stream CommandRequest) returns (stream CommandResult);",
        "}",
        "",
    ]


def definition(old: str = "") -> str:
    """The text of the file, given what it was."""
    return Definition(old).text()
