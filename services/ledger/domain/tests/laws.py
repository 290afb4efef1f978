"""What holds after every step, whatever was asked: the books balance, and the log alone tells the whole state."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field

import orjson

from libs.events.contracts.base import model_of
from libs.events.contracts.ledger import events as published
from services.ledger.domain import events as ev
from services.ledger.domain.codec import TYPE_NAMES, decode, encode
from services.ledger.domain.decide import Context, Outcome, present
from services.ledger.domain.evolve import attach, evolve, lots_named
from services.ledger.domain.explain import sums
from services.ledger.domain.explain.story import BEFORE, Story
from services.ledger.domain.postings import CLEARING, HELD, RECEIVABLE, SCHEDULED, USER, effect, postings
from services.ledger.domain.state import Account, Lot, Phase, next_due, pruned


def check_sums(account: Account) -> None:
    """Balances are what lots and holds say that they are."""
    lots = account.lots.values()
    live = sum(lot.remaining for lot in lots if lot.phase == Phase.LIVE)
    pinned_in_expired = sum(lot.pinned for lot in lots if lot.phase == Phase.EXPIRED)
    assert account.settled == live + pinned_in_expired - account.overdraft_used
    slices = Counter[str]()
    for hold in account.holds.values():
        for part in hold.slices:
            assert part.amount > 0
            slices[part.lot] += part.amount
    assert slices == Counter({lot.terms.id: lot.pinned for lot in lots if lot.pinned})
    assert account.held == sum(slices.values())
    assert account.owed >= 0
    assert account.overdraft_used >= 0
    for lot in lots:
        assert 0 <= lot.revoking <= lot.pinned <= lot.remaining <= lot.terms.amount
        assert lot.revoked >= 0
        assert lot.broken >= 0
        assert lot.spent >= 0
        assert lot.phase != Phase.EXPIRED or lot.remaining == lot.pinned
    assert list(account.lots) == [lot.terms.id for lot in sorted(lots, key=lambda lot: lot.terms.burn_key)]
    assert account.due_at == next_due(account)


def check_codec(event: ev.AccountEvent, scale: int) -> ev.AccountEvent:
    """The stored payload reads back as the same event, writes the same bytes, and keeps its published contract."""
    name = TYPE_NAMES[type(event)]
    payload = encode(event, scale)
    again = decode(name, payload, event.at)
    assert again == event
    assert encode(again, scale) == payload
    model = model_of(name)
    assert model is not None
    told = model.model_validate_json(payload)
    assert isinstance(told, published.AccountEvent)
    assert told.model_dump(mode="json", exclude_unset=True) == orjson.loads(payload)
    assert isinstance(again, ev.AccountEvent)
    return again


def check_never_below_zero(account: Account, event: ev.AccountEvent) -> None:
    """A charge or hold leaves something or nothing available, never less; a hold leaves the overdraft alone."""
    if isinstance(event, ev.CreditsCharged | ev.HoldCreated):
        grant = event.grant if isinstance(event, ev.HoldCreated) else None
        if grant is None:
            assert account.available(event.service) >= 0
    if isinstance(event, ev.CreditsCharged | ev.HoldCaptured) and event.overdraft:
        assert account.overdraft_used <= account.profile.overdraft_limit


def check_story(story: Story, account: Account, table: dict[str, Lot]) -> None:
    """What is told of an account's events adds up to what the account is, lot by lot and debt by debt."""
    totals = story.totals.values()
    assert sum(total.settled for total in totals) == account.settled
    assert sum(total.held for total in totals) == account.held
    assert sum(total.owed for total in totals) == account.owed == sum(debt.open for debt in story.debts)
    assert all(0 < debt.open <= debt.amount for debt in story.debts)
    assert sum(part.amount for part in sums.settled(account)) == account.settled
    assert sum(part.amount for part in sums.held(account)) == account.held
    assert sum(part.amount for part in sums.owed(story.debts)) == account.owed
    for service in (None, "video"):
        assert sum(part.amount for part in sums.available(account, service)) == account.available(service)
    for name, lot in table.items():
        assert not [use for use in story.uses_of(name, lot.terms.amount - lot.remaining) if use.why == BEFORE], name


