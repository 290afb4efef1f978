"""Measured sides take turns in short rounds, so that what the machine does meanwhile meets all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.machine import Usage, watched


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one side. `per_s` is what was finished in a second; the rest is None where it is not known."""

    per_s: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    generator_busy: float | None = None
    cost_us: dict[str, float] = field(default_factory=dict)
    """Microseconds of processor time for each thing done, by who spent them."""


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
    def trusted(self) -> list[Sample]:
        """The rounds that nothing disturbed, if there are any; else all."""
        calm = [s for s, usage in zip(self.samples, self.usages, strict=True) if not usage.disturbed]
        return calm or self.samples

    @property
    def per_s(self) -> float:
        """The median rate."""
        return median(sample.per_s for sample in self.trusted)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest rate."""
        rates = [sample.per_s for sample in self.samples]
        return min(rates), max(rates)

    @property
    def cost_us(self) -> dict[str, float]:
        """The medians of what each thing done has cost, by who spent it."""
        return {name: median(sample.cost_us[name] for sample in self.trusted) for name in self.samples[0].cost_us}

    @property
    def p50_ms(self) -> float | None:
        """The median of the rounds' medians."""
        return _median([sample.p50_ms for sample in self.trusted])

    @property
    def p99_ms(self) -> float | None:
        """The median of the rounds' 99th percentiles."""
        return _median([sample.p99_ms for sample in self.trusted])

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


def ratio(of: Series, to: Series) -> float:
    """The median of the ratios of neighbouring rounds; of those that nothing disturbed, if there are any."""
    both = zip(of.samples, of.usages, to.samples, to.usages, strict=True)
    pairs = [(a.per_s / b.per_s, u.disturbed or v.disturbed) for a, u, b, v in both]
    return median([value for value, disturbed in pairs if not disturbed] or [value for value, _ in pairs])


def cost_ratio(of: Series, to: Series) -> float | None:
    """How many of its things one side can do in the processor time that one thing costs the other."""
    own, other = sum(of.cost_us.values()), sum(to.cost_us.values())
    return other / own if own and other else None


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
