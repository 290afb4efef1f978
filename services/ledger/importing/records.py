"""The lines of an import file: opening balances and operations that another system booked.

JSON Lines or CSV (with a header line; empty cells count as not given). A line with `time` is an operation, any other
an opening. Amounts are decimal strings of the asset, times RFC 3339. Each line is checked by itself; what is wrong
with it is told with its number.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from libs.events.contracts.ledger.commands import CostBasis
from libs.events.contracts.ledger.fields import (
    Amount,
    Description,
    GrantedSource,
    Label,
    Metadata,
    Moment,
    Name,
    Reason,
    User,
    Zone,
)
from services.ledger.domain.amounts import AmountError, parse_signed


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    user: User
    asset: Name | None = None


class OpeningLot(BaseModel):
    """Credits of an opening balance that share their terms."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    amount: Amount
    source: GrantedSource = "opening"
    priority: int | None = Field(None, ge=0, le=1_000_000)
    expires_at: Moment | None = None
    scope: tuple[Name, ...] = Field((), max_length=20, strict=False)
    cost_basis: CostBasis | None = None


class Opening(_Record):
    """What an account starts with: `balance`, or `lots` where credits differ in their terms.

    `allowance` is what is left of the present period's allowance, of `plan` or the app's default one.
    """

    balance: Amount | None = None
    expires_at: Moment | None = None
    lots: tuple[OpeningLot, ...] = Field((), max_length=500, strict=False)
    plan: Name | None = None
    anchor: Moment | None = None
    paid_until: Moment | None = None
    allowance: Amount | None = None
    zone: Zone | None = None
    overdraft: Amount | None = None
    frozen: bool = Field(False, strict=False)

    @model_validator(mode="after")
    def _one_balance(self) -> Opening:
        if self.balance is not None and self.lots:
            raise ValueError("either balance or lots, not both")
        return self

    @property
    def all_lots(self) -> tuple[OpeningLot, ...]:
        """The lots to be made; a balance is one lot."""
        if self.balance is None or Decimal(str(self.balance)) == 0:
            return self.lots
        return (OpeningLot(amount=self.balance, expires_at=self.expires_at),)


class Operation(_Record):
    """One operation of the other system; `amount` is signed, `action` an earning rule that it applied."""

    time: Moment
    kind: Reason
    amount: Amount
    balance_after: Amount | None = None
    action: Name | None = None
    reference: Label | None = None
    description: Description | None = None
    metadata: Metadata | None = None
    member: User | None = None


Record = Opening | Operation


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file, counted from 1: its record, or what is wrong with it."""

    number: int
    record: Record | None
    fault: str = ""


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a file, one at a time: `.csv` is CSV, anything else JSON Lines. ValueError: no such format."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                yield _line(number, _cells(row))
        return
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            if raw.strip():
                yield _parsed(number, raw)


def kind_of(record: Record) -> Literal["opening", "operation"]:
    """What a record is called in reports."""
    return "operation" if isinstance(record, Operation) else "opening"


def _cells(row: dict[str | Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items() if value not in (None, "")}


def _parsed(number: int, raw: bytes) -> Line:
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return Line(number, None, f"this is not JSON: {error}")
    return _line(number, fields) if isinstance(fields, dict) else Line(number, None, "this is no JSON object")


def _line(number: int, fields: dict[str, Any]) -> Line:
    model = Operation if "time" in fields else Opening
    try:
        record = model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return Line(number, None, f"{place}: {first['msg']}" if place else first["msg"])
    for amount in amounts_of(record):
        fault = _malformed(amount, signed=isinstance(record, Operation))
        if fault:
            return Line(number, None, fault)
    return Line(number, record)


def _malformed(amount: str | int, *, signed: bool) -> str:
    """What is wrong with an amount whatever its asset; how many decimals it may have is not known yet."""
    try:
        parse_signed(amount, 0)
    except AmountError as error:
        if error.code != "amount_too_precise":
            return error.detail
    return "" if signed or not str(amount).startswith("-") else "only operations have amounts below zero"


def amounts_of(record: Record) -> list[str | int]:
    """Every amount that a record gives."""
    if isinstance(record, Operation):
        given = [record.amount, record.balance_after]
    else:
        given = [record.balance, record.allowance, record.overdraft, *(lot.amount for lot in record.lots)]
    return [amount for amount in given if amount is not None]
