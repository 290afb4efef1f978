"""The ledger's metrics; names and meanings are in docs/metrics.md. No label names an app, a user or an account."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Sequence

from prometheus_client import Counter, Gauge, Histogram

from libs.service.metrics import observe_alike
from services.ledger.requests import Answer, Request

_FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

COMMANDS = Counter("ledger_commands_total", "Commands decided, by what came of them.", ["type", "source", "outcome"])
DURATION = Histogram("ledger_command_duration_seconds", "From queue to answer.", buckets=_FAST_S)
QUEUE = Gauge("ledger_queue_depth", "Commands waiting for the writer.")
QUEUE_LIMIT = Gauge("ledger_queue_limit", "Depth from which commands are answered 429.")
BATCH = Histogram(
    "ledger_batch_commands", "Commands in a batch.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
)
APPEND = Histogram("ledger_append_duration_seconds", "Appending a batch to PostgreSQL.", buckets=_FAST_S)
APPEND_FAILURES = Counter("ledger_append_failures_total", "Batches that were not appended.", ["kind"])
HEAD = Gauge("ledger_head_position", "Events in the shard's partitions.", ["shard"])
EPOCH = Gauge("ledger_epoch", "Highest epoch among the shard's partitions.")
LEADER = Gauge("ledger_is_leader", "1 while this process writes its shard.")
HALTED = Gauge("ledger_halted", "1 while this process writes its shard and refuses, because the books are wrong.")
STREAMS = Gauge("ledger_streams_open", "Event streams that are open.")
STREAMS_ENDED = Counter("ledger_streams_ended_total", "Event streams that this process ended.", ["reason"])
RESETS = Counter("ledger_allowance_resets_total", "Allowances that were due and returned, or lapsed.")
REPLAYS = Counter("ledger_idempotent_replays_total", "Answers repeated from an earlier decision.")

_children: dict[tuple[str, str, str], Counter] = {}


def answered(answers: Sequence[tuple[Request, Answer]], now_s: float) -> None:
    """Count a batch's answers. Equal ones are counted together: the label children are looked up once each."""
    each: list[tuple[Request, Answer]] = []
    for pair in answers:
        if pair[1].parts:
            each += zip(pair[0].items, pair[1].parts, strict=True)
        else:
            each.append(pair)
    BATCH.observe(len(each))
    outcomes = Tally((request.type, request.door, answer.outcome) for request, answer in each)
    for key, number in outcomes.items():
        child = _children.get(key)
        if child is None:
            child = _children[key] = COMMANDS.labels(*key)
        child.inc(number)
    for queued_at, number in Tally([request.queued_at for request, _ in answers]).items():
        observe_alike(DURATION, now_s - queued_at, number)
    replays = sum(answer.replayed for _, answer in each)
    if replays:
        REPLAYS.inc(replays)
