"""Known ways to get it wrong, to prove that the simulation finds them: patches of the product or of its database."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

from libs.events.db import Connection
from libs.events.partition_consumer import PartitionConsumer
from libs.events.relay import Relay, _messages
from libs.service.db import Pool
from services.ledger.domain.allowances import Plan
from services.ledger.domain.decide.allowances import renew
from services.ledger.domain.decide.recorder import Recorder
from services.ledger.domain.events import BudgetUse
from services.ledger.domain.evolve import budgets as evolve_budgets
from services.ledger.domain.state import Account
from services.ledger.requests import Request
from services.ledger.store.load import Loaded, load_accounts
from services.ledger.store.reads import Seen, head_position
from services.ledger.writer.batch import Batch
from services.ledger.writer.engine import Writer
from tests.sim.statements import MOVE_CHECKPOINT

Mistake = Callable[[], AbstractContextManager[Any]]

_append = Writer._append


def no_epoch_check() -> AbstractContextManager[Any]:
    """An append does not look whether another writer has taken over."""
    return patch("tests.sim.append.check_epoch", lambda _tables, _heads: None)


def no_check_at_all() -> AbstractContextManager[Any]:
    """An append looks neither for another writer nor where the log ends."""
    return patch.multiple(
        "tests.sim.append",
        check_epoch=lambda _tables, _heads: None,
        check_positions=lambda _tables, _heads: None,
    )


def answer_before_commit() -> AbstractContextManager[Any]:
    """A batch is answered when it is sent."""

    async def append(self: Writer, batch: Batch) -> None:
        self._answer(batch)
        await _append(self, batch)

    return patch.object(Writer, "_append", append)


def merge_before_commit() -> AbstractContextManager[Any]:
    """Memory takes a batch over before it is known to be stored."""

    async def append(self: Writer, batch: Batch) -> None:
        self._base.pour(batch.layer)
        await _append(self, batch)

    return patch.object(Writer, "_append", append)


def trust_a_lost_append() -> AbstractContextManager[Any]:
    """A batch whose answer was lost counts as committed, without a look at the heads."""

    async def recover(self: Writer, batch: Batch) -> None:
        self._connection.terminate()
        self._connection, self._heads = await self._with.recover()
        self._base.pour(batch.layer)
        self._dropped_with()
        self._answer(batch)

    return patch.object(Writer, "_recover", recover)


def repeat_a_lost_append() -> AbstractContextManager[Any]:
    """Outcomes under keys are not looked up: what was committed is decided once more."""
    return patch.object(Batch, "_repeated", lambda _self, _request: None)


def checkpoint_before_effect() -> AbstractContextManager[Any]:
    """The consumer moves its checkpoint in a transaction of its own, and then makes the effects."""

    async def commit(self: PartitionConsumer, run: Sequence[Any], _verdict: Any) -> None:
        seq = run[-1].seq or 0
        pool = self._handling.pool
        async with pool.acquire() as connection, connection.transaction():
            await self._advance(connection, self._stream, seq)
        self._seq = seq
        async with pool.acquire() as connection, connection.transaction():
            await self._handling.handle(connection, run)

    return patch.object(PartitionConsumer, "_commit", commit)


def effect_before_checkpoint() -> AbstractContextManager[Any]:
    """The consumer makes the effects in a transaction of their own, and then moves its checkpoint."""

    async def commit(self: PartitionConsumer, run: Sequence[Any], _verdict: Any) -> None:
        seq = run[-1].seq or 0
        pool = self._handling.pool
        async with pool.acquire() as connection, connection.transaction():
            await self._handling.handle(connection, run)
        async with pool.acquire() as connection, connection.transaction():
            await self._advance(connection, self._stream, seq)
        self._seq = seq

    return patch.object(PartitionConsumer, "_commit", commit)


def checkpoint_without_compare() -> AbstractContextManager[Any]:
    """Two consumers may both move one checkpoint."""

    async def advance(self: PartitionConsumer, connection: Connection, stream: str, seq: int) -> None:
        await connection.execute(MOVE_CHECKPOINT, self._handling.consumer, self._topic, self._partition, stream, seq)

    return patch.object(PartitionConsumer, "_advance", advance)


def checkpoint_before_acknowledgement() -> AbstractContextManager[Any]:
    """The relay moves its checkpoint over what it is about to publish."""

    async def publish(self: Relay, place: tuple[str, int]) -> int:
        topic, partition = place
        envelopes = await self._log.read(topic, partition, self._published[place], self._batch)
        if envelopes:
            await self._advance(place, len(envelopes))
            await self._bus.publish(topic, partition, _messages(topic, envelopes))
        return len(envelopes)

    return patch.object(Relay, "_publish", publish)


def read_without_a_snapshot() -> AbstractContextManager[Any]:
    """An account is read at one moment, and the position that it is said to be of at another."""

    async def read(pool: Pool, key: tuple[str, str, str], partition: int) -> Seen:
        loaded = Loaded()
        await load_accounts(pool, [key], loaded)
        return Seen(loaded.accounts.get(key), await head_position(pool, partition))

    return patch("tests.sim.workload.account_at_head", read)


def feed_never_asked() -> AbstractContextManager[Any]:
    """A consumer lives by Kafka alone."""

    async def catch_up(_self: PartitionConsumer, _until: int | None) -> None:
        return None

    return patch.object(PartitionConsumer, "_catch_up", catch_up)


def month_told_again() -> AbstractContextManager[Any]:
    """The end of a month's resets has no key of its own, by which it would be found to have been told."""
    numbers = itertools.count()
    return patch("services.ledger.resets._key", lambda month, partition: f"{month.due_at}:{partition}:{next(numbers)}")


