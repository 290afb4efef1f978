"""An app's ledger in memory: what the writer and its store do around `decide`, as little of it as the rules need.

Every command that passes through here has its events checked against the laws of `laws.py`, so each test proves those
too. Accounts are kept without their dead lots, as the writer keeps them; a command gets the dead ones it may touch.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Literal

from libs.events.ids import Ids, UlidSource
from services.ledger.domain import commands as cmd
from services.ledger.domain import events as ev
from services.ledger.domain.config import AppConfig, ConfigDocument, compile_config
from services.ledger.domain.decide import Context, Outcome, decide, present
from services.ledger.domain.decide.transfers import credit_for
from services.ledger.domain.evolve import attach
from services.ledger.domain.records import ChargeRecord, Loaded, QuoteRecord, Resolution, charge_record
from services.ledger.domain.state import Account, Lot, Profile, pruned
from services.ledger.domain.tests.laws import Laws

START_US = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z."""
SECOND = 1_000_000
DAY = 86_400 * SECOND
APP = "coins"


def config_of(**document: object) -> AppConfig:
    """An app's first configuration; one asset `coins` without decimals unless the document says otherwise."""
    return compile_config(APP, 1, ConfigDocument.model_validate({"assets": {"coins": {"scale": 0}}, **document}))


def resolution_of(events: list[ev.AccountEvent], hold: str) -> Resolution | None:
    """How a hold of this account ended, if it did."""
    for event in reversed(events):
        status: Literal["captured", "released", "expired", "revoked"]
        match event:
            case ev.HoldCaptured(final=True):
                status = "captured"
            case ev.HoldReleased():
                status = "revoked" if event.cause == "revoked" else "released"
            case ev.HoldExpired():
                status = "expired"
            case _:
                continue
        if event.hold == hold:
            return Resolution(status, event.captured_total, event.at)
    return None


@dataclass
class Book:
    """Accounts by user, and everything that happened to them. Time moves only by `advance`."""

    config: AppConfig = field(default_factory=config_of)
    now: int = START_US
    accounts: dict[str, Account] = field(default_factory=dict)
    lots: dict[str, dict[str, Lot]] = field(default_factory=dict)
    events: dict[str, list[ev.AccountEvent]] = field(default_factory=dict)
    quotes: dict[str, QuoteRecord] = field(default_factory=dict)
    laws: Laws = field(default_factory=Laws)
    _ulids: UlidSource = field(default_factory=lambda: UlidSource(bytes))

    def account(self, user: str) -> Account:
        """The account as it was left by its last command."""
        scale = self.config.scales[self.config.default_asset]
        return self.accounts.get(user) or Account(Profile(APP, user, self.config.default_asset, scale, 0))

    def context(self, loaded: Loaded | None = None) -> Context:
        """What a decision at this moment is given."""
        return Context(self.config, self.now, Ids(self._ulids, 0, self.now), loaded or Loaded())

    def seen(self, user: str) -> Account:
        """The account as a read shows it now."""
        before = self.account(user)
        kept = deepcopy(before)
        account, _ = present(before, self.context())
        assert before == kept, "a read changed the account"
        return account

    def advance(self, seconds: float) -> None:
        """Let time pass; nothing is swept."""
        self.now += round(seconds * SECOND)

    def do(self, user: str, command: cmd.Command) -> Outcome:
        """Decide a command on a user's account and keep what follows."""
        loaded, named = self._load(user, command)
        account = attach(self.account(user), named)
        context = self.context(loaded)
        kept = deepcopy((account, command, loaded))
        outcome = decide(account, command, context)
        assert kept == (account, command, loaded), "a decision changed what it was given"
        self._keep(user, outcome)
        if outcome.quote is not None:
            self.quotes[outcome.quote.id] = outcome.quote
        return outcome

    def transfer(self, user: str, to_user: str, amount: int) -> Outcome:
        """Both halves of a transfer, and its return if the second is refused; the outcome of the last step."""
        outcome = self.do(user, cmd.Transfer(to_user=to_user, amount=amount))
        return outcome if outcome.rejected else self.arrive(user, outcome.body["id"])

    def arrive(self, user: str, transfer: str) -> Outcome:
        """The second half of a pending transfer, or its undoing."""
        debit = self._debit(user, transfer)
        assert debit is not None
        credit = self.do(debit.to_user, credit_for(debit, user))
        if credit.rejected is None:
            return credit
        return self.do(user, cmd.ReturnTransfer(transfer=transfer, refusal=credit.rejected.code))

    def _load(self, user: str, command: cmd.Command) -> tuple[Loaded, list[Lot]]:
        loaded, names = Loaded(), list[str]()
        match command:
            case cmd.Refund():
                loaded.charge = self._charge(user, command.charge)
                if loaded.charge is not None:
                    names = [part.lot for part in loaded.charge.parts if part.lot]
            case cmd.Revoke():
                names = [command.grant]
                if command.hold is not None:
                    loaded.resolution = resolution_of(self.events.get(user, []), command.hold)
            case cmd.CreateHold(grant=str(grant)):
                names = [grant]
            case cmd.Charge(ask=cmd.Ask(quote=str(quote))) | cmd.CreateHold(ask=cmd.Ask(quote=str(quote))):
                loaded.quote = self.quotes.get(quote)
            case cmd.CaptureHold() | cmd.ReleaseHold() | cmd.ExtendHold():
                loaded.resolution = resolution_of(self.events.get(user, []), command.hold)
            case cmd.ReturnTransfer():
                loaded.debit = self._debit(user, command.transfer)
                if loaded.debit is not None:
                    names = [part.lot for part in loaded.debit.slices]
        table = self.lots.get(user, {})
        return loaded, [table[name] for name in names if name in table]

    def _charge(self, user: str, charge: str) -> ChargeRecord | None:
        return charge_record([e for e in self.events.get(user, []) if getattr(e, "charge", None) == charge])

    def _debit(self, user: str, transfer: str) -> ev.TransferDebited | None:
        debits = (e for e in self.events.get(user, []) if isinstance(e, ev.TransferDebited))
        return next((e for e in debits if e.transfer == transfer), None)

    def _keep(self, user: str, outcome: Outcome) -> None:
        new = [*outcome.due, *outcome.events]
        if not new:
            return
        before = self.account(user)
        self.lots.setdefault(user, {}).update(outcome.account.lots)
        self.accounts[user] = pruned(outcome.account)
        self.events.setdefault(user, []).extend(new)
        self.laws.check(user, before, outcome, self.context())
