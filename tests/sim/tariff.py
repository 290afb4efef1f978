"""What plans, budgets and earning rules must come to, worked out from the log by other means than the ledger's.

Months are counted from the app's document and the calendar, budgets are sums of what was spent under them, and of what
holds reserve. Whatever differs is a violation.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from libs.events.partition import partition_of
from libs.service.clock import from_datetime, to_datetime
from services.ledger.domain import codec
from services.ledger.domain import events as ev
from services.ledger.domain.config import ConfigDocument
from services.ledger.domain.specs.allowances import AllowanceSpec
from services.ledger.writer.log import APP_ACCOUNT
from tests.sim.app import APP, ZONE
from tests.sim.calendar import month_of_anchor, month_start, next_month
from tests.sim.tables import Tables

Wrong = Callable[[str, str], None]
Configs = list[tuple[datetime, ConfigDocument]]
"""What was applied, and when; in order."""
Counted = tuple[str, str | None, int | None]
"""(budget, member counted, end of the period)."""


def _plans_at(configs: Configs, moment: datetime) -> dict[str, AllowanceSpec]:
    """The plans in force at a moment, the first ones before there were any."""
    in_force = configs[0][1]
    for applied_at, document in configs:
        if applied_at <= moment:
            in_force = document
    return in_force.allowances


def _month_after(plan: AllowanceSpec, anchor: datetime | None, begin: datetime) -> datetime:
    """When the month ends that begins then."""
    if plan.period == "calendar" or anchor is None:
        return next_month(begin, ZONE)
    return next(end for end in (month_of_anchor(anchor, ZONE, number) for number in range(600)) if end > begin)


@dataclass
class Schedule:
    """When one account's allowance is to return next; None where it does not."""

    plan: str | None = None
    anchor: datetime | None = None
    paid_until: datetime | None = None
    due: datetime | None = None

    def assigned(self, event: ev.PlanAssigned) -> str:
        """Another plan, or other dates; what is wrong with it."""
        self.plan = event.plan
        self.anchor = None if event.anchor is None else to_datetime(event.anchor)
        self.paid_until = None if event.paid_until is None else to_datetime(event.paid_until)
        self.due = None
        if event.plan is None or event.period_end is None or event.lapsed:
            return ""
        self.due = to_datetime(event.period_end)
        at = to_datetime(event.at)
        expected = self._first_end(event, at)
        return "" if self.due == expected else f"{event.plan} was assigned until {self.due}, not {expected}"

    def _first_end(self, event: ev.PlanAssigned, at: datetime) -> datetime:
        if self.anchor is None:
            return next_month(month_start(at, ZONE), ZONE)
        return next(end for end in (month_of_anchor(self.anchor, ZONE, n) for n in range(600)) if end > at)

    def reset(self, event: ev.AllowanceReset, configs: Configs) -> str:
        """A return of the allowance, or its end; what is wrong with it."""
        if event.cause == "by_hand":
            return ""
        if self.due is None or self.plan is None:
            return "was reset, though it has no plan that lasts"
        at, begin, skipped = to_datetime(event.at), self.due, 0
        rest, carried, first = sum(int(s.amount) for s in event.ended), 0, self.due
        if at < begin:
            return f"was reset at {at}, before {begin}"
        while True:
            plan = _plans_at(configs, begin).get(self.plan)
            if plan is None or not self._is_paid(plan, begin):
                self.due = None
                expected = ("unpaid" if plan is not None else "no_plan", begin, skipped, 0, 0)
                break
            rollover = plan.rollover
            carried = 0 if rollover is None else min(int(rollover.max), max(int(rollover.min), rest))
            self.due = _month_after(plan, self.anchor, begin)
            if self.due > at:
                expected = ("due", begin, skipped, int(plan.limit), carried)
                break
            begin, skipped, rest = self.due, skipped + 1, int(plan.limit) + carried
        due_at = to_datetime(event.due_at or 0)
        told = (event.cause, due_at, event.skipped, int(event.limit), int(event.carried))
        since = None if event.skipped_from is None else to_datetime(event.skipped_from)
        if told != expected or since != (first if skipped else None):
            return f"was reset as {told} since {since}, not as {expected}"
        return ""

    def _is_paid(self, plan: AllowanceSpec, begin: datetime) -> bool:
        return self.paid_until is None or begin < self.paid_until + timedelta(seconds=plan.grace_s)