def anniversaries_drift() -> AbstractContextManager[Any]:
    """Each month of an anniversary counts from the one before: after a short one, the day is another."""
    month = Plan.month

    def from_the_last(self: Plan, zone: ZoneInfo, anchor: int | None, at: int) -> tuple[int, int]:
        return month(self, zone, None if anchor is None else max(anchor, at), at)

    return patch.object(Plan, "month", from_the_last)


def months_stack() -> AbstractContextManager[Any]:
    """An allowance that comes late begins its month when it comes."""

    def late(recorder: Recorder) -> None:
        allowance = recorder.account.allowance
        if allowance is not None:
            allowance.period_end = recorder.now
        renew(recorder)

    return patch("services.ledger.domain.decide.due.renew", late)


def half_a_batch() -> AbstractContextManager[Any]:
    """What an atomic batch did before an item was refused stays done."""

    def drop_nothing(batch: Batch, trial: Batch, _request: Request) -> None:
        batch.take_over(trial)

    return patch.object(Batch, "apply_due_of", drop_nothing)


def budget_counted_before_commit() -> AbstractContextManager[Any]:
    """What budgets count is changed in the account that memory has, whatever becomes of the batch."""
    right = evolve_budgets.count

    def count(account: Account, uses: tuple[BudgetUse, ...], at: int) -> None:
        before = account.budgets
        right(account, uses, at)
        if before is not None and account.budgets is not None:
            before.counts.update(account.budgets.counts)

    stack = ExitStack()
    for module in ("balances", "holds"):
        stack.enter_context(patch(f"services.ledger.domain.evolve.{module}.count", count))
    return stack


MISTAKES: dict[str, Mistake] = {
    make.__name__: make
    for make in (
        no_epoch_check,
        no_check_at_all,
        answer_before_commit,
        merge_before_commit,
        trust_a_lost_append,
        repeat_a_lost_append,
        checkpoint_before_effect,
        effect_before_checkpoint,
        checkpoint_without_compare,
        checkpoint_before_acknowledgement,
        feed_never_asked,
        read_without_a_snapshot,
        month_told_again,
        anniversaries_drift,
        months_stack,
        half_a_batch,
        budget_counted_before_commit,
    )
}
