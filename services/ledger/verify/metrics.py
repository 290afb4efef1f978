"""The verifier's metrics; names and meanings are in docs/metrics.md."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

INVARIANTS = tuple(f"I{number}" for number in range(1, 13))

VERIFIED = Gauge("ledger_verified_position", "Events that have been checked, of the shard's partitions.", ["shard"])
VIOLATIONS = Counter("ledger_invariant_violations_total", "Violations that the verifier found.", ["invariant"])
LAG = Gauge("projection_lag_events", "Events that the projections have not been compared with yet.")
PATROLS = Counter("ledger_verifier_patrols_total", "Times that everything stored was looked through again.")
FAILURES = Counter("ledger_verifier_failures_total", "Rounds of the verifier that failed and are tried again.")

for _invariant in INVARIANTS:
    VIOLATIONS.labels(_invariant)
