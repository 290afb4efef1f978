"""What the ledger can be asked to do, after parsing: amounts in units, times in microseconds, ids checked.

Who asks, under which key and by which door is not here: a decision does not depend on it, except where it is said
(`role` of a hold, `caller` of whatever budgets count).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.ledger.domain.budgets import Budget
from services.ledger.domain.state import CostBasis, RevokePolicy, Source, Threshold


@dataclass(slots=True)
class Labels:
    """The optional fields that most commands share. The erasable text itself travels beside the command.

    `caller` is who asks (the token's `sub`, or the service that sends by Kafka): budgets of keys go by it.
    """

    reference: str | None = None
    unique_ref: str | None = None
    reason: str | None = None
    member: str | None = None
    text_digest: str | None = None
    caller: str | None = None


@dataclass(slots=True, kw_only=True)
class Command:
    """A command on one account; its class says what."""

    labels: Labels = field(default_factory=Labels)


@dataclass(slots=True, kw_only=True)
class Grant(Command):
    amount: int
    source: Source = "promo"
    priority: int = 100
    effective_at: int | None = None
    expires_at: int | None = None
    scope: tuple[str, ...] = ()
    cost_basis: CostBasis | None = None


@dataclass(slots=True, kw_only=True)
class Revoke(Command):
    grant: str
    amount: int | None = None
    policy: RevokePolicy | None = None
    hold: str | None = None


@dataclass(slots=True)
class Ask:
    """What is to be priced: an operation (`price`) or a `model` with its usage in millionths, or a `quote` of one."""

    price: str | None = None
    model: str | None = None
    quote: str | None = None
    usage: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Charge(Command):
    """By an `amount`, or by what `ask` costs."""

    amount: int | None = None
    ask: Ask | None = None
    service: str | None = None


@dataclass(slots=True, kw_only=True)
class Refund(Command):
    charge: str
    amount: int | None = None


@dataclass(slots=True, kw_only=True)
class CreateHold(Command):
    """By an `amount`, or by what `ask` costs: then its prices are pinned."""

    amount: int | None = None
    ask: Ask | None = None
    role: str
    ttl_s: int | None = None
    service: str | None = None
    grant: str | None = None
    partial: bool = False


@dataclass(slots=True, kw_only=True)
class CaptureHold(Command):
    """An `amount`, or what `usage` (in millionths) costs by the hold's own prices; neither: all that it still pins."""

    hold: str
    amount: int | None = None
    usage: Mapping[str, int] | None = None
    final: bool = True


@dataclass(slots=True, kw_only=True)
class ExtendHold(Command):
    """`ttl_s` counts from now; the hold's own limit caps it. `amount` is pinned beside what is; `usage` is all of the
    new estimate, at the hold's own prices."""

    hold: str
    ttl_s: int | None = None
    amount: int | None = None
    usage: Mapping[str, int] | None = None
    partial: bool = False


@dataclass(slots=True, kw_only=True)
class ReleaseHold(Command):
    hold: str


@dataclass(slots=True, kw_only=True)
class Transfer(Command):
    to_user: str
    amount: int


@dataclass(slots=True, kw_only=True)
class IncomingLot:
    """A slice of a transfer as it arrives."""

    amount: int
    source: Source
    priority: int
    expires_at: int | None
    scope: tuple[str, ...]
    cost_basis: CostBasis | None


@dataclass(slots=True, kw_only=True)
class CreditTransfer(Command):
    """The second half of a transfer, made from the debit event; unique by its transfer for ever."""

    transfer: str
    from_user: str
    lots: tuple[IncomingLot, ...]


@dataclass(slots=True, kw_only=True)
class ReturnTransfer(Command):
    """The debit undone, because the credit was refused; no state of the account refuses it."""

    transfer: str
    refusal: str


@dataclass(slots=True, kw_only=True)
class Adjust(Command):
    amount: int


@dataclass(slots=True, kw_only=True)
class Act(Command):
    action: str


@dataclass(slots=True, kw_only=True)
class ImportOperation(Command):
    """History of another system; `amount` is signed. `action` names an earning rule that it had applied."""

    kind: str
    occurred_at: int
    amount: int
    balance_after: int | None = None
    action: str | None = None


@dataclass(slots=True, kw_only=True)
class Freeze(Command):
    name: str


@dataclass(slots=True, kw_only=True)
class Unfreeze(Command):
    name: str


@dataclass(slots=True, kw_only=True)
class Close(Command):
    pass


@dataclass(slots=True, kw_only=True)
class ChangeAccount(Command):
    """Sets what is given; `thresholds` replaces the account's own list, an empty `price_list` takes it away."""

    zone: str | None = None
    overdraft_limit: int | None = None
    thresholds: tuple[Threshold, ...] | None = None
    price_list: str | None = None


@dataclass(slots=True, kw_only=True)
class SetBudgets(Command):
    """All budgets of the account, in the place of those before."""

    budgets: tuple[Budget, ...]


@dataclass(slots=True, kw_only=True)
class AssignPlan(Command):
    """A plan, or None to end it. `anchor` is what the months of an anniversary count from, by default the present."""

    plan: str | None
    anchor: int | None = None
    paid_until: int | None = None


@dataclass(slots=True, kw_only=True)
class ResetAllowance(Command):
    """Restore the allowance to its limit now."""


@dataclass(slots=True, kw_only=True)
class Erase(Command):
    """Forget the free texts of this user; the store deletes them in the same transaction."""


@dataclass(slots=True, kw_only=True)
class Quote(Command):
    """What something would cost, and from which lots; remembered for a time, so that it can be had at this price."""

    ask: Ask
    service: str | None = None


@dataclass(slots=True, kw_only=True)
class Sweep(Command):
    """Apply what is due and nothing else."""
