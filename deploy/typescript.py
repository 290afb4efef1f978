"""Makes the generated half of the TypeScript client from the ledger's OpenAPI document: a table and its types.

The table (`generated.js`) says how each operation is sent; the types (`generated.d.ts`) what it takes and answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from services.ledger.openapi import application

HEADER = "// Generated from the ledger's OpenAPI document by deploy/typescript.py: make generate\n"
NAMES = {"hold": "createHold", "read": "getTestClock", "advance": "putTestClock"}
"""Operations whose names say too little, or would be the name of the client's own helper."""
WIDTH = 120
Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One route: `path` with its parameters in braces, `query` the names that go behind it."""

    name: str
    method: str
    path: str
    query: tuple[str, ...]
    params: str
    answer: str
    summary: str


@cache
def _document() -> dict[str, Any]:
    return application().openapi()


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _operations(types: Types) -> Iterator[Operation]:
    for path, methods in sorted(_document()["paths"].items()):
        for method, route in sorted(methods.items()):
            answer = next(answer for status, answer in route["responses"].items() if status.startswith("2"))
            content = answer.get("content", {})
            if "text/event-stream" in content:
                continue  # What goes on is no answer; the client follows it by hand.
            short = route["operationId"].partition("_v1_")[0]
            parameters = [each for each in route.get("parameters", []) if each["in"] in ("path", "query")]
            fields = [types.parameter(each) for each in parameters]
            params = [f"{{ {'; '.join(fields)} }}"] if fields else []
            body = route.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            if body is not None:
                params.append(types.of(body))
            yield Operation(
                NAMES.get(short, _camel(short)),
                method.upper(),
                path,
                tuple(each["name"] for each in parameters if each["in"] == "query"),
                " & ".join(params) or "Record<string, never>",
                types.of(content.get("application/json", {}).get("schema", {})),
                route.get("summary", short),
            )


class Types:
    """The interfaces that were named on the way, by name."""

    def __init__(self) -> None:
        self.named: dict[str, str] = {}

    def parameter(self, parameter: Schema) -> str:
        """A field for a parameter."""
        optional = "" if parameter.get("required") else "?"
        return f"{_quoted(parameter['name'])}{optional}: {self.of(parameter['schema'])}"

    def of(self, schema: Schema, local: Schema | None = None) -> str:  # noqa: PLR0911 -- a case for each kind
        """The type of a schema; an object with a title becomes an interface of that name."""
        local = schema.get("$defs", local)
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            found = (local or {}).get(name) or _document()["components"]["schemas"][name]
            return self.of(found, local)
        for several in ("anyOf", "oneOf"):
            if several in schema:
                found = dict.fromkeys(self.of(each, local) for each in schema[several])
                return " | ".join(found)
        if "enum" in schema or "const" in schema:
            return " | ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
        match schema.get("type"):
            case "object" if "properties" in schema:
                return self._interface(schema, local)
            case "object":
                values = schema.get("additionalProperties")
                return f"Record<string, {self.of(values, local) if isinstance(values, dict) else 'unknown'}>"
            case "array":
                item = self.of(schema.get("items", {}), local)
                return f"({item})[]" if "|" in item else f"{item}[]"
            case "integer" | "number":
                return "number"
            case "string" | "boolean" | "null" as plain:
                return str(plain)
        return "unknown"

    def _interface(self, schema: Schema, local: Schema | None) -> str:
        name = re.sub(r"\W", "", schema.get("title", "")) or "Unnamed"
        if name not in self.named:
            self.named[name] = ""  # It may contain itself.
            required = set(schema.get("required", ()))
            lines = [f"/** {_line(schema.get('description', name))} */", f"export interface {name} {{"]
            for field, of in schema["properties"].items():
                # A default means that it may be left out; in an answer it is there all the same.
                optional = "" if field in required else "?"
                lines.append(f"  {_quoted(field)}{optional}: {self.of(of, local)};")
            self.named[name] = "\n".join([*lines, "}"])
        return name


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"\w+", name) else json.dumps(name)


def _line(text: str) -> str:
    first = " ".join(text.split("\n\n", maxsplit=1)[0].split()).replace("*/", "* /")
    return first if len(first) <= WIDTH - 8 else first[: WIDTH - 9].rsplit(" ", 1)[0] + " …"


def javascript() -> str:
    """`generated.js`: how each operation is sent."""
    lines = [HEADER, "/** Operations by name: method, path, and the parameters that go into the query. */"]
    lines += ["export const OPERATIONS = {"]
    lines += [
        f"  {each.name}: {json.dumps([each.method, each.path, list(each.query)])}," for each in _operations(Types())
    ]
    return "\n".join([*lines, "};", ""])


def declarations() -> str:
    """`generated.d.ts`: what each operation takes and answers."""
    types = Types()
    methods = [
        f"  /** {_line(each.summary)}: {each.method} {each.path} */\n"
        f"  {each.name}(params: {each.params}, options?: CallOptions): Promise<{each.answer}>;"
        for each in _operations(types)
    ]
    options = [
        "/** How one call is made. */",
        "export interface CallOptions {",
        "  /** The key under which a write happens once; one is made otherwise. */",
        "  idempotencyKey?: string;",
        "  signal?: AbortSignal;",
        "}",
    ]
    table = ["/** A method for each operation; parameters of path, query and body stand side by side. */"]
    table += ["export interface Operations {", *methods, "}"]
    parts = ["\n".join(options), "\n".join(table), *(types.named[name] for name in sorted(types.named))]
    return HEADER + "\n" + "\n\n".join(parts) + "\n"


PAGES = {"clients/typescript/generated.js": javascript, "clients/typescript/generated.d.ts": declarations}
