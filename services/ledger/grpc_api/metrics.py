"""Metrics of the gRPC side; names and meanings are in docs/metrics.md."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from libs.service.metrics import DURATION_BUCKETS_S

REQUESTS = Counter("grpc_requests_total", "gRPC calls that have ended.", ["method", "code"])
DURATION = Histogram(
    "grpc_request_duration_seconds", "Time that a unary gRPC call took.", ["method"], buckets=DURATION_BUCKETS_S
)
STREAMS = Gauge("grpc_streams", "Streams of commands that are open.")
