"""What the parts of an app file are made of."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
APP_PATTERN = r"^[a-z][a-z0-9-]{0,62}$"
DAY_S = 86_400
DURATION_S_MAX = 36_525 * DAY_S
"""A hundred years: longer times would lead beyond what a calendar can write."""


def valid_zone(name: str) -> str:
    """An IANA time zone's name; ValueError if there is no such zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name!r}") from error
    return name


Zone = Annotated[str, Field(max_length=64), AfterValidator(valid_zone)]


class Strict(BaseModel):
    """A part in which an unknown key is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
