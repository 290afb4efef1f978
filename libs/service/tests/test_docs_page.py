"""The documentation page shows what the document says and runs none of it."""

from typing import Any

from libs.service.docs_page import docs_response

EVIL = "<script>alert(1)</script>"


def page_of(openapi: dict[str, Any]) -> str:
    return bytes(docs_response(openapi).body).decode()


def test_bodies_and_parameters_are_listed_with_their_types() -> None:
    body = {
        "required": ["user"],
        "properties": {
            "user": {"type": "string"},
            "source": {"enum": ["paid", "promo"]},
            "scope": {"type": "array", "items": {"type": "string"}},
            "basis": {"anyOf": [{"$ref": "#/components/schemas/Basis"}, {"type": "null"}]},
        },
    }
    page = page_of(
        {
            "info": {"title": "Ledger", "version": "1"},
            "components": {"schemas": {"Grant": body}},
            "paths": {
                "/v1/grants": {
                    "post": {
                        "summary": "Give credits",
                        "parameters": [{"name": "Idempotency-Key", "in": "header", "required": True}],
                        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/x/Grant"}}}},
                        "responses": {"201": {"description": "Given"}},
                    }
                }
            },
        }
    )
    for cells in (
        "<code>Idempotency-Key</code></td><td>header: any</td><td>required",
        "<code>user</code></td><td>string</td><td>required",
        "<code>source</code></td><td>paid | promo</td><td></td>",
        "<code>scope</code></td><td>list of string</td>",
        "<code>basis</code></td><td>Basis or null</td>",
        "<code>201</code> Given",
    ):
        assert cells in page


def test_nothing_of_the_document_becomes_markup() -> None:
    operation = {
        "summary": EVIL,
        "description": EVIL,
        "tags": [EVIL],
        "parameters": [{"name": EVIL, "in": EVIL, "schema": {"type": EVIL}}],
        "responses": {EVIL: {"description": EVIL}},
    }
    info = {"title": EVIL, "version": EVIL, "description": EVIL}
    page = page_of({"info": info, "paths": {f"/{EVIL}": {"get": operation}}})
    assert "<script" not in page.lower()
    assert "&lt;script" in page
