"""What was recorded: explanations, the journal, outcomes of commands, totals, events, the feed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from .base import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation(Answer):
    """Why a balance is what it is, or why a charge cost what it did; in `raw`, as the ledger tells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction(Answer):
    """One line of an account's journal; `amount` has its sign, `before` and `after` are the balance around it."""

    id: str
    type: str
    amount: Decimal
    before: Decimal | None = None
    after: Decimal | None = None
    time: datetime | None = None
    user: str | None = None
    asset: str | None = None
    reference: str | None = None
    reason: str | None = None
    description: str | None = None
    member: str | None = None
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutcome(Answer):
    """What became of a write, asked by its key: the HTTP `status` and `body` that answered it first."""

    status: int
    body: Mapping[str, Any]
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics(Answer):
    """Totals of the app; the figures are in `raw`, under the ledger's own names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Answer):
    """One event of the log; `payload` is as stored.

    `place`, of an event of `stream`, is where the stream goes on behind it.
    """

    id: str
    type: str
    partition: int | None = None
    position: int | None = None
    user: str | None = None
    time: datetime | None = None
    payload: Mapping[str, Any] | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedMessage(Answer):
    """One published message, a CloudEvent; `prevseq` is the message before it in the same partition."""

    id: str
    type: str
    seq: int
    prevseq: int | None = None
    time: datetime | None = None
    subject: str | None = None
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed(Answer):
    """Messages of one partition in order; `stream` is the log's present incarnation, `head` its last `seq`."""

    stream: str
    head: int
    events: tuple[FeedMessage, ...] = ()
