"""What was measured, as a table for people and as JSON for the record."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.machine import BUSY_SHARE, CORES
from bench.rounds import Series

SPENDERS = ("ledger", "postgres", "client")


@dataclass(frozen=True, slots=True)
class Target:
    """A figure with what it must reach, and what it should."""

    name: str
    value: float | None
    must: float | None
    aim: float | None
    unit: str = ""
    lower_is_better: bool = False

    @property
    def verdict(self) -> str:
        """`aim met`, `met`, `missed` or `aim missed`; nothing where nothing was asked or could be measured."""
        if self.aim is not None and self._reaches(self.aim):
            return "aim met"
        if self.must is not None:
            return "met" if self._reaches(self.must) else "missed"
        return "" if self.aim is None or self.value is None else "aim missed"

    def _reaches(self, bound: float) -> bool:
        if self.value is None:
            return False
        return self.value <= bound if self.lower_is_better else self.value >= bound


@dataclass(slots=True)
class Report:
    """Collects and prints."""

    series: dict[str, Series] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    """What is no rate: a name and a value with its unit."""
    failures: dict[str, str] = field(default_factory=dict)
    """Parts that could not be measured, and why."""
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def failed(self, part: str, error: Exception) -> None:
        """Note that a part could not be measured."""
        self.failures[part] = str(error) or type(error).__name__

    def print(self) -> None:
        """The table, the ratios and how far the machine can be believed, on standard output."""
        console = Console(width=None if os.isatty(1) else 150, highlight=False)
        console.print(f"\n{self.began:%Y-%m-%d %H:%M} UTC, {_machine()}\n")
        if self.series:
            console.print(self._rates())
            console.print(f"¹ processor time for each thing done: {' + '.join(SPENDERS)}\n")
        if self.targets:
            console.print(self._ratios())
        for name, value in self.facts:
            console.print(f"{name}: {value}")
        for part, reason in self.failures.items():
            console.print(f"{part} was not measured: {reason}", style="red", markup=False)
        for line in self._warnings():
            console.print(line, style="yellow")

    def write(self, file: Path) -> None:
        """All of it as JSON."""
        record: dict[str, Any] = {
            "began": self.began.isoformat(),
            "machine": _machine(),
            "series": {name: _series_json(series) for name, series in self.series.items()},
            "targets": [asdict(target) | {"verdict": target.verdict} for target in self.targets],
            "facts": dict(self.facts),
            "failures": self.failures,
        }
        file.write_text(json.dumps(record, indent=2) + "\n")

    def _rates(self) -> Table:
        table = Table("measured", title="Rates (medians of the rounds)", title_justify="left")
        for column in ("per second", "lowest … highest", "CPU µs each¹", "p50 ms", "p99 ms", "generator", "others"):
            table.add_column(column, justify="right")
        for series in self.series.values():
            low, high = series.spread
            table.add_row(
                series.name,
                f"{series.per_s:,.0f}",
                f"{low:,.0f} … {high:,.0f}",
                " + ".join(_cost(series.cost_us, name) for name in SPENDERS) if series.cost_us else "",
                _number(series.p50_ms),
                _number(series.p99_ms),
                _share(series.generator_busy),
                _share(series.others),
            )
        return table

    def _ratios(self) -> Table:
        table = Table("compared", title="Targets (ratios are medians of neighbouring rounds)", title_justify="left")
        for column in ("is", "must be", "aim", ""):
            table.add_column(column, justify="right")
        for target in self.targets:
            sign = "≤" if target.lower_is_better else "≥"
            bounds = ("" if bound is None else f"{sign} {bound:g}{target.unit}" for bound in (target.must, target.aim))
            table.add_row(
                target.name, "" if target.value is None else f"{target.value:.2f}{target.unit}", *bounds, target.verdict
            )
        return table

    def _warnings(self) -> list[str]:
        rounds = sum(len(series.samples) for series in self.series.values())
        disturbed = sum(series.disturbed for series in self.series.values())
        if not disturbed:
            return []
        never_calm = sum(series.disturbed == len(series.samples) for series in self.series.values())
        return [
            f"The machine was busy with other things in {disturbed} of {rounds} rounds (they took more than "
            f"{BUSY_SHARE:.0%} of it). Such rounds were left out, except in {never_calm} of {len(self.series)} lines "
            "that had no other: their rates are too low, and a single process suffers more than pgbench's many."
        ]


def _series_json(series: Series) -> dict[str, Any]:
    return {
        "per_s": series.per_s,
        "samples": [asdict(sample) for sample in series.samples],
        "usages": [asdict(usage) for usage in series.usages],
    }


def _machine() -> str:
    return f"{CORES} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def _cost(costs: dict[str, float], name: str) -> str:
    return f"{costs[name]:.0f}" if name in costs else "–"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"
