"""What the ledger can be asked to do: bodies over HTTP, and the same with the ids of their path as Kafka commands.

All are strict: an unknown field is refused, and so is a number where a text is meant. A class whose name ends in
`Body` is the HTTP body of a route that has an id in its path; the command beside it adds that id.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from libs.events.contracts.base import Command, contract
from libs.events.contracts.ledger.fields import (
    Amount,
    BudgetPeriod,
    ChargeId,
    Description,
    GrantedSource,
    GrantId,
    HoldId,
    Label,
    Members,
    Metadata,
    Model,
    Moment,
    Name,
    PriceList,
    Quantity,
    QuoteId,
    Reason,
    RevokePolicy,
    Seconds,
    Tokens,
    User,
    Zone,
)


class Body(BaseModel):
    """What nearly every command may carry.

    `reference` is a searchable label; `unique_ref` makes the command happen once for ever; `description` and
    `metadata` are free text that can be erased; `member` is on whose behalf the user acted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    asset: Name | None = None
    reference: Label | None = None
    unique_ref: Label | None = None
    reason: Reason | None = None
    description: Description | None = None
    metadata: Metadata | None = None
    member: User | None = None


class Usage(BaseModel):
    """How much was, or will be, used. Tokens as OpenAI counts them: `input` is all of the prompt, with those of it that
    were `cached` or written to the cache; `output` is all of the answer, `reasoning` included. `quantity` is of an
    operation."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    input: Tokens | None = None
    output: Tokens | None = None
    cached: Tokens | None = None
    cache_write: Tokens | None = None
    reasoning: Tokens | None = None
    images: Tokens | None = None
    seconds: Quantity | None = None
    quantity: Quantity | None = None


class CostBasis(BaseModel):
    """What the credits cost their owner: minor units of an ISO 4217 currency."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    amount_minor: int = Field(ge=0, le=10**15)
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


Percent = Annotated[int, Field(ge=1, le=1000)]


class ThresholdSetting(BaseModel):
    """A level of `available` to be told about, once, until `rearm_at` (default: the level) is reached again.

    It is in credits, or as `below_percent` in per cent of the allowance's limit, and then `rearm_percent` arms it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    below: Amount | None = None
    rearm_at: Amount | None = None
    below_percent: Percent | None = None
    rearm_percent: Percent | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> ThresholdSetting:
        if (self.below is None) == (self.below_percent is None):
            raise ValueError("a threshold has either below or below_percent")
        if (self.below is None and self.rearm_at is not None) or (self.below_percent is None and self.rearm_percent):
            raise ValueError("a threshold is armed again at a level of the same kind")
        return self


Thresholds = Annotated[tuple[ThresholdSetting, ...], Field(max_length=20)]


class BudgetSetting(BaseModel):
    """How much may be spent in a period: by a `member` (`*`: by each), by whoever has a `key`, or by all together.

    The key is the `sub` of a caller's token. A hard budget refuses what would exceed it, a soft one tells. Without a
    name it gets one from what it counts: `month`, `member:ann:day`, `key:bot:week`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Label | None = None
    member: Members | None = None
    key: Label | None = None
    period: BudgetPeriod
    limit: Amount
    hard: bool = True


@contract("ledger.grant_credits.v1")
class GrantCredits(Body, Command):
    """Make a lot of credits for a user."""

    user: User
    amount: Amount
    source: GrantedSource = "promo"
    priority: int = Field(default=100, ge=0, le=1_000_000)
    effective_at: Moment | None = None
    expires_at: Moment | None = None
    scope: tuple[Name, ...] = Field(default=(), max_length=20)
    cost_basis: CostBasis | None = None


class RevokeGrantBody(Body):
    """Take a grant back, all of it or a part."""

    amount: Amount | None = None
    policy: RevokePolicy | None = None
    hold: HoldId | None = None


@contract("ledger.revoke_grant.v1")
class RevokeGrant(RevokeGrantBody, Command):
    """Take a grant back, all of it or a part."""

    grant: GrantId


@contract("ledger.charge_credits.v1")
class ChargeCredits(Body, Command):
    """Take credits now: an `amount`, what a `price` (an operation) costs for its `quantity` (default 1), what a `model`
    costs for its `usage`, or what a `quote` says; exactly one of them. `service` adds the lots that may be spent on it
    only."""

    user: User
    amount: Amount | None = None
    service: Name | None = None
    price: Name | None = None
    quantity: Quantity | None = None
    model: Model | None = None
    usage: Usage | None = None
    quote: QuoteId | None = None


class RefundChargeBody(Body):
    """Give a charge back; without an amount, all that is left of it."""

    amount: Amount | None = None


@contract("ledger.refund_charge.v1")
class RefundCharge(RefundChargeBody, Command):
    """Give a charge back; without an amount, all that is left of it."""

    charge: ChargeId


@contract("ledger.create_hold.v1")
class CreateHold(Body, Command):
    """Reserve credits for `ttl_s` seconds, as many as a charge of the same would take; `partial` takes what there is,
    if that is less. Prices are pinned: a capture or an extension by `usage` goes by them."""

    user: User
    amount: Amount | None = None
    service: Name | None = None
    ttl_s: Seconds | None = None
    grant: GrantId | None = None
    partial: bool = False
    price: Name | None = None
    quantity: Quantity | None = None
    model: Model | None = None
    usage: Usage | None = None
    quote: QuoteId | None = None


