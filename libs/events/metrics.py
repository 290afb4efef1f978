"""Prometheus metrics of messaging. No app or user labels."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

AGE_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 600.0, 3600.0)

RELAY_LAG = Gauge("relay_lag_events", "Committed events that are not on Kafka.")
RELAY_OLDEST = Gauge(
    "relay_oldest_unpublished_timestamp_seconds", "Time of the oldest of these, seconds since the epoch; 0 without any."
)
CONSUMER_LAG = Gauge("consumer_lag_events", "Messages that wait for this consumer.", ["source"])
CONSUMER_AGE = Histogram(
    "consumer_event_age_seconds", "Age of an event when its effect has committed.", ["source"], buckets=AGE_BUCKETS_S
)
CONSUMER_GAPS = Counter("consumer_gaps_total", "Gaps in a sequence, each healed from the feed.")
CONSUMER_DUPLICATES = Counter("consumer_duplicates_total", "Messages dropped because their effect was there.")
CONSUMER_RETRIES = Counter("consumer_retries_total", "Attempts that failed for a passing reason and were repeated.")
CHECKPOINTS_LOST = Counter("consumer_checkpoint_lost_total", "Checkpoints that another process had moved.", ["source"])
DEAD_LETTERS_OPEN = Gauge("dead_letters_open", "Messages set aside and not yet replayed or closed.", ["source"])
COMMANDS_REPUBLISHED = Counter("commands_republished_total", "Commands sent again because no outcome was heard.")
COMMANDS_OVERDUE = Gauge(
    "command_outcome_overdue", "Commands without an outcome an hour after they were sent.", ["source"]
)
