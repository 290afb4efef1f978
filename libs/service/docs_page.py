"""`/docs`: the OpenAPI document as one plain page, with no script and nothing from another host."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from html import escape
from typing import Any

from starlette.responses import HTMLResponse, Response

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code { font: 0.9em ui-monospace, monospace; overflow-wrap: anywhere; }
details { border: 1px solid #8886; border-radius: 6px; margin: 0.4rem 0; padding: 0.4rem 0.8rem; }
summary { cursor: pointer; }
summary b { display: inline-block; min-width: 4.5rem; font-size: 0.8em; text-transform: uppercase; }
table { border-collapse: collapse; width: 100%; }
td, th { border-bottom: 1px solid #8883; padding: 0.25rem 0.8rem 0.25rem 0; text-align: left; vertical-align: top; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
PAGE_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_METHODS = ("get", "post", "put", "patch", "delete")


def docs_response(openapi: dict[str, Any]) -> Response:
    """The page of an OpenAPI document."""
    info = openapi["info"]
    title = escape(f"{info['title']} {info['version']}")
    body = "".join(_groups(openapi))
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{title}</h1><p>{escape(info.get('description', ''))}</p>"
        f'<p>For programs: <a href="/openapi.json">openapi.json</a></p>{body}</body></html>'
    )
    return HTMLResponse(page, headers=PAGE_HEADERS)


def _groups(openapi: dict[str, Any]) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for path, item in openapi["paths"].items():
        for method in _METHODS:
            if method in item:
                operation = item[method]
                group = (operation.get("tags") or ["routes"])[0]
                groups.setdefault(group, []).append(_operation(openapi, method, path, operation))
    for group, operations in groups.items():
        yield f"<h2>{escape(group.capitalize())}</h2>{''.join(operations)}"


def _operation(openapi: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> str:
    summary = escape(operation.get("summary", ""))
    parts = [f"<details><summary><b>{method}</b> <code>{escape(path)}</code> {summary}</summary>"]
    if operation.get("description"):
        parts.append(f"<p>{escape(operation['description'])}</p>")
    rows = [
        (
            parameter["name"],
            f"{parameter['in']}: {_type(parameter.get('schema', {}))}",
            _needed(parameter.get("required", False)),
        )
        for parameter in operation.get("parameters", [])
    ]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        rows += _fields(openapi, content.get("schema", {}))
    if rows:
        cells = "".join(
            f"<tr><td><code>{escape(name)}</code></td><td>{escape(kind)}</td><td>{needed}</td></tr>"
            for name, kind, needed in rows
        )
        parts.append(f"<table><tr><th>name</th><th>type</th><th></th></tr>{cells}</table>")
    answers = ", ".join(
        f"<code>{escape(status)}</code> {escape(answer.get('description', ''))}"
        for status, answer in operation.get("responses", {}).items()
    )
    return "".join(parts) + f"<p>Answers: {answers}</p></details>"


def _fields(openapi: dict[str, Any], schema: dict[str, Any]) -> list[tuple[str, str, str]]:
    schema = _resolve(openapi, schema)
    required = schema.get("required", [])
    return [(name, _type(field), _needed(name in required)) for name, field in schema.get("properties", {}).items()]


def _needed(required: bool) -> str:
    return "required" if required else ""


def _resolve(openapi: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = openapi.get("components", {}).get("schemas", {}).get(name, schema) if name else schema
    return found


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "any"))
