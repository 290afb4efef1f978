"""Tracing: W3C trace contexts for envelopes always; OpenTelemetry only when an endpoint is configured."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace: ids in lower-case hexadecimal (32 and 16 digits)."""

    trace_id: str
    span_id: str
    sampled: bool = False


def parse_traceparent(text: str | None) -> TraceContext | None:
    """The context that a `traceparent` names (https://www.w3.org/TR/trace-context/), or None if it is not one."""
    match = _TRACEPARENT.fullmatch(text or "")
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & 1))


def format_traceparent(context: TraceContext) -> str:
    """The `traceparent` of a context."""
    return f"00-{context.trace_id}-{context.span_id}-{'01' if context.sampled else '00'}"


@contextmanager
def traced(service: str, endpoint: str | None) -> Iterator[None]:
    """Trace what happens meanwhile, as :func:`setup_tracing` does; at the end what is left is sent."""
    provider = setup_tracing(service, endpoint)
    try:
        yield
    finally:
        if provider is not None:
            provider.shutdown()


def setup_tracing(service: str, endpoint: str | None) -> TracerProvider | None:
    """Send spans to the OTLP/HTTP collector at `endpoint`; without one nothing is imported and None is answered.

    Call it once, before the application is made; `provider.shutdown()` sends what is left.
    """
    if endpoint is None:
        return None
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": f"tallystick-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")))
    trace.set_tracer_provider(provider)
    return provider
