"""Where a decision writes down what happens: each event is numbered, gets its balances and is folded at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from libs.events.ids import Ids
from services.ledger.domain import events as ev
from services.ledger.domain.allowances import lot_of
from services.ledger.domain.amounts import format_units
from services.ledger.domain.commands import Labels
from services.ledger.domain.config import AppConfig
from services.ledger.domain.evolve import fold, know_due, rearm
from services.ledger.domain.postings import effect
from services.ledger.domain.records import Loaded, QuoteRecord
from services.ledger.domain.rejections import conflict
from services.ledger.domain.state import Account, Lot, Phase, Threshold

_NO_LABELS = Labels()
SLICES_MAX = 1000
"""Lots that one event may take from: as a message it must stay below the megabyte that Kafka takes."""


@dataclass(slots=True)
class Context:
    """What comes with a command from outside the account: the config in force, the writer's time, new ids."""

    config: AppConfig
    now: int
    ids: Ids
    loaded: Loaded


@dataclass(slots=True)
class Decision:
    """What follows from a command: the answer's status and body, without position and partition."""

    status: int
    body: dict[str, Any]
    quote: QuoteRecord | None = None
    """A quote that is to be remembered."""


class Recorder:
    """The account as a decision unfolds, and the events that it is made of.

    Sums over events are balanced by construction: balances after an event are those before it plus the effect of its
    postings.
    """

    __slots__ = ("_available_before", "_labels", "_thresholds", "account", "context", "events")

    def __init__(self, account: Account, context: Context, labels: Labels = _NO_LABELS) -> None:
        self.account = account
        self.context = context
        self.events: list[ev.AccountEvent] = []
        self._labels = labels
        self._thresholds = context.config.thresholds.get(account.profile.asset, ()) + account.profile.thresholds
        self._available_before = account.available() if self._thresholds else 0

    @property
    def now(self) -> int:
        """The time of this decision, microseconds since the epoch."""
        return self.context.now

    def amount(self, units: int) -> str:
        """The decimal string of an amount of this account's asset."""
        return format_units(units, self.account.profile.scale)

    def record(self, event: ev.AccountEvent, config: AppConfig | None = None) -> None:
        """Number an event, give it the balances before and after, and fold it.

        `config` is the version that it was decided under, where that is not the one in force now.
        """
        account = self.account
        settled, held, owed = effect(event)
        event.at = self.context.now
        event.asset = account.profile.asset
        event.account_version = account.version + 1
        event.config_version = (config or self.context.config).version
        event.before = ev.Balances(ev.Units(account.settled), ev.Units(account.held), ev.Units(account.owed))
        event.after = ev.Balances(
            ev.Units(account.settled + settled), ev.Units(account.held + held), ev.Units(account.owed + owed)
        )
        self.account = fold(account, event)
        self.events.append(event)

    def record_main(self, event: ev.AccountEvent) -> None:
        """Record the event that is the command's own outcome: it carries the command's labels."""
        labels = self._labels
        event.reference = labels.reference
        event.unique_ref = labels.unique_ref
        event.reason = labels.reason
        event.member = labels.member
        event.text_digest = labels.text_digest
        self.record(event)

    def open(self, *, with_plan: bool = True) -> None:
        """Open the account if this is the first that is heard of it; it begins with the asset's default plan."""
        if self.account.version:
            return
        self.record(ev.AccountOpened(scale=self.account.profile.scale))
        config = self.context.config
        plan = config.default_plans.get(self.account.profile.asset)
        if plan is None or not with_plan:
            return
        span = plan.month(config.zone, self.now, self.now)
        self.record(
            ev.PlanAssigned(
                plan=plan.name,
                limit=ev.Units(plan.limit),
                period_start=ev.Time(span[0]),
                period_end=ev.Time(span[1]),
                anchor=ev.Time(self.now) if plan.period == "anniversary" else None,
                lot=lot_of(plan, self.context.ids.new("grant"), plan.limit, (self.now, span[1])),
                renewed=True,
            )
        )
        # What it begins with counts as having been there before the command.
        self._available_before = self.account.available()

    def repay(self, lots: Iterable[str]) -> None:
        """What new lots bring in repays what is owed first, out of those lots."""
        for key in lots:
            lot = self.account.lots[key]
            amount = min(self.account.owed, lot.free)
            if amount > 0:
                part = ev.SliceOf(key, ev.Units(amount))
                self.record(ev.OwedRepaid(amount=ev.Units(amount), slices=(part,)))

    def repaid_overdraft(self, amount: int) -> int:
        """How much of new credits repays a used overdraft, after what is owed has been repaid out of them."""
        account = self.account
        return min(account.overdraft_used, amount - min(account.owed, amount))

    def finish(self) -> None:
        """What is worked out once for a whole command: thresholds, and when the account is due next."""
        if self.events and self._thresholds:
            self._cross()
        know_due(self.account)

    def _cross(self) -> None:
        """Arm and fire thresholds, on the crossing of what was available before the command."""
        available = self.account.available()
        thresholds = self._levels()
        self._rearm(thresholds, available)
        for threshold in thresholds:
            crossing = self.account.crossings.get(threshold.level)
            if self._available_before >= threshold.level > available and (crossing is None or crossing.armed):
                self.record(
                    ev.ThresholdCrossed(
                        threshold=ev.Units(threshold.level),
                        generation=1 if crossing is None else crossing.generation,
                        available=ev.Units(available),
                        percent=threshold.percent,
                    )
                )

    def _levels(self) -> list[Threshold]:
        """The thresholds as levels; those in per cent need an allowance to be of."""
        allowance = self.account.allowance
        if allowance is None:
            return [threshold for threshold in self._thresholds if threshold.percent is None]
        return [threshold.of(allowance.limit) for threshold in self._thresholds]

    def _rearm(self, thresholds: list[Threshold], available: int) -> None:
        crossings = self.account.crossings
        if not crossings:
            return
        levels = {
            t.level
            for t in thresholds
            if available >= t.rearm_at and t.level in crossings and not crossings[t.level].armed
        }
        if levels:
            self.events[-1].rearmed = rearmed = tuple(ev.Units(level) for level in sorted(levels))
            account = self.account.clone()
            rearm(account, rearmed)
            self.account = account


