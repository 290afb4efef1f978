"""The feed of the log."""

from __future__ import annotations

from typing import Any

from services.ledger.api.answers.base import Answer


class FeedStream(Answer):
    """An incarnation of the log; `forked_at` is the last `seq` that it shares with the one before."""

    stream: str
    forked_at: int


class Feed(Answer):
    """A part of one partition of the log; `events` are CloudEvents in their JSON format."""

    source: str
    topic: str
    partition: int
    stream: str
    head: int
    streams: list[FeedStream]
    events: list[dict[str, Any]]