@dataclass
class Spent:
    """One account's budgets: what was spent under each, and what holds and charges count for."""

    sums: Counter[Counted] = field(default_factory=Counter)
    reserved: dict[str, Counter[Counted]] = field(default_factory=dict)
    charges: dict[str, list[Counted]] = field(default_factory=dict)
    kinds: dict[str, tuple[str, str | None, str | None]] = field(default_factory=dict)

    def follow(self, event: ev.AccountEvent) -> str:
        """Count what an event spends, reserves or gives back, and compare; what is wrong."""
        match event:
            case ev.BudgetSet():
                self._set(event)
                return ""
            case ev.CreditsCharged():
                self.charges[event.charge] = self._add(event.budgets, event.amount)
            case ev.HoldCreated():
                self.reserved[event.hold] = Counter(dict.fromkeys(self._add(event.budgets, event.amount), event.amount))
            case ev.HoldExtended():
                more = self._add(event.budgets, event.amount)
                self.reserved.setdefault(event.hold, Counter()).update(dict.fromkeys(more, event.amount))
            case ev.HoldCaptured():
                self._capture(event)
            case ev.HoldReleased() | ev.HoldExpired():
                self.sums.subtract(self.reserved.pop(event.hold, Counter()))
            case ev.ChargeRefunded():
                self.sums.subtract(dict.fromkeys(self.charges.get(event.charge, ()), event.amount))
            case _:
                return ""
        for use in event.budgets:
            if use.used != self.sums[use.name, use.member, use.period_end]:
                counted = self.sums[use.name, use.member, use.period_end]
                return f"budget {use.name} of {use.member} is said to count {use.used}, but {counted} were spent"
        return ""

    def _set(self, event: ev.BudgetSet) -> None:
        """What counts as before goes on counting; the rest begins anew."""
        kinds = {told.name: (told.period, told.member, told.key) for told in event.budgets}
        gone = {name for name, kind in self.kinds.items() if kinds.get(name) != kind}
        self.kinds = {**{name: kind for name, kind in self.kinds.items() if name in kinds}, **kinds}
        for counts in (self.sums, *self.reserved.values()):
            for counted in [one for one in counts if one[0] in gone]:
                del counts[counted]
        for charge, parts in self.charges.items():
            self.charges[charge] = [part for part in parts if part[0] not in gone]

    def _add(self, uses: tuple[ev.BudgetUse, ...], amount: int) -> list[Counted]:
        counted: list[Counted] = [(use.name, use.member, use.period_end) for use in uses]
        self.sums.update(dict.fromkeys(counted, amount))
        return counted

    def _capture(self, event: ev.HoldCaptured) -> None:
        """A charge of its own, and the hold reserves what it pinned no longer, the earliest periods first."""
        self.charges[event.charge] = self._add(event.budgets, event.amount)
        reserved = self.reserved.get(event.hold, Counter())
        left: dict[tuple[str, str | None], int] = {}
        pinned = sum(s.amount for s in event.slices)
        for counted, amount in list(reserved.items()):
            rest = left.get(counted[:2], pinned)
            taken = amount if event.final else min(rest, amount)
            left[counted[:2]] = rest - taken
            reserved[counted] -= taken
            self.sums[counted] -= taken
        if event.final:
            self.reserved.pop(event.hold, None)


@dataclass
class Earned:
    """How often one account earned by each rule or group, and how much in each month."""

    times: Counter[tuple[str, object]] = field(default_factory=Counter)
    amounts: Counter[datetime] = field(default_factory=Counter)

    def follow(self, event: ev.CreditsGranted, document: ConfigDocument) -> str:
        """Count a grant; what is wrong with it."""
        if event.action is None:
            return ""
        rule, month = document.earning_rules[event.action], month_start(to_datetime(event.at), ZONE)
        name = (rule.group or event.action, month if rule.period == "month" else None)
        self.times[name] += 1
        self.amounts[month] += event.lot.amount
        if self.times[name] > rule.times:
            return f"{event.action} has earned {self.times[name]} times"
        most = int(document.earning_caps[0].amount)
        return f"actions earned {self.amounts[month]} in a month" if self.amounts[month] > most else ""


