"""What all answers share: how credits and times are written, an answer, a write's answer, a page."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Credits = Annotated[str, Field(description="A decimal string at the asset's full scale.", examples=["12.50"])]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Answer(BaseModel):
    """Fields may be added; readers pass over those that they do not know."""

    model_config = ConfigDict(extra="allow")


class Written(Answer):
    """The account after a write, and the write's place in the log, good for `min_position`."""

    settled: Credits
    held: Credits
    owed: Credits
    available: Credits
    position: int
    partition: int


class Page(Answer):
    """One page of a list."""

    next_cursor: str | None
    has_more: bool
