"""One partition's period twice: as it was, and as it would have been. Pure.

Up to the beginning of the period events are folded. From there what a command came to becomes that command again and is
decided under the other rules, at its own time. What time alone had done is left to time again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from libs.events.ids import UlidSource
from services.ledger.domain import commands as cmd
from services.ledger.domain import events as ev
from services.ledger.domain.config import AppConfig
from services.ledger.domain.decide import Context, decide
from services.ledger.domain.evolve import attach
from services.ledger.domain.records import ChargeRecord, Loaded, charge_record
from services.ledger.domain.state import Account, Lot, Profile, pruned
from services.ledger.verify.fold import Fold
from services.ledger.whatif.retelling import RecordedIds, command_of

Key = tuple[str, str, str]
CLOCK = "@clock"


@dataclass(slots=True)
class Figures:
    """What a period did to an account, in units: charged and captured less refunded, granted, settled in the end."""

    charged: int = 0
    granted: int = 0
    settled: int = 0

    def add(self, event: ev.AccountEvent) -> None:
        """Count one event."""
        match event:
            case ev.CreditsCharged(amount=amount) | ev.HoldCaptured(amount=amount):
                self.charged += amount
            case ev.ChargeRefunded(amount=amount):
                self.charged -= amount
            case ev.CreditsGranted(lot=lot):
                self.granted += lot.amount
            case _:
                pass
        self.settled = event.after.settled


@dataclass(slots=True)
class AccountDifference:
    """An account of the period then and under the other rules; `refused` counts commands by the code of refusal."""

    scale: int
    then: Figures = field(default_factory=Figures)
    now: Figures = field(default_factory=Figures)
    commands: int = 0
    same: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class Period:
    """Feed it a partition's commands in order; `accounts` then has those that the period touched."""

    def __init__(self, partition: int, since: int, config: AppConfig, refunded: Collection[str]) -> None:
        self.accounts: dict[Key, AccountDifference] = {}
        self._partition = partition
        self._since = since
        self._config = config
        self._refunded = refunded
        self._fold = Fold(partition)
        self._dead: dict[Key, dict[str, Lot]] = self._fold.dead
        self._ulids = UlidSource()
        self._charges: dict[str, list[ev.Event]] = {}
        self._debits: dict[str, ev.TransferDebited] = {}

    def feed(self, key: Key, actor: str, events: Sequence[ev.AccountEvent]) -> None:
        """Take the events of one command on one account."""
        if events[0].at < self._since:
            for event in events:
                self._fold.apply(key, event)
                self._remember(event)
            return
        account = self._fold.account(key)
        profile = account.profile
        if not account.version:
            scale = self._config.scales.get(key[2], events[0].scale if isinstance(events[0], ev.AccountOpened) else 0)
            account = Account(Profile(*key, scale=scale, partition=self._partition))
            profile = account.profile
        difference = self.accounts.get(key)
        if difference is None:
            started = Figures(settled=account.settled)
            difference = AccountDifference(profile.scale, started, Figures(settled=account.settled))
            self.accounts[key] = difference
        for event in events:
            difference.then.add(event)
        command = cmd.Sweep() if actor == CLOCK else command_of(events, self._config, actor)
        after, decided = self._decide(key, account, command, events, difference)
        for event in decided:
            difference.now.add(event)
        difference.commands += 1
        difference.same += [*map(_bare, decided)] == [*map(_bare, events)]
        kept = pruned(after)
        if kept is not after:
            dead = {name: lot for name, lot in after.lots.items() if lot.dead}
            self._dead.setdefault(key, {}).update(dead)
        self._fold.accounts[key] = kept

    def _decide(
        self,
        key: Key,
        account: Account,
        command: cmd.Command,
        events: Sequence[ev.AccountEvent],
        difference: AccountDifference,
    ) -> tuple[Account, list[ev.AccountEvent]]:
        now = max(events[0].at, account.time_us)
        loaded, lots = self._loaded(key, command)
        ids = RecordedIds(events, self._ulids, self._partition, now)
        known = attach(account, lots) if lots else account
        outcome = decide(known, command, Context(self._config, now, ids, loaded))
        if outcome.rejected is not None:
            difference.refused[outcome.rejected.code] += 1
        decided = [*outcome.due, *outcome.events]
        for event in decided:
            self._remember(event)
        return outcome.account, decided

    def _loaded(self, key: Key, command: cmd.Command) -> tuple[Loaded, list[Lot]]:
        """What the command names beside its account, and the dead lots that it may touch."""
        loaded, names = Loaded(), list[str]()
        match command:
            case cmd.Refund(charge=charge):
                record = loaded.charge = self._charge(charge)
                names = [] if record is None else [part.lot for part in record.parts if part.lot]
            case cmd.ReturnTransfer(transfer=transfer):
                debit = loaded.debit = self._debits.get(transfer)
                names = [] if debit is None else [part.lot for part in debit.slices]
            case cmd.Revoke(grant=grant):
                names = [grant]
            case _:
                pass
        dead = self._dead.get(key, {})
        return loaded, [dead[name] for name in names if name in dead]

    def _charge(self, charge: str) -> ChargeRecord | None:
        return charge_record(self._charges.get(charge, ()))

    def _remember(self, event: ev.AccountEvent) -> None:
        """Keep what a later refund or return will name."""
        match event:
            case ev.CreditsCharged(charge=charge) | ev.HoldCaptured(charge=charge) | ev.ChargeRefunded(charge=charge):
                if charge in self._refunded:
                    self._charges.setdefault(charge, []).append(event)
            case ev.TransferDebited(transfer=transfer):
                self._debits[transfer] = event
            case _:
                pass


def _bare(event: ev.AccountEvent) -> ev.AccountEvent:
    """The event without what names the rules that it was decided by: two are the same if they do the same."""
    if isinstance(event, ev.CreditsCharged | ev.HoldCreated | ev.HoldExtended | ev.HoldCaptured) and event.priced:
        return replace(event, config_version=0, priced=replace(event.priced, version=0, quote=None))
    return replace(event, config_version=0)
