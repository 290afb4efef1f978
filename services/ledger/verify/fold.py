"""One partition's log folded: every account, lot, hold, transfer and configuration that its events add up to. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from services.ledger.domain import events as ev
from services.ledger.domain.evolve import attach, evolve, lots_named
from services.ledger.domain.state import Account, Hold, Lot, Profile

AccountKey = tuple[str, str, str]
"""(app, user, asset)."""


class EndedHold(NamedTuple):
    """A hold that is resolved, as its row keeps it."""

    hold: Hold
    status: str
    resolved_at: int


@dataclass(slots=True)
class Sent:
    """A transfer as the sender's partition knows it; `returned` is (refusal, time) once it came back."""

    app: str
    asset: str
    from_user: str
    to_user: str
    amount: int
    created_at: int
    returned: tuple[str, int] | None = None


class Received(NamedTuple):
    """The credit of a transfer."""

    user: str
    amount: int
    at: int


class AppliedConfig(NamedTuple):
    """One applied version of an app's configuration."""

    document: str
    applied_at: int
    position: int


@dataclass(slots=True)
class Fold:
    """What the events of a partition add up to. Dead lots are kept aside of their accounts, as the writer does."""

    partition: int
    accounts: dict[AccountKey, Account] = field(default_factory=dict)
    dead: dict[AccountKey, dict[str, Lot]] = field(default_factory=dict)
    ended: dict[AccountKey, dict[str, EndedHold]] = field(default_factory=dict)
    sent: dict[str, Sent] = field(default_factory=dict)
    received: dict[str, Received] = field(default_factory=dict)
    configs: dict[tuple[str, int], AppliedConfig] = field(default_factory=dict)
    resets: Counter[tuple[str, int]] | None = field(default_factory=Counter)
    """How many accounts of an app were reset for a due time; None where the fold did not begin with the log."""

    def account(self, key: AccountKey) -> Account:
        """The account as far as it is folded; one of version 0 before its first event."""
        return self.accounts.get(key) or Account(Profile(*key, scale=0, partition=self.partition))

    def next(self, key: AccountKey, event: ev.AccountEvent) -> Account:
        """The account after `event`, with every lot that the event names; nothing is kept yet.

        KeyError if the event names a lot or hold that the account does not have.
        """
        account = self.account(key)
        named = lots_named(event)
        if named:
            dead = self.dead.get(key, {})
            account = attach(account, [dead[name] for name in named if name in dead])
        return evolve(account, event)

    def keep(self, key: AccountKey, after: Account, event: ev.AccountEvent) -> None:
        """Take over what :meth:`next` gave for `event`."""
        self._note(key, self.account(key), event)
        if any(lot.dead for lot in after.lots.values()):
            dead = self.dead.setdefault(key, {})
            dead.update({name: lot for name, lot in after.lots.items() if lot.dead})
            after = after.clone()
            after.lots = {name: lot for name, lot in after.lots.items() if not lot.dead}
        for name in lots_named(event):
            if name in after.lots:
                self.dead.get(key, {}).pop(name, None)
        self.accounts[key] = after

    def apply(self, key: AccountKey, event: ev.AccountEvent) -> Account:
        """Fold one event of an account and answer the account after it."""
        after = self.next(key, event)
        self.keep(key, after, event)
        return after

    def configure(self, app: str, event: ev.ConfigApplied, position: int) -> None:
        """Fold a configuration."""
        self.configs[app, event.version] = AppliedConfig(event.document, event.at, position)

    def lots(self, key: AccountKey) -> Iterator[Lot]:
        """Every lot that an account ever had."""
        yield from self.accounts[key].lots.values()
        yield from self.dead.get(key, {}).values()

    def _note(self, key: AccountKey, before: Account, event: ev.AccountEvent) -> None:
        match event:
            case ev.AllowanceReset(due_at=int(due_at), lot=ev.NewLot()) if self.resets is not None:
                self.resets[key[0], due_at] += 1
            case ev.HoldCaptured(final=True):
                self._end(key, before, event, "captured")
            case ev.HoldReleased():
                self._end(key, before, event, event.cause)
            case ev.HoldExpired():
                self._end(key, before, event, "expired")
            case ev.TransferDebited():
                self.sent[event.transfer] = Sent(key[0], key[2], key[1], event.to_user, event.amount, event.at)
            case ev.TransferCredited():
                self.received[event.transfer] = Received(key[1], event.amount, event.at)
            case ev.TransferReturned():
                self.sent[event.transfer].returned = (event.refusal, event.at)
            case _:
                pass

    def _end(
        self, key: AccountKey, before: Account, event: ev.HoldCaptured | ev.HoldReleased | ev.HoldExpired, status: str
    ) -> None:
        hold = before.holds[event.hold]
        ended = Hold(hold.terms, (), hold.expires_at, event.captured_total)
        self.ended.setdefault(key, {})[event.hold] = EndedHold(ended, status, event.at)
