"""The checks of one partition's log, event by event: events in, violations out. Pure, and able to go on where it was.

A violation is said once, where it first shows: after it the check takes the row as it is, and an account that can no
longer be folded is left out of everything that follows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from libs.events.partition import partition_of
from libs.service.clock import from_datetime
from services.ledger.domain import codec
from services.ledger.domain import events as ev
from services.ledger.domain.chain import GENESIS, chain_hash
from services.ledger.domain.postings import CLEARING, effect, postings
from services.ledger.domain.state import Account, Phase
from services.ledger.store.heads import Head
from services.ledger.store.log_reads import LogEvent
from services.ledger.verify.fold import AccountKey, Fold
from services.ledger.writer.log import APP_ACCOUNT, object_of

SCHEMA_VERSION = 1
VIOLATIONS_MAX = 50
"""How many violations of a partition are kept; all are counted."""
UNFOLDABLE = (KeyError, ValueError, TypeError, AttributeError, IndexError)
"""What decoding or folding an event raises that does not fit the log."""


@dataclass(slots=True)
class Violation:
    """Something wrong: which invariant, where, and what. `position` is None for what is not in the log."""

    invariant: str
    partition: int | None
    position: int | None
    detail: str

    def __str__(self) -> str:
        where = "" if self.partition is None else f"partition {self.partition}"
        if self.position is not None:
            where += f", position {self.position}"
        return f"{self.invariant}: {where}: {self.detail}" if where else f"{self.invariant}: {self.detail}"


@dataclass(slots=True)
class Findings:
    """The violations of one partition, counted all and kept up to a limit."""

    partition: int | None
    kept: list[Violation] = field(default_factory=list)
    count: int = 0

    def add(self, invariant: str, detail: str, position: int | None = None) -> None:
        """One more."""
        self.count += 1
        if len(self.kept) < VIOLATIONS_MAX:
            self.kept.append(Violation(invariant, self.partition, position, detail))


@dataclass(slots=True)
class Place:
    """Up to where a partition's log has been checked, and what the next row must follow from.

    `epoch` is that of the last row, `times` the last time of each app.
    """

    position: int = 0
    hash: bytes = GENESIS
    epoch: int = 0
    times: dict[str, datetime] = field(default_factory=dict)


class LogCheck:
    """Checks the rows of one partition in order as far as they tell by themselves: place, epoch, time, hash chain.

    `anchors` are hashes known from outside the database, by position.
    """

    def __init__(self, partition: int, anchors: Mapping[int, bytes] | None = None, place: Place | None = None) -> None:
        self.found = Findings(partition)
        self.place = place or Place()
        self._anchors = {} if anchors is None else anchors

    @property
    def position(self) -> int:
        """That of the last row."""
        return self.place.position

    def follow(self, row: LogEvent) -> None:
        """Check the next row."""
        self._check_place(row)
        self._check_chain(row)

    def check_columns(self, row: LogEvent, event: ev.AccountEvent) -> None:
        """Compare what an event is looked up by with what its payload says."""
        for column, stored, told in (
            ("asset", row.asset, event.asset),
            ("account_version", row.account_version, event.account_version),
            ("object", row.object, object_of(event)),
            ("reference", row.reference, event.reference),
            ("member", row.member, event.member),
        ):
            if stored != told:
                detail = f"events.{column} is {stored!r}, but the payload says {told!r}"
                self.found.add("I5", detail, row.position)

    def _check_place(self, row: LogEvent) -> None:
        place = self.place
        expected = place.position + 1
        if row.position != expected:
            missing = f"{expected} is" if row.position == expected + 1 else f"{expected} to {row.position - 1} are"
            self.found.add("I3", f"position {missing} missing before this one", row.position)
        place.position = row.position
        if row.epoch < place.epoch:
            self.found.add("I8", f"the epoch fell from {place.epoch} to {row.epoch}", row.position)
        place.epoch = row.epoch
        last = place.times.get(row.app)
        if last is not None and row.time < last:
            self.found.add("I9", f"the time of app {row.app} went back from {last} to {row.time}", row.position)
        place.times[row.app] = row.time

    def _check_chain(self, row: LogEvent) -> None:
        account = APP_ACCOUNT if row.user == APP_ACCOUNT else f"{row.user}/{row.asset}"
        fields = [
            b"%d" % row.partition,
            b"%d" % row.position,
            b"%d" % row.epoch,
            row.app.encode(),
            account.encode(),
            row.type.encode(),
            b"%d" % row.schema_version,
            row.event_id.encode(),
            row.transaction_id.encode(),
            row.command_id.encode(),
            row.correlation_id.encode(),
            row.causation_id.encode(),
            row.actor.encode(),
            row.key.encode(),
            b"%d" % from_datetime(row.time),
        ]
        if chain_hash(self.place.hash, fields, row.payload) != row.hash:
            detail = f"the hash of {row.event_id} does not follow from its row and the hash before it"
            self.found.add("I4", detail, row.position)
        self.place.hash = row.hash
        anchored = self._anchors.get(row.position)
        if anchored is not None and anchored != row.hash:
            self.found.add("I4", "an anchor saw another hash at this position", row.position)


class PartitionCheck(LogCheck):
    """Checks the events of one partition in order, and folds them: onto `fold` and `clearing`, from `place` on.

    `digests` collects the events whose text may be looked at, as {event id: (app, user, digest, position)}; whoever
    looks empties it.
    """

    def __init__(
        self,
        partition: int,
        partitions: int,
        anchors: Mapping[int, bytes] | None = None,
        *,
        fold: Fold | None = None,
        place: Place | None = None,
        clearing: Counter[tuple[str, str]] | None = None,
    ) -> None:
        super().__init__(partition, anchors, place)
        self.fold = fold or Fold(partition)
        self.broken: set[AccountKey] = set()
        self.clearing: Counter[tuple[str, str]] = Counter() if clearing is None else clearing
        self.digests: dict[str, tuple[str, str, str, int]] = {}
        self._partition = partition
        self._partitions = partitions

    def feed(self, row: LogEvent) -> None:
        """Check the next row and fold its event."""
        self.follow(row)
        event = self._decoded(row)
        if isinstance(event, ev.AccountEvent):
            self._check_event(row, event)
        elif event is not None:
            self._check_app_event(row, event)
        elif row.user != APP_ACCOUNT:
            self.broken.add((row.app, row.user, row.asset))

    def finish(self, head: Head) -> None:
        """Compare with the partition's head, and with anchors that lie beyond the log's end."""
        if head.position != self.position:
            detail = f"the head says that the log ends at position {head.position}, but it ends here"
            self.found.add("I3", detail, self.position)
        elif head.hash != self.place.hash:
            self.found.add("I4", "the head's hash is not that of the last event", self.position)
        if head.epoch < self.place.epoch:
            self.found.add(
                "I8", f"the head's epoch {head.epoch} is less than the log's {self.place.epoch}", self.position
            )
        beyond = [position for position in self._anchors if position > self.position]
        if beyond:
            detail = f"an anchor saw position {max(beyond)}, but the log ends here: its tail is missing"
            self.found.add("I4", detail, self.position)

    def check_text(self, event_id: str, app: str, user: str, digest: str) -> None:
        """Compare the digest of a text that is there with the one that its event holds."""
        expected_app, expected_user, expected, position = self.digests[event_id]
        if (app, user) != (expected_app, expected_user):
            self.found.add("I5", f"texts: the text of {event_id} belongs to another user", position)
        if digest != expected:
            self.found.add("I4", f"texts: the text of {event_id} is not the one that was written", position)

    # The row

    def _decoded(self, row: LogEvent) -> ev.Event | None:
        if row.schema_version != SCHEMA_VERSION:
            self.found.add("I12", f"schema version {row.schema_version} is not known", row.position)
            return None
        try:
            event = codec.decode(row.type, row.payload, from_datetime(row.time))
            if isinstance(event, ev.AccountOpened):
                scale = event.scale
            elif isinstance(event, ev.AccountEvent):
                scale = self.fold.account((row.app, row.user, row.asset)).profile.scale
            else:
                scale = 0
            again = codec.encode(event, scale)
        except UNFOLDABLE as error:
            self.found.add("I12", f"the payload cannot be read as {row.type}: {error!r}", row.position)
            return None
        if again != row.payload and (row.app, row.user, row.asset) not in self.broken:
            self.found.add("I12", "the payload reads back as other bytes", row.position)
        return event

    # The event

    def _check_app_event(self, row: LogEvent, event: ev.Event) -> None:
        labels = (row.object, row.reference, row.member)
        if row.user != APP_ACCOUNT or row.asset or row.account_version or any(label is not None for label in labels):
            self.found.add("I5", "an event of the app in the row of an account", row.position)
        if isinstance(event, ev.ConfigApplied):
            self._check_owner(row)
            before = self.fold.configs.get((row.app, event.version - 1))
            if before is None and event.version != 1:
                detail = f"version {event.version} of the configuration does not follow its predecessor"
                self.found.add("I5", detail, row.position)
            self.fold.configure(row.app, event, row.position)
        if isinstance(event, ev.ResetCompleted) and self.fold.resets is not None:
            done = self.fold.resets[row.app, event.due_at]
            if done != event.accounts:
                detail = f"{event.accounts} accounts are said to have been reset, but {done} were"
                self.found.add("I5", detail, row.position)

    def _check_owner(self, row: LogEvent) -> None:
        if partition_of(row.app, row.user, self._partitions) != self._partition:
            self.found.add("I5", f"user {row.user} of {row.app} does not belong to this partition", row.position)

    def _check_event(self, row: LogEvent, event: ev.AccountEvent) -> None:
        key = (row.app, row.user, row.asset)
        if key in self.broken:
            return
        self.check_columns(row, event)
        before = self.fold.account(key)
        if not before.version:
            self._check_owner(row)
        if event.account_version != before.version + 1:
            detail = f"{_name(key)} goes from version {before.version} to {event.account_version}"
            self._break(key, "I3", detail, row)
            return
        legs = postings(event)
        if sum([amount for _, amount in legs]):
            self.found.add("I1", f"the postings of {row.event_id} do not sum to zero", row.position)
        for account, amount in legs:
            if account == CLEARING:
                self.clearing[row.app, row.asset] += amount
        told, now = event.before, event.after
        if (told.settled, told.held, told.owed) != (before.settled, before.held, before.owed):
            self.found.add("I5", f"the balances of {_name(key)} are not those after its last event", row.position)
        if (now.settled - told.settled, now.held - told.held, now.owed - told.owed) != effect(event):
            self.found.add("I1", f"the balances of {_name(key)} do not follow from the postings", row.position)
        if now.owed < 0:
            self.found.add("I2", f"{_name(key)} owes less than nothing", row.position)
        try:
            after = self.fold.next(key, event)
            self.fold.keep(key, after, event)
        except UNFOLDABLE as error:
            self._break(key, "I5", f"{_name(key)} cannot be folded: {error!r}", row)
            return
        self._check_available(row, after, event)
        self._check_budgets(row, after, event)
        self._check_reset(row, before, event)
        fault = sums_fault(after)
        if fault is not None:
            self._break(key, "I5", f"{_name(key)}: {fault}", row)
        if event.text_digest is not None:
            self.digests[row.event_id] = (row.app, row.user, event.text_digest, row.position)

    def _check_reset(self, row: LogEvent, before: Account, event: ev.AccountEvent) -> None:
        """A reset ends lots of the allowance only, makes what it says, and comes once a period."""
        allowance = before.allowance
        if allowance is None or not isinstance(event, ev.AllowanceReset):
            return
        foreign = {part.lot for part in event.ended} - set(allowance.lots)
        if foreign:
            self.found.add("I5", f"{row.event_id} ends {min(foreign)}, which is not the allowance's", row.position)
        if event.lot is not None and event.lot.amount != event.limit + event.carried:
            self.found.add("I5", f"{row.event_id} makes {event.lot.amount} units of its limit", row.position)
        if event.due_at is not None and event.due_at < allowance.period_end:
            self.found.add("I5", f"{row.event_id} resets a period that is not over", row.position)
        if event.due_at is not None and event.due_at > event.at:
            self.found.add("I9", f"{row.event_id} was not due yet", row.position)

    def _break(self, key: AccountKey, invariant: str, detail: str, row: LogEvent) -> None:
        self.found.add(invariant, detail, row.position)
        self.broken.add(key)

    def _check_available(self, row: LogEvent, account: Account, event: ev.AccountEvent) -> None:
        """A charge or hold leaves something or nothing available, never less, and keeps within the overdraft."""
        if isinstance(event, ev.CreditsCharged):
            left = account.available(event.service)
        elif isinstance(event, ev.HoldCreated):
            lot = account.lots.get(event.grant or "")
            free = account.free(event.service) if event.grant is None or lot is None else lot.free
            left = free + account.overdraft_left - account.owed
        elif isinstance(event, ev.HoldExtended) and event.amount:
            terms = account.holds[event.hold].terms
            lot = account.lots.get(terms.grant or "")
            free = account.free(terms.service) if terms.grant is None or lot is None else lot.free
            left = free + account.overdraft_left - account.owed
        elif isinstance(event, ev.TransferDebited):
            left = account.available()
        elif isinstance(event, ev.HoldCaptured) and event.overdraft:
            left = account.overdraft_left
        else:
            return
        if left < 0:
            detail = f"{row.event_id} leaves {left} units available to {account.profile.user}"
            self.found.add("I2", detail, row.position)

    def _check_budgets(self, row: LogEvent, account: Account, event: ev.AccountEvent) -> None:
        """No budget counts less than nothing, and no charge or hold leaves a hard one exceeded."""
        spends = isinstance(event, ev.CreditsCharged | ev.HoldCreated | ev.HoldExtended) and event.amount
        for use in () if isinstance(event, ev.BudgetSet) else getattr(event, "budgets", ()):
            budget = None if account.budgets is None else account.budgets.named(use.name)
            exceeded = spends and budget is not None and budget.hard and use.used > budget.limit
            if budget is None or use.used < 0 or exceeded:
                detail = f"{row.event_id} leaves {use.used} units counted by the budget {use.name!r}"
                self.found.add("I2", detail, row.position)


def sums_fault(account: Account) -> str | None:
    """What is wrong between an account's balances and its lots and holds; None if they agree."""
    settled = -account.overdraft_used
    held = 0
    for lot in account.lots.values():
        if not 0 <= lot.revoking <= lot.pinned <= lot.remaining <= lot.terms.amount or lot.spent < 0:
            return f"the lot {lot.terms.id} is spent beyond what it holds"
        held += lot.pinned
        if lot.phase == Phase.LIVE:
            settled += lot.remaining
        elif lot.phase == Phase.EXPIRED:
            settled += lot.pinned
    if (settled, held) != (account.settled, account.held):
        return f"settled {account.settled} and held {account.held} units, but its lots add up to {settled} and {held}"
    if account.holds or held:
        pinned = sum([part.amount for hold in account.holds.values() for part in hold.slices])
        if pinned != held:
            return f"its holds pin {pinned} units, its lots say {held}"
    if account.overdraft_used < 0:
        return "its used overdraft is less than nothing"
    return None


def _name(key: AccountKey) -> str:
    return f"account {key[1]}/{key[2]} of {key[0]}"
