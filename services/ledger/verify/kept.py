"""A partition folded with memory for a part of its accounts: the rest waits in the verifier's file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from libs.service.clock import from_datetime, to_datetime
from services.ledger.domain import events as ev
from services.ledger.domain.evolve import lots_named
from services.ledger.domain.state import Account
from services.ledger.store.rows import hold_row
from services.ledger.verify.fold import AccountKey, AppliedConfig, Fold, Sent
from services.ledger.verify.state import Kept, State, canonical, key_text
from services.ledger.verify.tables import account_row, config_rows, full_lot_row, transfer_rows

_KNOWN = AppliedConfig("", 0, 0)


@dataclass(slots=True, kw_only=True)
class KeptFold(Fold):
    """A fold that reads from `state` what it lacks. :meth:`changes` are the rows that it changed, once."""

    state: State
    accounts_max: int
    partitions: int
    first: dict[AccountKey, Account] = field(default_factory=dict)
    """The accounts that were touched, as they were before."""

    applied: list[tuple[str, int]] = field(default_factory=list)
    """Versions of configurations that are news."""

    def __post_init__(self) -> None:
        """Of configurations that are kept, only that they exist is remembered."""
        self.resets = None
        for app, version in self.state.configs():
            self.configs[app, version] = _KNOWN

    def account(self, key: AccountKey) -> Account:
        """As :meth:`Fold.account`, wherever it is."""
        known = self.accounts.get(key) or self.state.account(key)
        if known is None:
            return Fold.account(self, key)
        self.accounts[key] = known
        return known

    def next(self, key: AccountKey, event: ev.AccountEvent) -> Account:
        """As :meth:`Fold.next`, with dead lots from wherever they are."""
        account, dead = self.account(key), self.dead.get(key, {})
        missing = [lot for lot in lots_named(event) if lot not in account.lots and lot not in dead]
        if missing:
            self.dead.setdefault(key, {}).update(self.state.lots(key, missing))
        return Fold.next(self, key, event)

    def keep(self, key: AccountKey, after: Account, event: ev.AccountEvent) -> None:
        """As :meth:`Fold.keep`; the account counts as used last."""
        self.first.setdefault(key, self.account(key))
        if isinstance(event, ev.TransferReturned) and event.transfer not in self.sent:
            self._recall(event.transfer)
        Fold.keep(self, key, after, event)
        self.accounts[key] = self.accounts.pop(key)

    def configure(self, app: str, event: ev.ConfigApplied, position: int) -> None:
        """As :meth:`Fold.configure`."""
        Fold.configure(self, app, event, position)
        self.applied.append((app, event.version))

    def changes(self) -> list[Kept]:
        """The rows that must be different now, or new. Memory is cut back to its limit."""
        rows = [*self._account_rows(), *self._other_rows()]
        self.first.clear()
        self.dead.clear()
        self.ended.clear()
        self.sent.clear()
        self.received.clear()
        self.configs.update(dict.fromkeys(self.applied, _KNOWN))
        self.applied.clear()
        while len(self.accounts) > self.accounts_max:
            del self.accounts[next(iter(self.accounts))]
        return rows

    def _account_rows(self) -> Iterator[Kept]:
        for key, before in self.first.items():
            account, owner = self.accounts[key], key_text(*key)
            yield Kept("accounts", owner, owner, True, canonical(account_row(account)))
            for name, lot in account.lots.items():
                if before.lots.get(name) is not lot:
                    yield Kept("lots", name, owner, True, canonical(full_lot_row(account, lot)))
            for name, lot in self.dead.get(key, {}).items():
                yield Kept("lots", name, owner, False, canonical(full_lot_row(account, lot)))
            for name, hold in account.holds.items():
                if before.holds.get(name) is not hold:
                    yield Kept("holds", name, owner, True, canonical(hold_row(account, hold)))
            for name, ended in self.ended.get(key, {}).items():
                row = hold_row(account, ended.hold, ended.status, ended.resolved_at)
                yield Kept("holds", name, owner, False, canonical(row))

    def _other_rows(self) -> Iterator[Kept]:
        for row in transfer_rows(self, self.partitions):
            yield Kept("transfers", row["id"], "", False, canonical(row))
        for name, credit in self.received.items():
            body = {"to_user": credit.user, "amount": credit.amount, "settled_at": to_datetime(credit.at)}
            yield Kept("credits", name, "", False, canonical({**body, "to_partition": self.partition}))
        for row in config_rows(self):
            if (row["app"], row["version"]) in self.applied:
                yield Kept("configs", key_text(row["app"], row["version"]), "", False, canonical(row))

    def _recall(self, transfer: str) -> None:
        """What is known of a transfer that this partition sent."""
        body = self.state.bodies("transfers", [transfer]).get(transfer)
        if body is not None:
            row = orjson.loads(body)
            created = from_datetime(datetime.fromisoformat(row["created_at"]))
            self.sent[transfer] = Sent(
                row["app"], row["asset"], row["from_user"], row["to_user"], row["amount"], created
            )
