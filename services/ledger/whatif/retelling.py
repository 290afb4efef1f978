"""From what a command came to, back to the command, so that it can be decided again under other rules. Pure.

The log keeps outcomes, not wishes: a grant says what was granted and a charge what was charged. What was asked by price
or usage is in the event too, and is asked in the same way again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from libs.events.ids import Ids, UlidSource
from services.ledger.domain import commands as cmd
from services.ledger.domain import events as ev
from services.ledger.domain.budgets import Budget
from services.ledger.domain.config import AppConfig
from services.ledger.domain.decide.transfers import arriving
from services.ledger.domain.evolve.holds import pinned_card
from services.ledger.domain.pricing.cost import cost
from services.ledger.domain.pricing.exact import COUNT_PLACES, scaled
from services.ledger.domain.state import Threshold

SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asked: their role, which the limits of holds go by, and their key, which budgets go by."""

    role: str
    key: str

    @classmethod
    def of(cls, actor: str) -> Asker:
        """By what the log keeps: `role:sub` of a token, or the service that sent it by Kafka."""
        role, colon, key = actor.partition(":")
        return cls(role, key) if colon else cls("service", actor)


Told = Callable[[Any, AppConfig, Asker], cmd.Command]


class RecordedIds(Ids):
    """Gives out the ids that were given out when the command was decided first, then new ones.

    So what comes later and names a hold, a lot or a charge still finds it.
    """

    __slots__ = ("_recorded",)

    def __init__(self, events: Iterable[ev.AccountEvent], source: UlidSource, partition: int, time_us: int) -> None:
        super().__init__(source, partition, time_us)
        self._recorded: dict[str, deque[str]] = {}
        for event in events:
            for made in made_by(event):
                self._recorded.setdefault(made.partition("_")[0], deque()).append(made)

    def new(self, word: str) -> str:
        """The next recorded id of this word, or a new one."""
        recorded = self._recorded.get(word)
        return recorded.popleft() if recorded else super().new(word)


_NAMED_BY: dict[type, str] = {
    ev.GrantRevoked: "revoke",
    ev.CreditsCharged: "charge",
    ev.ChargeRefunded: "refund",
    ev.HoldCreated: "hold",
    ev.HoldCaptured: "charge",
    ev.TransferDebited: "transfer",
    ev.BalanceAdjusted: "adjustment",
    ev.OperationImported: "operation",
}


def made_by(event: ev.AccountEvent) -> list[str]:
    """The ids that an event gave to what it made, in the order in which a decision asks for them."""
    name = _NAMED_BY.get(type(event))
    made = [] if name is None else [str(getattr(event, name))]
    lot: ev.NewLot | None = getattr(event, "lot", None)
    lots: tuple[ev.NewLot, ...] = getattr(event, "lots", ())
    return made + [new.grant for new in (lots if lot is None else (lot,))]


def _grant(e: ev.CreditsGranted, _config: AppConfig, _asker: Asker) -> cmd.Command:
    if e.action is not None:
        return cmd.Act(action=e.action)
    lot = e.lot
    return cmd.Grant(
        amount=lot.amount,
        source=lot.source,
        priority=lot.priority,
        effective_at=lot.effective_at,
        expires_at=lot.expires_at,
        scope=lot.scope,
        cost_basis=lot.cost_basis,
    )


def _revoke(e: ev.GrantRevoked, _config: AppConfig, _asker: Asker) -> cmd.Command:
    return cmd.Revoke(grant=e.grant, amount=e.amount, policy=e.policy, hold=e.hold)


def _usage(priced: ev.Priced) -> dict[str, int]:
    return {each.unit: scaled(each.count, COUNT_PLACES) for each in priced.usage}


def _ask(priced: ev.Priced | None) -> cmd.Ask | None:
    """What was priced, to be priced again; what a quote had promised too, since other prices make other quotes."""
    if priced is None:
        return None
    return cmd.Ask(price=priced.price, model=priced.model, usage=_usage(priced))


def _charge(e: ev.CreditsCharged, _config: AppConfig, _asker: Asker) -> cmd.Command:
    ask = _ask(e.priced)
    return cmd.Charge(amount=e.amount if ask is None else None, ask=ask, service=e.service)


def _hold(e: ev.HoldCreated, config: AppConfig, asker: Asker) -> cmd.Command:
    ttl_s = (e.expires_at - e.at) // SECOND_US
    ask, partial = _ask(e.priced), False
    if e.priced is not None and ask is not None:
        # It took less than it would have cost only where it might.
        partial = e.amount < cost(pinned_card(e.priced), ask.usage, config.scales[e.asset]).amount
    amount = e.amount if ask is None else None
    return cmd.CreateHold(
        amount=amount, ask=ask, role=asker.role, ttl_s=ttl_s, service=e.service, grant=e.grant, partial=partial
    )


