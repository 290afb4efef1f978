"""What is set about an account, and what is noted of it."""

from __future__ import annotations

from libs.events.contracts.base import contract
from libs.events.contracts.ledger.events.parts import AccountEvent, SliceOf, ThresholdOf
from libs.events.contracts.ledger.fields import Credits, Time


@contract("ledger.account_opened.v1")
class AccountOpened(AccountEvent):
    """An account was heard of for the first time."""

    scale: int


@contract("ledger.account_changed.v1")
class AccountChanged(AccountEvent):
    """What was set (only what changed is present), or the lot whose start has come."""

    zone: str | None = None
    overdraft_limit: Credits | None = None
    thresholds: tuple[ThresholdOf, ...] | None = None
    erased: bool = False
    started: SliceOf | None = None
    overdraft_repaid: Credits = "0"
    due_at: Time | None = None
    price_list: str | None = None


@contract("ledger.account_frozen.v1")
class AccountFrozen(AccountEvent):
    """A freeze was put on the account."""

    name: str


@contract("ledger.account_unfrozen.v1")
class AccountUnfrozen(AccountEvent):
    """A freeze was lifted; the account stays frozen while another stands."""

    name: str


@contract("ledger.account_closed.v1")
class AccountClosed(AccountEvent):
    """The account was ended."""


@contract("ledger.threshold_crossed.v1")
class ThresholdCrossed(AccountEvent):
    """`available` fell below `threshold`, or `percent` of the allowance; `generation` counts how often it was armed."""

    threshold: Credits
    generation: int
    available: Credits
    percent: int | None = None


@contract("ledger.operation_imported.v1")
class OperationImported(AccountEvent):
    """Another system had booked this before the ledger kept the account: history, which moves nothing.

    `amount` is signed, `balance_after` as that system told it; `earned_as` is what counts as earned already.
    """

    operation: str
    kind: str
    occurred_at: Time
    amount: Credits
    balance_after: Credits | None = None
    earned_as: str | None = None
