"""What is asked of the service about codes: to make one, or many, or to change one."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, create_model, model_validator

from services.codes.domain import texts
from services.codes.domain.codes import CodeStatus
from services.codes.domain.specs import CodeSpec, Strict, Text, fault

COUNT_MAX = 1_000_000
"""Codes of one batch."""
PREFIX_MAX = 16


class _Made(CodeSpec):
    """Codes whose texts are made, by a pattern or from a prefix and a length."""

    campaign: Annotated[str, Field(max_length=64)] | None = Field(
        default=None, description="The id of the campaign whose budget it takes from."
    )
    pattern: str | None = Field(
        default=None,
        max_length=texts.TEMPLATE_MAX,
        description="How made texts look, for example `NEW-####-####-#####`: each # is a made character, the last "
        "one is the check character.",
    )
    prefix: str | None = Field(default=None, max_length=PREFIX_MAX, description="What made texts begin with.")
    length: int | None = Field(
        default=None, ge=texts.RANDOM_MIN, le=texts.RANDOM_MAX, description="Random characters of made texts."
    )

    @property
    def made_as(self) -> texts.Pattern:
        """The pattern of made texts."""
        if self.pattern is not None:
            return texts.Pattern.parse(self.pattern)
        return texts.Pattern.of(self.prefix or "", self.length or texts.RANDOM_DEFAULT)

    @model_validator(mode="after")
    def _one_pattern(self) -> Self:
        if self.pattern is not None and (self.prefix is not None or self.length is not None):
            raise fault("not_together", "A pattern says the prefix and the length.")
        try:
            _ = self.made_as
        except texts.TextError as error:
            raise fault(error.code, str(error)) from None
        return self

    def for_one_use(self) -> Self:
        """With what holds for made texts where nothing else was said: one use; a gift lasts as long as its balance."""
        return (
            self
            if "max_uses" in self.model_fields_set or self.kind == "gift"
            else self.model_copy(update={"max_uses": 1})
        )


class NewCode(_Made):
    """What `POST /v1/codes` takes. Without `code` its text is made, known to nobody else, and for one use."""

    code: Text | None = Field(default=None, description="A text that everybody may know, such as WELCOME100.")
    status: Literal["active", "paused"] = "active"

    @model_validator(mode="after")
    def _chosen_or_made(self) -> Self:
        if self.code is not None and not (self.pattern is None and self.prefix is None and self.length is None):
            raise fault("not_together", "A chosen code is not made by a pattern.")
        return self


class NewBatch(_Made):
    """What `POST /v1/batches` takes."""

    count: int = Field(ge=1, le=COUNT_MAX, description="How many codes.")


class _Change(Strict):
    status: CodeStatus | None = None

    @model_validator(mode="after")
    def _no_status_is_none(self) -> Self:
        if "status" in self.model_fields_set and self.status is None:
            raise fault("not_one_of", "A code is active, paused or void.")
        return self


ChangeCode = create_model(
    "ChangeCode",
    __base__=_Change,
    __doc__="What `PATCH /v1/codes/{id}` takes: the fields that get new values.",
    **{  # type: ignore[call-overload]
        name: (field.rebuild_annotation() | None, None) for name, field in CodeSpec.model_fields.items()
    },
)
