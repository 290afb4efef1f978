"""Request bodies and queries: parsed once by pydantic, every fault named by a code of ours.

Models of bodies should forbid extra fields and be strict. A validator gives a fault its own code by raising
`PydanticCustomError(code, detail)`; the types that pydantic itself raises are translated here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ErrorType
from starlette.datastructures import QueryParams

from libs.service.problems import InvalidRequest, invalid

M = TypeVar("M", bound=BaseModel)

ERRORS_MAX = 50
_BUILT_IN = frozenset(get_args(ErrorType))
_CODES = {
    "extra_forbidden": "unknown_field",
    "unexpected_keyword_argument": "unknown_field",
    "missing": "missing_field",
    "missing_argument": "missing_field",
    "json_invalid": "invalid_json",
    "json_type": "invalid_json",
    "string_type": "not_a_string",
    "string_unicode": "not_a_string",
    "string_too_short": "too_short",
    "string_too_long": "too_long",
    "too_short": "too_few",
    "too_long": "too_many",
    "bool_type": "not_a_boolean",
    "bool_parsing": "not_a_boolean",
    "list_type": "not_a_list",
    "tuple_type": "not_a_list",
    "set_type": "not_a_list",
    "dict_type": "not_an_object",
    "model_type": "not_an_object",
    "model_attributes_type": "not_an_object",
    "mapping_type": "not_an_object",
    "literal_error": "not_one_of",
    "enum": "not_one_of",
    "union_tag_invalid": "not_one_of",
    "union_tag_not_found": "missing_field",
    "finite_number": "out_of_range",
    "int_parsing_size": "out_of_range",
}
_CODE_PREFIXES = (
    ("int_", "not_an_integer"),
    ("float_", "not_a_number"),
    ("decimal_", "not_a_number"),
    ("datetime_", "invalid_time"),
    ("date_", "invalid_time"),
    ("time", "invalid_time"),
    ("greater_than", "out_of_range"),
    ("less_than", "out_of_range"),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLACES = frozenset({"body", "query", "path", "header", "cookie"})


def _no_control_characters(text: str) -> str:
    if _CONTROL.search(text):
        raise PydanticCustomError("control_character", "Control characters are not allowed.")
    return text


CleanText = Annotated[str, AfterValidator(_no_control_characters)]
"""Text of one line: neither logs, terminals nor PostgreSQL (which cannot store NUL) can be upset by it."""


def parse_body(model: type[M], body: bytes) -> M:
    """The `model` that the JSON `body` holds; :class:`InvalidRequest` with every fault otherwise."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise errors_from_pydantic(error) from None


def parse_query(model: type[M], parameters: QueryParams) -> M:
    """The `model` that a query string holds; one that is unknown to it, or stands twice, is a fault too.

    So is a NUL, whatever the model says of the field: PostgreSQL takes none in a text.
    """
    values: dict[str, str] = {}
    for name, value in parameters.multi_items():
        if name in values:
            raise invalid("repeated_parameter", name[:200], "It may be given once.")
        if "\x00" in value:
            raise invalid("control_character", name[:200], "Control characters are not allowed.")
        values[name] = value
    try:
        return model.model_validate_strings(values)
    except ValidationError as error:
        raise errors_from_pydantic(error) from None


def errors_from_pydantic(error: ValidationError | Sequence[Mapping[str, Any]]) -> InvalidRequest:
    """The problem that says what a pydantic error (or its `errors()`) found, without repeating the input."""
    if isinstance(error, ValidationError):
        faults: Sequence[Mapping[str, Any]] = error.errors(
            include_url=False, include_context=False, include_input=False
        )
    else:
        faults = error
    errors = [_fault(fault) for fault in faults[:ERRORS_MAX]]
    first = errors[0]
    detail = f"{first['field']}: {first['detail']}" if first["field"] else first["detail"]
    if len(faults) > 1:
        detail += f" ({len(faults)} faults in all)"
    return InvalidRequest(detail, errors=errors)


def _fault(fault: Mapping[str, Any]) -> dict[str, str]:
    kind, location = str(fault["type"]), list(fault["loc"])
    if location and location[0] in _PLACES:
        location = location[1:]
    if kind == "json_invalid":
        # Its location is a byte offset, which the message repeats in words.
        location = []
    field = ".".join(str(part) for part in location)
    return {"code": _code(kind, field), "field": field[:200], "detail": str(fault["msg"])[:500]}


def _code(kind: str, field: str) -> str:
    if kind not in _BUILT_IN:
        return kind
    if kind in _CODES:
        return _CODES[kind]
    if kind == "string_pattern_mismatch":
        name = field.rpartition(".")[2]
        return f"invalid_{name}" if re.fullmatch(r"[a-z_]{1,40}", name) else "invalid_format"
    for prefix, code in _CODE_PREFIXES:
        if kind.startswith(prefix):
            return code
    return "invalid_value"
