"""What the OpenAPI document says of a route that takes the bare request: made from the models that it parses with."""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from types import UnionType
from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel

from libs.service.answers import Problem

PROBLEM = {"$ref": "#/components/schemas/Problem"}
_EVERYWHERE = (
    "400 invalid_request",
    "401 token_missing",
    "401 token_invalid",
    "401 token_expired",
    "403 scope_missing",
    "403 wrong_app",
    "503 unavailable",
)
WRITES = ("400 idempotency_key_missing", "413 body_too_large", "422 idempotency_key_reused")
"""Refusals of everything that writes; a service adds its own."""

_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Makes the write happen once: a repeat gets the first answer, for 35 days.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
}
_APP = {
    "name": "Tallystick-App",
    "in": "header",
    "required": False,
    "description": "The app that a token of several apps speaks for.",
    "schema": {"type": "string"},
}

_EVENT = {
    "type": "object",
    "description": "One event of the stream: its fields as server-sent events have them. `data` is JSON.",
    "properties": {"event": {"type": "string"}, "id": {"type": "string"}, "data": {"type": "string"}},
}
_LAST_EVENT = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "The `id` of the last event that was seen: the stream goes on behind it. `0`: from the first one.",
    "schema": {"type": "string"},
}


def inlined(schema: Any, definitions: dict[str, Any] | None = None) -> Any:
    """A JSON schema without references: what they point at is put in their place."""
    if isinstance(schema, list):
        return [inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    definitions = schema.get("$defs", definitions) or {}
    if "$ref" in schema:
        found = inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
        return {**found, **{key: inlined(value, definitions) for key, value in schema.items() if key != "$ref"}}
    inline = {key: inlined(value, definitions) for key, value in schema.items() if key != "$defs"}
    if "discriminator" in inline:
        # Its mapping would point at what is not there any more; the constants of the variants say the same.
        inline["discriminator"] = {"propertyName": schema["discriminator"]["propertyName"]}
    return inline


def schema_of(model: type[BaseModel]) -> Any:
    """The JSON schema of what a body may be."""
    return inlined(model.model_json_schema(mode="validation"))


def described(
    *,
    answer: type[BaseModel] | UnionType | None,
    body: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    status: int = 200,
    codes: Sequence[str] = (),
    path: str = "",
    key: Literal["required", "optional", "none"] = "required",
    media: Sequence[str] = (),
    resumes: bool = False,
    refused_writes: Sequence[str] = WRITES,
) -> dict[str, Any]:
    """Arguments of `add_api_route`: answer, refusals, body, query, headers. `key`: whether a write has a key of its
    own.

    `resumes`: it is a stream, which `Last-Event-ID` takes up again. `refused_writes`: refusals of what has a body.
    """
    writes = body is not None
    refusals = [*_EVERYWHERE, *(refused_writes if writes else ()), *codes]
    if writes and key != "required":
        refusals.remove("400 idempotency_key_missing")
    responses: dict[int | str, dict[str, Any]] = {status: {"model": answer} if answer is not None else {}}
    if media:
        responses[status]["content"] = {kind: {"schema": _EVENT if resumes else {"type": "string"}} for kind in media}
    for number in sorted({code.partition(" ")[0] for code in refusals}):
        names = sorted({code.partition(" ")[2] for code in refusals if code.startswith(number)})
        responses[int(number)] = {
            "description": f"{HTTPStatus(int(number)).phrase}: " + ", ".join(f"`{name}`" for name in names),
            "content": {"application/problem+json": {"schema": PROBLEM}},
        }
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in ("id", "user", "key")
        if f"{{{name}}}" in path
    ]
    if writes and key != "none":
        parameters.append({**_KEY, "required": key == "required"})
    parameters.append(_APP)
    if resumes:
        parameters.append(_LAST_EVENT)
    if query is not None:
        parameters += _query_parameters(query)
    extra: dict[str, Any] = {"parameters": parameters, "security": [{"bearer": []}]}
    if body is not None:
        required = bool(schema_of(body).get("required"))
        extra["requestBody"] = {"required": required, "content": {"application/json": {"schema": schema_of(body)}}}
    return {"responses": responses, "openapi_extra": extra}


def _query_parameters(query: type[BaseModel]) -> list[dict[str, Any]]:
    schema = schema_of(query)
    parameters = []
    for name, field in schema["properties"].items():
        described_as = {"description": field.pop("description")} if "description" in field else {}
        field.pop("title", None)
        parameters.append(
            {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", ()),
                **described_as,
                "schema": field,
            }
        )
    return parameters


def completed(app: FastAPI) -> FastAPI:
    """The application, whose document now has what its routes refer to: the problem document and the bearer token."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        document = plain()
        components = document.setdefault("components", {})
        problem = inlined(Problem.model_json_schema(mode="serialization"))
        components.setdefault("schemas", {})["Problem"] = problem
        components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
        return document

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def document(app: FastAPI) -> str:
    """The application's document as it is committed."""
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def write_or_check(app: FastAPI, file: Path, verb: str) -> int:
    """Write the application's document to `file`, or say where the one there differs; the process's exit code."""
    wanted = document(app)
    if verb == "write":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(wanted, encoding="utf-8")
        return 0
    present = file.read_text(encoding="utf-8") if file.exists() else ""
    sys.stdout.writelines(difflib.unified_diff(present.splitlines(True), wanted.splitlines(True), str(file), "served"))
    return int(present != wanted)