class Tariff:
    """Follows one partition's log. `configs` are the app's; its shard `applies` them, or hears of them later."""

    def __init__(self, configs: Configs, wrong: Wrong, *, applies: bool) -> None:
        self._configs = configs
        self._applies = applies
        self._wrong = wrong
        self._schedules: dict[str, Schedule] = defaultdict(Schedule)
        self._spent: dict[str, Spent] = defaultdict(Spent)
        self._earned: dict[str, Earned] = defaultdict(Earned)
        self._returned: Counter[int] = Counter()
        self.months: dict[datetime, int] = {}
        """What was told of each month that is over for all: how many accounts were reset."""

    def follow(self, user: str, event: ev.Event) -> None:
        """The next event of the log."""
        match event:
            case ev.PlanAssigned():
                self._say("allowance", user, self._schedules[user].assigned(event))
            case ev.AllowanceReset():
                self._say("allowance", user, self._schedules[user].reset(event, self._heard(event)))
                self._count(user, event)
            case ev.CreditsGranted():
                self._say("earning", user, self._earned[user].follow(event, self._configs[0][1]))
            case ev.ResetCompleted():
                self._complete(event)
            case _:
                pass
        if isinstance(event, ev.AccountEvent):
            self._say("budget", user, self._spent[user].follow(event))

    def finish(self, late: datetime) -> None:
        """The end of the log: everything that was due before `late` has happened."""
        for user, schedule in self._schedules.items():
            if schedule.due is not None and schedule.due < late:
                self._wrong("allowance", f"{user} was to be reset at {schedule.due}")

    def _heard(self, event: ev.AllowanceReset) -> Configs:
        return self._configs if self._applies else self._configs[: event.config_version]

    def _say(self, what: str, user: str, detail: str) -> None:
        if detail:
            self._wrong(what, f"{user}: {detail}")

    def _count(self, user: str, event: ev.AllowanceReset) -> None:
        if event.due_at is None or event.cause != "due":
            return
        self._returned[event.due_at] += 1
        if to_datetime(event.due_at) in self.months:
            self._wrong("allowance", f"{user} was reset for {to_datetime(event.due_at)} after that month was told of")

    def _complete(self, event: ev.ResetCompleted) -> None:
        due_at = to_datetime(event.due_at)
        if due_at in self.months:
            self._wrong("allowance", f"the resets of {due_at} were told of twice")
        self.months[due_at] = event.accounts
        if event.accounts != self._returned[event.due_at]:
            returned = self._returned[event.due_at]
            self._wrong("allowance", f"{event.accounts} accounts were told of for {due_at}, but {returned} were reset")


def configs_of(tables: Tables) -> Configs:
    """Every configuration of the app, in order."""
    rows = [row for _, row in sorted(tables.configs.items())]
    return [(row["applied_at"], ConfigDocument.model_validate_json(row["document"])) for row in rows]


def untold_month(tables: Tables, late: datetime) -> datetime | None:
    """The latest month before `late`, if its resets have not been told of in every partition."""
    month = month_start(late, ZONE)
    if not tables.configs or min(row["applied_at"] for row in tables.configs.values()) > month:
        # No app had plans when it began.
        return None
    due = f'"due_at":"{month:%Y-%m-%dT%H:%M:%S}.000000Z"'.encode()
    told = [
        any(row["type"] == "ledger.reset_completed.v1" and due in row["payload"] for row in reversed(rows))
        for rows in tables.events.values()
    ]
    return None if all(told) else month


def check_tariff(tables: Tables, late: datetime, wrong: Wrong) -> None:
    """All of it, on every partition's log; what was due before `late` has happened."""
    configs = configs_of(tables)
    shard = tables.heads[partition_of(APP, APP_ACCOUNT, len(tables.heads))].shard
    for number, rows in tables.events.items():
        tariff = Tariff(configs, wrong, applies=tables.heads[number].shard == shard)
        for row in rows:
            tariff.follow(row["user_id"], codec.decode(row["type"], row["payload"], from_datetime(row["time"])))
        tariff.finish(late)
