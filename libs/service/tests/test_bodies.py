"""Every fault that pydantic finds gets a code of ours, and a service's own codes pass through."""

from datetime import datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from starlette.datastructures import QueryParams

from libs.service.bodies import parse_body, parse_query
from libs.service.problems import InvalidRequest


def not_round(value: str) -> str:
    if value.endswith("0"):
        raise PydanticCustomError("amount_too_round", "It ends in {digit}.", {"digit": 0})
    return value


class Everything(BaseModel):
    """One field of each kind."""

    model_config = ConfigDict(extra="forbid", strict=True)

    amount: Annotated[str, AfterValidator(not_round)] = "1"
    kind: Literal["a", "b"] = "a"
    flag: bool = True
    names: list[str] = Field(default=[], max_length=2, min_length=0)
    by_name: dict[str, int] = {}
    text: str = Field("ok", max_length=3, min_length=1)
    rate: float = 1.0
    at: datetime | None = None
    inner: list["Everything"] = []


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ('{"amount": "10"}', "amount_too_round", "amount"),
        ('{"kind": "c"}', "not_one_of", "kind"),
        ('{"flag": 1}', "not_a_boolean", "flag"),
        ('{"names": "x"}', "not_a_list", "names"),
        ('{"names": ["a", "b", "c"]}', "too_many", "names"),
        ('{"names": [1]}', "not_a_string", "names.0"),
        ('{"by_name": []}', "not_an_object", "by_name"),
        ('{"by_name": {"x": "y"}}', "not_an_integer", "by_name.x"),
        ('{"text": "long"}', "too_long", "text"),
        ('{"text": ""}', "too_short", "text"),
        ('{"text": "\\ud800"}', "invalid_json", ""),
        ('{"rate": "1"}', "not_a_number", "rate"),
        ('{"at": "tomorrow"}', "invalid_time", "at"),
        ('{"inner": [{"inner": [{"amount": "20"}]}]}', "amount_too_round", "inner.0.inner.0.amount"),
        ('{"by_name": {"x": 1e400}}', "not_an_integer", "by_name.x"),
        ("", "invalid_json", ""),
        ("null", "not_an_object", ""),
        ("NaN", "not_an_object", ""),
        ('{"amount": "1"} more', "invalid_json", ""),
    ],
)
def test_codes(body: str, code: str, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_body(Everything, body.encode())
    assert refused.value.errors is not None
    assert [(fault["code"], fault["field"]) for fault in refused.value.errors] == [(code, field)]


def test_deep_and_huge_input_is_a_named_problem() -> None:
    for body in (b'{"inner":[' * 5_000, b"[" * 1_000_000, b'{"amount": ' + b"9" * 100_000 + b"}"):
        with pytest.raises(InvalidRequest) as refused:
            parse_body(Everything, body)
        assert len(str(refused.value.to_dict())) < 2_000


def test_input_is_not_repeated() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_body(Everything, b'{"flag": "hunter2", "kind": "hunter2"}')
    assert "hunter2" not in str(refused.value.to_dict())


class Query(BaseModel):
    """The parameters of a list."""

    model_config = ConfigDict(extra="forbid", strict=True)

    limit: int = Field(50, ge=1, le=500)
    at: datetime | None = None
    type: str | None = None


def test_a_query_is_parsed_from_its_texts() -> None:
    assert parse_query(Query, QueryParams("limit=5&type=hold")) == Query(limit=5, type="hold")
    assert parse_query(Query, QueryParams("")) == Query()


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("limit=x", "not_an_integer", "limit"),
        ("limit=0", "out_of_range", "limit"),
        ("limt=5", "unknown_field", "limt"),
        ("limit=5&limit=6", "repeated_parameter", "limit"),
        ("at=noon", "invalid_time", "at"),
        ("type=ho%00ld", "control_character", "type"),
    ],
)
def test_faults_of_a_query(query: str, code: str, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_query(Query, QueryParams(query))
    faults: Any = refused.value.errors
    assert [(fault["code"], fault["field"]) for fault in faults] == [(code, field)]
