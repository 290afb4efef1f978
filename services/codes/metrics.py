"""The service's metrics; names and meanings are in docs/metrics.md. No label names an app, a user or a code."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REDEMPTIONS = Counter("codes_redemptions_total", "Redemptions that have ended, by how.", ["kind", "outcome"])
DURATION = Histogram(
    "codes_redemption_duration_seconds",
    "From a redemption's request to its answer.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
REFUSALS = Counter("codes_refusals_total", "Codes that were refused, by what the caller was told.", ["reason"])
MISSES = Counter("codes_misses_total", "Codes that do not exist for who entered them, and that count as a guess.")
LOCKOUTS = Counter("codes_lockouts_total", "Times that somebody was locked out, by what was locked.", ["by"])
SUSPICIONS = Counter("codes_guessing_suspected_total", "Windows in which an app had so many misses that it was told.")

OPEN = Gauge("codes_reservations_open", "Reservations that have not ended; told by the worker.")
UNSETTLED = Gauge(
    "codes_oldest_unsettled_timestamp_seconds",
    "When the oldest command without an outcome was sent for a redemption; 0 without any; told by the worker.",
)
BATCH = Gauge(
    "codes_oldest_batch_timestamp_seconds",
    "When the oldest batch that is still being made was asked for; 0 without any; told by the worker.",
)
UNGRANTED = Gauge(
    "codes_grants_refused_after_payment",
    "Redemptions that a payment has confirmed and whose credits the ledger has refused; told by the worker.",
)

for _by in ("user", "address"):
    # There before anything happens, so that the first one is an increase.
    LOCKOUTS.labels(_by)