def _capture(e: ev.HoldCaptured, _config: AppConfig, _asker: Asker) -> cmd.Command:
    if e.priced is None:
        return cmd.CaptureHold(hold=e.hold, amount=e.amount, final=e.final)
    return cmd.CaptureHold(hold=e.hold, usage=_usage(e.priced), final=e.final)


def _extend(e: ev.HoldExtended, _config: AppConfig, _asker: Asker) -> cmd.Command:
    ttl_s = max((e.expires_at - e.at) // SECOND_US, 1)
    if e.priced is None:
        return cmd.ExtendHold(hold=e.hold, ttl_s=ttl_s, amount=e.amount or None)
    # With what there was, which may have been less than the estimate.
    return cmd.ExtendHold(hold=e.hold, ttl_s=ttl_s, usage=_usage(e.priced), partial=True)


def _thresholds(given: tuple[ev.ThresholdOf, ...] | None) -> tuple[Threshold, ...] | None:
    return None if given is None else tuple(Threshold(t.level, t.rearm_at, t.percent, t.rearm_percent) for t in given)


def _changed(e: ev.AccountChanged, _config: AppConfig, _asker: Asker) -> cmd.Command:
    if e.erased:
        return cmd.Erase()
    return cmd.ChangeAccount(
        zone=e.zone,
        overdraft_limit=e.overdraft_limit,
        thresholds=_thresholds(e.thresholds),
        price_list=e.price_list,
    )


def _credited(e: ev.TransferCredited, _config: AppConfig, _asker: Asker) -> cmd.Command:
    """As it arrived: what other rules would have made of the sender's half is not known on this side."""
    lots = tuple(map(arriving, e.lots))
    return cmd.CreditTransfer(transfer=e.transfer, from_user=e.from_user, lots=lots)


def _imported(e: ev.OperationImported, config: AppConfig, _asker: Asker) -> cmd.Command:
    rules = config.rules.items()
    action = next((action for action, rule in rules if rule.remembered_as == e.earned_as), None)
    return cmd.ImportOperation(
        kind=e.kind, occurred_at=e.occurred_at, amount=e.amount, balance_after=e.balance_after, action=action
    )


def _budgets(e: ev.BudgetSet, _config: AppConfig, _asker: Asker) -> cmd.Command:
    budgets = (Budget(b.name, b.period, b.limit, b.hard, b.member, b.key) for b in e.budgets)
    return cmd.SetBudgets(budgets=tuple(budgets))


_TOLD: dict[type, Told] = {
    ev.CreditsGranted: _grant,
    ev.GrantRevoked: _revoke,
    ev.CreditsCharged: _charge,
    ev.ChargeRefunded: lambda e, _c, _a: cmd.Refund(charge=e.charge, amount=e.amount),
    ev.HoldCreated: _hold,
    ev.HoldCaptured: _capture,
    ev.HoldExtended: _extend,
    ev.HoldReleased: lambda e, _c, _a: cmd.ReleaseHold(hold=e.hold),
    ev.TransferDebited: lambda e, _c, _a: cmd.Transfer(to_user=e.to_user, amount=e.amount),
    ev.TransferCredited: _credited,
    ev.TransferReturned: lambda e, _c, _a: cmd.ReturnTransfer(transfer=e.transfer, refusal=e.refusal),
    ev.BalanceAdjusted: lambda e, _c, _a: cmd.Adjust(amount=e.amount),
    ev.AccountFrozen: lambda e, _c, _a: cmd.Freeze(name=e.name),
    ev.AccountUnfrozen: lambda e, _c, _a: cmd.Unfreeze(name=e.name),
    ev.AccountClosed: lambda _e, _c, _a: cmd.Close(),
    ev.AccountChanged: _changed,
    ev.OperationImported: _imported,
    ev.BudgetSet: _budgets,
    ev.PlanAssigned: lambda e, _c, _a: cmd.AssignPlan(plan=e.plan, anchor=e.anchor, paid_until=e.paid_until),
    ev.AllowanceReset: lambda _e, _c, _a: cmd.ResetAllowance(),
}


def command_of(events: Sequence[ev.AccountEvent], config: AppConfig, actor: str) -> cmd.Command:
    """The command whose events, all of them, these are; `config` is the one to be decided under."""
    main = _main(events)
    if main is None:
        # The account was opened by settings that were all there already.
        return cmd.ChangeAccount()
    asker = Asker.of(actor)
    command = _TOLD[type(main)](main, config, asker)
    command.labels = cmd.Labels(
        main.reference, main.unique_ref, main.reason, main.member, main.text_digest, caller=asker.key
    )
    return command


def _main(events: Sequence[ev.AccountEvent]) -> ev.AccountEvent | None:
    """The event that is the command's own outcome: a default plan comes before it, and the hold that a revoke ends."""
    return next((event for event in reversed(events) if type(event) in _TOLD), None)
