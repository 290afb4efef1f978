"""Measured sides take turns in short rounds, so that what the machine does meanwhile meets all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.machine import CORES, Usage, watched


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one side. `per_s` is what was finished in a second; the rest is None where it is not known."""

    per_s: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    generator_busy: float | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """Something to measure."""

    name: str
    run: Callable[[], Sample]


@dataclass(slots=True)
class Series:
    """All rounds of one side."""

    name: str
    samples: list[Sample] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        """The median rate."""
        return median(sample.per_s for sample in self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest rate."""
        rates = [sample.per_s for sample in self.samples]
        return min(rates), max(rates)

    @property
    def per_cpu_s(self) -> float | None:
        """The median of what was finished in a second of processor time, everything counted that took part."""
        return _median([_cost(*round_) for round_ in zip(self.samples, self.usages, strict=True)])

    @property
    def p50_ms(self) -> float | None:
        """The median of the rounds' medians."""
        return _median([sample.p50_ms for sample in self.samples])

    @property
    def p99_ms(self) -> float | None:
        """The median of the rounds' 99th percentiles."""
        return _median([sample.p99_ms for sample in self.samples])

    @property
    def generator_busy(self) -> float | None:
        """The highest share of its time that the generator was computing."""
        return max((s.generator_busy for s in self.samples if s.generator_busy is not None), default=None)

    @property
    def others(self) -> float | None:
        """The median share of the machine that went to others."""
        return _median([usage.others for usage in self.usages])

    @property
    def disturbed(self) -> int:
        """In how many rounds others took too much."""
        return sum(usage.disturbed for usage in self.usages)


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _cost(sample: Sample, usage: Usage) -> float | None:
    return sample.per_s / (usage.ours * CORES) if usage.ours else None


def cost_ratio(of: Series, to: Series) -> float | None:
    """How much more one side finishes than the other in the same processor time."""
    a, b = of.per_cpu_s, to.per_cpu_s
    return a / b if a and b else None


def ratio(of: Series, to: Series) -> float:
    """The median of the ratios of rounds that were run one after the other."""
    return median(a.per_s / b.per_s for a, b in zip(of.samples, to.samples, strict=True))


def take_turns(sides: Sequence[Side], rounds: int, tell: Callable[[str], None]) -> dict[str, Series]:
    """Run every side once a round; every second round goes backwards, so that none always follows the same one."""
    series = {side.name: Series(side.name) for side in sides}
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            tell(f"round {number + 1} of {rounds}: {side.name}")
            with watched() as usage:
                sample = side.run()
            series[side.name].samples.append(sample)
            series[side.name].usages.append(usage)
    return series
