"""Prometheus metrics of messaging. No app or user labels."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

RELAY_LAG = Gauge("relay_lag_events", "Numbered events that the broker has not acknowledged yet.")
RELAY_OLDEST = Gauge(
    "relay_oldest_unpublished_timestamp_seconds", "Time of the oldest event not yet published; 0 when there is none."
)
CONSUMER_LAG = Gauge("consumer_lag_events", "Events of a source that are known but not consumed yet.", ["source"])
CONSUMER_AGE = Gauge("consumer_event_age_seconds", "Age of the event consumed last, when it was consumed.")
CONSUMER_GAPS = Counter("consumer_gaps_total", "Gaps in the broker's log that the feed had to fill.")
CONSUMER_DUPLICATES = Counter("consumer_duplicates_total", "Events that arrived again and were dropped.")
CONSUMER_RETRIES = Counter("consumer_retries_total", "Attempts that failed for a passing reason and were repeated.")
DEAD_LETTERS_OPEN = Gauge("dead_letters_open", "Dead letters that nobody has replayed yet.", ["source"])
COMMANDS_REPUBLISHED = Counter("commands_republished_total", "Commands sent again because no outcome was heard.")
COMMANDS_OVERDUE = Gauge("commands_overdue", "Commands without an outcome for longer than the alarm time.")