class CaptureHoldBody(Body):
    """Charge what a hold reserves, or what `usage` costs at its prices; without either, all of it. `final` releases the
    rest."""

    amount: Amount | None = None
    final: bool = True
    usage: Usage | None = None


@contract("ledger.capture_hold.v1")
class CaptureHold(CaptureHoldBody, Command):
    """Charge what a hold reserves; without an amount, all of it. `final` releases the rest."""

    hold: HoldId


class ExtendHoldBody(Body):
    """Let a hold last until `ttl_s` seconds from now, or reserve more: `amount` beside what it has, or as much as a new
    estimate of all the `usage` costs; `partial` takes what there is, if that is less."""

    ttl_s: Seconds | None = None
    amount: Amount | None = None
    usage: Usage | None = None
    partial: bool = False


@contract("ledger.extend_hold.v1")
class ExtendHold(ExtendHoldBody, Command):
    """Let a hold last longer, or reserve more."""

    hold: HoldId


class QuoteBody(Body):
    """What something costs, for a user (and from which of his credits) or for anybody. Nothing is recorded of it, so
    its labels are for nobody."""

    user: User | None = None
    service: Name | None = None
    price: Name | None = None
    quantity: Quantity | None = None
    model: Model | None = None
    usage: Usage | None = None


class ReleaseHoldBody(Body):
    """Let go of what a hold reserves."""


@contract("ledger.release_hold.v1")
class ReleaseHold(ReleaseHoldBody, Command):
    """Let go of what a hold reserves."""

    hold: HoldId


@contract("ledger.transfer_credits.v1")
class TransferCredits(Body, Command):
    """Move credits from one user to another; they keep their terms."""

    from_user: User
    to_user: User
    amount: Amount


@contract("ledger.adjust_balance.v1")
class AdjustBalance(Body, Command):
    """Correct a balance by hand, up or down."""

    user: User
    amount: Amount
    reason: Reason


@contract("ledger.perform_action.v1")
class PerformAction(Body, Command):
    """Earn what the app gives for an action."""

    user: User
    action: Name


@contract("ledger.import_operation.v1")
class ImportOperation(Body, Command):
    """Keep what another system booked before: `amount` is signed and moves nothing, `balance_after` is that system's.

    `kind` is what it called the operation. With `action`, the credits of that earning rule count as earned.
    """

    user: User
    kind: Reason
    occurred_at: Moment
    amount: Amount
    balance_after: Amount | None = None
    action: Name | None = None


class FreezeAccountBody(Body):
    """Stop charges, new holds and transfers out; `unique_ref` names the freeze (default `manual`)."""


@contract("ledger.freeze_account.v1")
class FreezeAccount(FreezeAccountBody, Command):
    """Stop charges, new holds and transfers out; `unique_ref` names the freeze (default `manual`)."""

    user: User


class UnfreezeAccountBody(Body):
    """Lift the freeze that `unique_ref` names (default `manual`)."""


@contract("ledger.unfreeze_account.v1")
class UnfreezeAccount(UnfreezeAccountBody, Command):
    """Lift the freeze that `unique_ref` names (default `manual`)."""

    user: User


class CloseAccountBody(Body):
    """End an account."""


@contract("ledger.close_account.v1")
class CloseAccount(CloseAccountBody, Command):
    """End an account."""

    user: User


class ThresholdsBody(Body):
    """Replace the account's own thresholds; the app's stay beside them."""

    thresholds: Thresholds


class ChangeAccountBody(Body):
    """Set what is given and leave the rest; opens the account if need be."""

    zone: Zone | None = None
    overdraft: Amount | None = None
    thresholds: Thresholds | None = None
    price_list: PriceList | None = None


@contract("ledger.change_account.v1")
class ChangeAccount(ChangeAccountBody, Command):
    """Set what is given and leave the rest; opens the account if need be."""

    user: User


class SetBudgetsBody(Body):
    """Replace the account's budgets. What is counted goes on under the same name, unless something else is counted."""

    budgets: tuple[BudgetSetting, ...] = Field(max_length=100)


@contract("ledger.set_budgets.v1")
class SetBudgets(SetBudgetsBody, Command):
    """Replace the account's budgets. What is counted goes on under the same name, unless something else is counted."""

    user: User


class AssignPlanBody(Body):
    """Give an account a plan of the app, or with null none: what is left then lasts to the period's end.

    `anchor` is what the months of an anniversary plan count from (default: the one it has, or now). After
    `paid_until`, and the plan's time of grace, the allowance does not return; without it, it always does.
    """

    plan: Name | None
    anchor: Moment | None = None
    paid_until: Moment | None = None


@contract("ledger.assign_plan.v1")
class AssignPlan(AssignPlanBody, Command):
    """Give an account a plan of the app, or with null none: what is left then lasts to the period's end."""

    user: User


class ResetAllowanceBody(Body):
    """Restore the allowance to its limit now; when it returns by itself stays as it is."""


@contract("ledger.reset_allowance.v1")
class ResetAllowance(ResetAllowanceBody, Command):
    """Restore the allowance to its limit now; when it returns by itself stays as it is."""

    user: User
