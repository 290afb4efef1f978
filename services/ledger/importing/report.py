"""What an import file says, and whether the ledger says the same: the parity report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from services.ledger.domain.amounts import AmountError, parse_signed
from services.ledger.importing.apply import allowance_left, in_chunks, openings, state_path
from services.ledger.importing.caller import Caller
from services.ledger.importing.records import Line, Opening, Operation, Record, amounts_of, read_lines

SHOWN_MAX = 100
"""Faults and differences that are kept to be shown; all are counted."""
AT_ONCE = 32


@dataclass(slots=True)
class Contents:
    """What a file holds; sums are of what openings bring, by asset ("" is the app's default one)."""

    openings: int = 0
    operations: int = 0
    sums: dict[str, Decimal] = field(default_factory=dict)
    fault_count: int = 0
    faults: list[dict[str, Any]] = field(default_factory=list)

    def fault(self, number: int, what: str) -> None:
        """Note what is wrong with a line."""
        self.fault_count += 1
        if len(self.faults) < SHOWN_MAX:
            self.faults.append({"line": number, "fault": what})


@dataclass(frozen=True, slots=True)
class Known:
    """What the app's configuration has: the scale of each asset, the default one, plans and actions."""

    scales: dict[str, int]
    default: str
    plans: Collection[str]
    actions: Collection[str]

    @classmethod
    def of(cls, config: dict[str, Any]) -> Known:
        """By the document that `GET /v1/config` answers."""
        assets = config["assets"]
        default = next((name for name, asset in assets.items() if asset.get("default")), next(iter(assets)))
        scales = {name: asset["scale"] for name, asset in assets.items()}
        return cls(scales, default, set(config.get("allowances", ())), set(config.get("earning_rules", ())))


def contents_of(path: Path, known: Known) -> Contents:
    """Read the whole file and check each line against the app; nothing is sent."""
    contents = Contents()
    seen: set[tuple[str, str]] = set()
    for line in read_lines(path):
        fault = line.fault or _fault(line, known, seen)
        if fault:
            contents.fault(line.number, fault)
        elif isinstance(line.record, Operation):
            contents.operations += 1
        elif isinstance(line.record, Opening):
            contents.openings += 1
            asset = line.record.asset or ""
            contents.sums[asset] = contents.sums.get(asset, Decimal(0)) + expected_balance(line.record)
    return contents


def _fault(line: Line, known: Known, seen: set[tuple[str, str]]) -> str:
    record = line.record
    if record is None:
        return "this line says nothing"
    asset = record.asset or known.default
    if asset not in known.scales:
        return f"the app has no asset {asset!r}"
    if isinstance(record, Operation):
        if record.action is not None and record.action not in known.actions:
            return f"the app has no earning rule for {record.action!r}"
    else:
        if record.plan is not None and record.plan not in known.plans:
            return f"the app has no plan {record.plan!r}"
        if (record.user, asset) in seen:
            return f"a second opening of {record.user} in {asset}"
        seen.add((record.user, asset))
    return _unfit(record, known.scales[asset])


def _unfit(record: Record, scale: int) -> str:
    try:
        for amount in amounts_of(record):
            parse_signed(amount, scale)
    except AmountError as error:
        return error.detail
    return ""


def expected_balance(opening: Opening) -> Decimal:
    """What the lots of an opening come to."""
    return sum((Decimal(str(lot.amount)) for lot in opening.all_lots), Decimal(0))


@dataclass(frozen=True, slots=True)
class Difference:
    """An account that does not stand as the file says; `allowance` None: the file does not say."""

    user: str
    asset: str
    balance: str
    balance_in_ledger: str
    allowance: str | None
    allowance_in_ledger: str | None


@dataclass(slots=True)
class Parity:
    """How the ledger's accounts compare with the file's."""

    compared: int = 0
    equal: int = 0
    missing: int = 0
    expected: Decimal = Decimal(0)
    found: Decimal = Decimal(0)
    differences: list[Difference] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether every account stands as the file says."""
        return self.equal == self.compared

    def as_dict(self) -> dict[str, Any]:
        """For the report file."""
        counts = {"compared": self.compared, "equal": self.equal, "missing": self.missing}
        sums = {"expected": str(self.expected), "found": str(self.found)}
        return {**counts, **sums, "differences": [asdict(each) for each in self.differences]}


async def compare(caller: Caller, path: Path, told: Callable[[int], None]) -> Parity:
    """Look at every account of the file as it stands in the ledger now."""
    parity = Parity()
    for chunk in in_chunks(openings(path), AT_ONCE):
        states = await asyncio.gather(*(caller.get(state_path(opening)) for opening in chunk))
        for opening, state in zip(chunk, states, strict=True):
            _compare(parity, opening, state)
        told(len(chunk))
    return parity


def _compare(parity: Parity, opening: Opening, state: dict[str, Any] | None) -> None:
    left = allowance_left(state)
    balance = Decimal(0) if state is None else Decimal(state["settled"]) - left
    expected = expected_balance(opening)
    allowance = None if opening.allowance is None else Decimal(str(opening.allowance))
    parity.compared += 1
    parity.missing += state is None
    parity.expected += expected
    parity.found += balance
    if balance == expected and allowance in (None, left):
        parity.equal += 1
    elif len(parity.differences) < SHOWN_MAX:
        stated = None if allowance is None else str(allowance)
        parity.differences.append(
            Difference(opening.user, opening.asset or "", str(expected), str(balance), stated, str(left))
        )