def split(lots: Iterable[Lot], amount: int) -> list[ev.SliceOf]:
    """Slices of the free part of lots, in the order given, up to `amount`; fewer if that is all there is.

    409 `too_many_lots` if there would be more than an event may have.
    """
    slices: list[ev.SliceOf] = []
    for lot in lots:
        if amount <= 0:
            break
        part = min(lot.remaining - lot.pinned, amount)
        if part > 0:
            if len(slices) == SLICES_MAX:
                detail = f"This would take from more than {SLICES_MAX} lots at once."
                raise conflict("too_many_lots", detail, {"limit": SLICES_MAX})
            slices.append(ev.SliceOf(lot.terms.id, ev.Units(part)))
            amount -= part
    return slices


def returned(account: Account, slices: Iterable[ev.SliceOf]) -> ev.Returned:
    """What becomes of pinned slices that are let go: their lot may be under revocation, or expired."""
    free: list[ev.SliceOf] = []
    broken: list[ev.SliceOf] = []
    reclaimed: list[ev.SliceOf] = []
    claimed: dict[str, int] = {}
    for s in slices:
        lot = account.lots[s.lot]
        claim = min(lot.revoking - claimed.get(s.lot, 0), s.amount)
        if claim > 0:
            claimed[s.lot] = claimed.get(s.lot, 0) + claim
            reclaimed.append(ev.SliceOf(s.lot, ev.Units(claim)))
        rest = s.amount - max(claim, 0)
        if rest:
            (broken if lot.phase == Phase.EXPIRED else free).append(ev.SliceOf(s.lot, ev.Units(rest)))
    return ev.Returned(tuple(free), tuple(broken), tuple(reclaimed))
