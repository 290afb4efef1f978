"""The shapes of answers that all services share, for the OpenAPI documents: refusals, pages, configurations."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Credits = Annotated[str, Field(description="A decimal string at the asset's full scale.", examples=["12.50"])]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Answer(BaseModel):
    """Fields may be added; readers pass over those that they do not know."""

    model_config = ConfigDict(extra="allow")


class Page(Answer):
    """One page of a list."""

    next_cursor: str | None
    has_more: bool


class Fault(Answer):
    """One thing that is wrong with a request."""

    code: str
    field: str
    detail: str


class Problem(Answer):
    """A refusal (RFC 9457): `code` is for programs, `detail` and `next` are for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    next: str | None = None
    errors: list[Fault] | None = None
    request_id: str | None = None


class Config(Answer):
    """The app's configuration; the header ETag has the version for `If-Match`."""

    app: str
    version: int
    config: dict[str, Any]


class Change(Answer):
    """One difference between two configurations."""

    path: str
    before: Any
    after: Any


class Difference(Answer):
    """What applying a configuration would change."""

    app: str
    version: int
    changes: list[Change]
