"""What the proxy counts."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

CALLS = Counter("meter_calls_total", "Calls, by how they ended.", ["outcome"])
TOKENS = Counter("meter_tokens_total", "Tokens of settled calls.", ["unit"])
SETTLEMENTS = Counter("meter_settlements_total", "Calls settled with the ledger, by how.", ["outcome"])
OPEN = Gauge("meter_open_calls", "Calls that are begun and not settled.")
RETRIES = Counter("meter_settlement_retries_total", "Settlements that failed for a passing reason and are tried again.")
ADDED = Histogram(
    "meter_added_seconds",
    "Time from a whole request to its going upstream: the hold and the journal.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0),
)

# All are there from the start: a counter that is born at 1 has not increased.
for outcome in ("done", "cut", "refused", "upstream_failed", "broken", "left", "failed"):
    CALLS.labels(outcome)
for outcome in ("captured", "short", "released", "unheld", "resolved", "late", "dropped", "uncollected"):
    SETTLEMENTS.labels(outcome)
