"""One batch: requests decided one after another on an overlay, and the rows that make the outcome durable."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import orjson

from libs.events.ids import Ids, InvalidIdError, parse_id
from libs.events.partition import partition_of
from libs.service.clock import from_datetime
from services.ledger.domain import config as conf
from services.ledger.domain import events as ev
from services.ledger.domain.decide import Context, Outcome, decide, present
from services.ledger.domain.evolve import attach
from services.ledger.domain.records import Loaded as Records
from services.ledger.domain.rejections import Rejected, conflict, not_found
from services.ledger.domain.state import Account, Profile
from services.ledger.refusals import problem_of
from services.ledger.requests import Answer, ApplyConfig, BuryMessage, CompleteReset, Request, SettleTransfer
from services.ledger.store.append import Rows
from services.ledger.store.heads import Head
from services.ledger.store.load import AccountKey, Loaded
from services.ledger.store.rows import quote_row
from services.ledger.writer.atomic import decide_together
from services.ledger.writer.effects import Effects
from services.ledger.writer.finding import Finder, Situation
from services.ledger.writer.kept import config_row, dead_letter_row
from services.ledger.writer.layer import Layer, Layers, newest
from services.ledger.writer.log import APP_ACCOUNT, LogRows, Origin, clock_origin, origin_of
from services.ledger.writer.once import NOT_NOW, REPEATABLE, Once
from services.ledger.writer.telling import Told, refusal, repetition

_NO_RECORDS = Records()
_NOTHING_READ = Loaded()


class UnknownKeyError(Exception):
    """A request is to be refused with nothing stored, and whether it is a repeat has not been looked up."""


class Batch:
    """Decides requests in order, in groups, each after a :meth:`proceed`.

    After :meth:`finish`, `rows` is what to append and `answers` what to say then.
    """

    def __init__(self, situation: Situation) -> None:
        self.layer = Layer()
        self.log = LogRows(dict(situation.heads))
        self.rows = Rows()
        self.answers: list[tuple[Request, Answer]] = []
        self.resets = 0
        """Allowances that were due and returned or lapsed."""

        self._situation = situation
        self._time_us = 0
        self._loaded = _NOTHING_READ
        self._layers = Layers(self.layer, *situation.below)
        self._find = Finder(self._layers, _NOTHING_READ)
        self._once = Once(self._layers, self.layer, self.rows, self._find)
        self._effects = Effects(self.layer, self.rows, situation.partitions)

    @property
    def writes(self) -> bool:
        """Whether there is anything to append."""
        return bool(self.log.rows or self.rows.results or self.rows.rest)

    @property
    def keys_unread(self) -> bool:
        """Whether outcomes are stored under keys that were not looked up, so that the append may find a repeat."""
        return self._once.keys_unread

    @property
    def heads(self) -> dict[int, Head]:
        """The heads after this batch."""
        return self.log.heads

    @property
    def size(self) -> int:
        """How many commands have been decided."""
        return sum([request.size for request, _ in self.answers])

    def proceed(self, loaded: Loaded, time_us: int) -> None:
        """What was read for the requests that come next, and the time in which they are decided."""
        self._time_us = time_us
        self._loaded = loaded
        self._find = Finder(self._layers, loaded)
        self._once.proceed(self._find, all_keys=loaded.all_keys)

    def decide(self, request: Request) -> None:
        """Decide one request; its answer may be given once the batch is durable.

        After an :class:`UnknownKeyError` the batch is as it was, but for what was due on the account.
        """
        cursor = request.cursor
        try:
            if cursor is not None and self._once.passed(cursor, self.log.heads):
                self.answers.append((request, Answer(200, b"{}", replayed=True)))
                return
            if request.items:
                answer = decide_together(self, request)
            else:
                answer = _SPECIAL.get(request.type, Batch._decide)(self, request)
        except Rejected as rejected:
            answer = self._refuse(request, rejected)
        if cursor is not None and answer.status != NOT_NOW:
            self.layer.cursors[cursor.place] = cursor.offset + 1
        self.answers.append((request, answer))

    def finish(self) -> None:
        """Make the rows complete; nothing is decided after this."""
        self._effects.finish()
        for _, _, partition in self.layer.cursors:
            # A cursor is moved by whoever owns its partition, even where nothing else is written.
            self.log.touch(partition)
        self.rows.events = self.log.rows
        self.rows.heads = [(start, self.log.heads[partition]) for partition, start in sorted(self.log.start.items())]
        for (cluster_id, topic, partition), next_offset in self.layer.cursors.items():
            self.rows.add(
                "cursors",
                {"cluster_id": cluster_id, "topic": topic, "partition": partition, "next_offset": next_offset},
            )

    def _decide(self, request: Request) -> Answer:
        config = newest(self._layers.configs, request.app)
        self._partition(request)
        try:
            key = self._find.account_key(request, config)
        except Rejected:
            # This key may have been refused like this before: then it is repeated, not stored again.
            repeated = self._repeated(request)
            if repeated is None:
                raise
            return repeated
        request.user, request.asset = key[1], key[2]
        repeated = self._repeated(request)
        if repeated is not None:
            return repeated
        if config is None:
            command = request.build(0)
            if not isinstance(command, ApplyConfig):
                raise not_found("app")
            return self._apply_config(request, None, command)
        command = request.build(config.scales.get(key[2], 0))
        if isinstance(command, ApplyConfig):
            return self._apply_config(request, config, command)
        self._check_transfer(request)
        if isinstance(command, SettleTransfer):
            self._effects.settle(command.transfer, "refused", self._now(request), command.refusal)
            self._settled(command.transfer, "refused")
            return self._store(request, Answer(200, b"{}"))
        account, context = self._prepare(request, key, config)
        return self._take(request, key, account, decide(account, command, context), context)

    def _partition(self, request: Request) -> int:
        """The partition that a request belongs to; 503 `not_leader` if this writer does not own it."""
        if request.user or request.target is None:
            partition = partition_of(request.app, request.user or APP_ACCOUNT, self._situation.partitions)
        else:
            try:
                partition = parse_id(request.target)
            except InvalidIdError:
                partition = partition_of(request.app, APP_ACCOUNT, self._situation.partitions)
        if partition not in self.log.heads:
            raise Rejected(NOT_NOW, "not_leader", "Another process writes this account.")
        return partition

    def _now(self, request: Request, clock_start: datetime | None = None) -> int:
        """The app's time. `clock_start`: where the clock of an app in test mode begins, which may be news."""
        app_now = self._situation.app_now(request.app)
        if app_now is None:
            return self._time_us if clock_start is None else from_datetime(clock_start)
        return app_now

    def _prepare(self, request: Request, key: AccountKey, config: conf.AppConfig) -> tuple[Account, Context]:
        account = self._find.account(key)
        if account is None:
            partition = partition_of(key[0], key[1] or APP_ACCOUNT, self._situation.partitions)
            account = Account(Profile(*key, scale=config.scales[key[2]], partition=partition))
        partition = account.profile.partition
        self._effects.found(key, account)
        records = _NO_RECORDS
        if request.target is not None or request.named:
            records, lots = self._find.records(request, key)
            dead = {lot.terms.id for lot in lots} - account.lots.keys()
            if dead:
                self._effects.attached(dead)
                account = attach(account, lots)
        now = max(self._now(request, config.test_clock_start), account.time_us)
        return account, Context(config, now, Ids(self._situation.ulids, partition, now), records)

    # Several as one

    def trial(self, items: Sequence[Request]) -> Batch:
        """A batch on top of this one, to be taken over or dropped; what it decides of `items` is one transaction."""
        ids = Ids(self._situation.ulids, self._partition(items[0]), self._now(items[0]))
        transaction_id = ids.new("transaction")
        for item in items:
            item.transaction_id = transaction_id
        trial = Batch(replace(self._situation, below=(self.layer, *self._situation.below), heads=dict(self.log.heads)))
        trial.proceed(self._loaded, self._time_us)
        return trial

    def take_over(self, trial: Batch) -> None:
        """What a batch on top of this one has decided is decided here."""
        self.layer.take_over(trial.layer)
        self.log.take_over(trial.log)
        self.rows.take_over(trial.rows)
        self._effects.take_over(trial._effects)

    def apply_due_of(self, trial: Batch, request: Request) -> None:
        """What time had made due on the accounts of a batch that is dropped has happened all the same."""
        for key in trial.layer.accounts:
            account, config = self._find.account(key), newest(self._layers.configs, key[0])
            if account is None or config is None:
                continue
            before, context = self._prepare(request, key, config)
            after, due = present(before, context)
            if due:
                self.layer.accounts[key] = after
                self._add(clock_origin(key[0], key[1], context.ids.new("event")), (before, after), due, context)

    def knows(self, request: Request) -> bool:
        """Whether an outcome is kept under the request's key."""
        user = request.user
        with contextlib.suppress(Rejected):
            user = self._find.account_key(request, newest(self._layers.configs, request.app))[1]
        return self._find.result((request.app, user, request.key, request.caller)) is not None

    # Once only

    def _repeated(self, request: Request) -> Answer | None:
        repeat = self._once.repeated(request)
        if repeat is None:
            return None
        if repeat.told is not None:
            self._tell(request, repeat.told)
        return self._store(request, repeat.answer) if repeat.by_ref else repeat.answer

    def _store(self, request: Request, answer: Answer, partition: int | None = None) -> Answer:
        partition = self._partition(request) if partition is None else partition
        self._once.keep(request, answer, partition, self.log.touch(partition).position)
        return answer

    # Outcomes

    def _take(self, request: Request, key: AccountKey, before: Account, outcome: Outcome, context: Context) -> Answer:
        account = outcome.account
        self.layer.accounts[key] = account
        if outcome.due:
            self.resets += sum(isinstance(event, ev.AllowanceReset) for event in outcome.due)
            origin = clock_origin(key[0], key[1], context.ids.new("event"))
            self._add(origin, (before, account), outcome.due, context)
        if outcome.rejected is not None:
            raise outcome.rejected
        if outcome.events:
            origin = origin_of(request, key[0], key[1], context.ids.new("event"))
            request.command_id = origin.command_id
            self._add(origin, (before, account), outcome.events, context, request)
        if request.door == "kafka" and all(isinstance(event, ev.AccountOpened) for event in outcome.events):
            # Everything is as it was to be, and no event of the account says so.
            self._tell(request, repetition(request, str(outcome.body["id"])))
        partition = account.profile.partition
        position = self.log.touch(partition).position
        answer = Answer(outcome.status, orjson.dumps({**outcome.body, "position": position, "partition": partition}))
        if outcome.quote is not None:
            self.layer.quotes[outcome.quote.id] = outcome.quote
            self.rows.add("quotes", quote_row(outcome.quote))
        if outcome.events:
            self._once.claim(request, str(outcome.body["id"]), answer)
            if request.transfer is not None:
                self._settled(request.transfer, str(outcome.body["status"]))
        return self._store(request, answer, partition)

    def _add(
        self,
        origin: Origin,
        around: tuple[Account, Account],
        events: list[ev.AccountEvent],
        context: Context,
        request: Request | None = None,
    ) -> None:
        before, after = around
        profile = after.profile
        head = self.log.touch(profile.partition)
        for number, event in enumerate(events):
            event_id = context.ids.new("event") if number else origin.event_id
            self.log.add(origin, profile.partition, event, profile.scale, event_id)
            self._effects.project(before, after, event, head.position)
            if request is not None and request.text is not None and event.text_digest is not None:
                salt, body = request.text.salt.hex(), request.text.body
                self.rows.add(
                    "texts",
                    {"event_id": event_id, "app": profile.app, "user_id": profile.user, "salt": salt, "body": body},
                )
        if context.config.test_clock_start is None:
            head.time_us = max(head.time_us, context.now)

    def _add_app_event(self, request: Request, event: ev.AppEvent, partition: int | None = None) -> int:
        """Put an event of the app itself where the command was decided; its position."""
        partition = self._partition(request) if partition is None else partition
        event.at = event.at or self._now(request)
        ids = Ids(self._situation.ulids, partition, event.at)
        origin = origin_of(request, request.app, APP_ACCOUNT, ids.new("event"))
        self.log.add(origin, partition, event, 0, origin.event_id)
        if event.at == self._time_us:
            self.log.heads[partition].time_us = event.at
        return self.log.heads[partition].position

    def _tell(self, request: Request, event: Told, partition: int | None = None) -> None:
        """Tell the sender of a command over Kafka: once for each id, among those that were told of lately."""
        told = (request.caller, event.command)
        if request.door != "kafka" or newest(self._layers.told, told):
            return
        self.layer.told[told] = True
        self._add_app_event(request, event, partition)

    def _refuse(self, request: Request, rejected: Rejected) -> Answer:
        """The problem that a refused request is answered with. A refusal by Kafka is an event: its sender must hear."""
        problem = problem_of(rejected)
        answer = Answer(rejected.status, orjson.dumps(problem.to_dict(request.request_id)), outcome=rejected.code)
        if rejected.status == NOT_NOW:
            return answer
        if rejected.status not in REPEATABLE and not self._once.key_is_known(request):
            raise UnknownKeyError
        self._tell(request, refusal(request, rejected))
        return self._store(request, answer) if rejected.status in REPEATABLE else answer

    def _bury(self, request: Request) -> Answer:
        """Keep a Kafka record that is no command for its partition, and tell its sender where that is possible."""
        message, cursor = request.build(0), request.cursor
        if not isinstance(message, BuryMessage) or cursor is None:
            raise TypeError("only a Kafka record can be buried")
        self.rows.add("dead_letters", dead_letter_row(message, cursor))
        if message.message_id and message.app:
            request.message_type = message.message_type or ""
            self._tell(request, refusal(request, Rejected(400, message.reason, message.detail)), cursor.partition)
        return Answer(400, b"{}", outcome=message.reason)

    def _complete(self, request: Request) -> Answer:
        """Say in one partition that a month's resets are done; once, by the key."""
        command = request.build(0)
        if not isinstance(command, CompleteReset):
            raise TypeError("only the end of a month's resets can be told like this")
        if command.partition not in self.log.heads:
            raise Rejected(NOT_NOW, "not_leader", "Another process writes this partition.")
        if command.accounts is None:
            return Answer(200, b"{}")
        repeated = self._repeated(request)
        if repeated is not None:
            return repeated
        event = ev.ResetCompleted(due_at=ev.Time(command.due_at), accounts=command.accounts)
        self._add_app_event(request, event, command.partition)
        return self._store(request, Answer(200, orjson.dumps({"accounts": command.accounts})), command.partition)

    # The app's configuration

    def _apply_config(self, request: Request, current: conf.AppConfig | None, command: ApplyConfig) -> Answer:
        version = 0 if current is None else current.version
        if command.expected is not None and command.expected != version:
            detail = f"The configuration is at version {version}."
            raise Rejected(412, "version_mismatch", detail, {"version": version})
        document = command.document
        conf.check_successor(None if current is None else current.document, document)
        if current is None or current.document != document:
            version += 1
            text = conf.canonical(document)
            at = self._now(request, document.test_mode.clock_start if document.test_mode else None)
            config = conf.compile_config(request.app, version, document, at, current)
            position = self._add_app_event(request, ev.ConfigApplied(at=at, version=version, document=text))
            self.layer.configs[request.app] = config
            self.rows.add("configs", config_row(config, text, self._partition(request), position))
        body = {"app": request.app, "version": version, "config": document.model_dump(mode="json")}
        return self._store(request, Answer(200, orjson.dumps(body)))

    # Transfers

    def _check_transfer(self, request: Request) -> None:
        """A step of a transfer is taken once: the credit or its refusal while pending, the return when refused."""
        if request.transfer is None:
            return
        stored = self._find.transfer(request.transfer)
        expected = "refused" if request.type == "transfer.return" else "pending"
        if stored is None or stored.status != expected:
            raise conflict("transfer_settled", "This step of the transfer has been taken.")

    def _settled(self, transfer_id: str, status: str) -> None:
        stored = self._find.transfer(transfer_id)
        if stored is not None:
            self.layer.transfers[transfer_id] = replace(stored, status=status)


_SPECIAL = {"dead_letter": Batch._bury, "reset.complete": Batch._complete}
"""Requests that are no commands on an account."""