@dataclass
class Laws:
    """The checks that need memory: a second copy of each account, folded from decoded events only."""

    folded: dict[str, Account] = field(default_factory=dict)
    tables: dict[str, dict[str, Lot]] = field(default_factory=dict)
    totals: Counter[str] = field(default_factory=Counter)
    stories: dict[str, Story] = field(default_factory=dict)
    spent: Counter[tuple[object, ...]] = field(default_factory=Counter)

    def check(self, user: str, before: Account, outcome: Outcome, context: Context) -> None:
        """Assert every law for one command's events and the account after them."""
        account = outcome.account
        folded = self.folded.get(user) or Account(deepcopy(before.profile))
        table = self.tables.setdefault(user, {})
        balances, version = ev.Balances(before.settled, before.held, before.owed), before.version  # type: ignore[arg-type]
        for event in [*outcome.due, *outcome.events]:
            assert event.before == balances
            assert event.account_version == version + 1
            assert event.at == context.now
            legs = postings(event)
            assert sum(amount for _, amount in legs) == 0
            settled, held, owed = effect(event)
            assert event.after.settled - event.before.settled == settled
            assert event.after.held - event.before.held == held
            assert event.after.owed - event.before.owed == owed
            balances, version = event.after, event.account_version
            for name, amount in legs:
                own = name in (USER, HELD, RECEIVABLE, SCHEDULED)
                self.totals[f"{user}{name}" if own else name] += amount
            again = check_codec(event, account.profile.scale)
            folded = evolve(attach(folded, [table[name] for name in lots_named(again) if name in table]), again)
            check_sums(folded)
            check_never_below_zero(folded, event)
            self._check_budgets(user, folded, event)
            table.update(folded.lots)
            folded = pruned(folded)
            self.stories.setdefault(user, Story()).tell(again)
        self.folded[user] = folded
        assert folded == pruned(account)
        assert all(table[name] == lot for name, lot in account.lots.items())
        self._check_totals(user, account)
        if user in self.stories:
            check_story(self.stories[user], account, table)
        once, _ = present(account, context)
        assert present(once, context) == (once, [])

    def _check_budgets(self, user: str, account: Account, event: ev.AccountEvent) -> None:
        """A budget counts what was charged in its period, less what was given back, and what open holds reserve."""
        book = account.budgets
        if book is None:
            return
        versions = {budget.name: budget.version for budget in book.budgets}
        if isinstance(event, ev.CreditsCharged | ev.HoldCaptured | ev.ChargeRefunded):
            amount = -event.amount if isinstance(event, ev.ChargeRefunded) else event.amount
            for use in event.budgets:
                self.spent[user, use.name, use.member, use.period_end, versions[use.name]] += amount
        for (name, member), count in book.counts.items():
            if count.lasts(event.at):
                spent = self.spent[user, name, member, count.end, versions[name]]
                assert count.used == spent + book.held((name, member), count.end), (name, member)
        if isinstance(event, ev.CreditsCharged | ev.HoldCreated | ev.HoldExtended) and event.amount:
            limits = {budget.name: budget.limit for budget in book.budgets if budget.hard}
            assert all(use.used <= limits.get(use.name, use.used) for use in event.budgets)
        assert book.reserved.keys() <= account.holds.keys()

    def _check_totals(self, user: str, account: Account) -> None:
        assert sum(self.totals.values()) == 0
        assert self.totals[user + USER] == account.settled - account.held
        assert self.totals[user + HELD] == account.held
        assert self.totals[user + RECEIVABLE] == -account.owed
        scheduled = (lot.remaining for lot in account.lots.values() if lot.phase == Phase.SCHEDULED)
        assert self.totals[user + SCHEDULED] == sum(scheduled)
        assert self.totals[CLEARING] >= 0
