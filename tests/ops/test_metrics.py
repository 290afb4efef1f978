"""docs/metrics.md says of every metric what the code registers: its name, its type and its labels."""

from __future__ import annotations

import importlib

import pytest
from prometheus_client.metrics import MetricWrapperBase

from tests.ops.material import documented_metrics, metrics_in, rules

MODULES = [
    "libs.events.metrics",
    "libs.service.metrics",
    "libs.service.timers",
    "services.codes.metrics",
    "services.ledger.metrics",
    "services.ledger.verify.metrics",
    "services.meter.metrics",
]


@pytest.mark.parametrize("module", MODULES)
def test_what_a_module_registers_is_documented(module: str) -> None:
    documented = documented_metrics()
    values = vars(importlib.import_module(module)).values()
    registered = [value for value in values if isinstance(value, MetricWrapperBase)]
    assert registered
    for metric in registered:
        (family,) = metric.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert documented.get(name) == (family.type, frozenset(metric._labelnames)), name


FOREIGN = ("up", "ALERTS", "prometheus_", "alertmanager_", "process_")
"""Series that Prometheus, Alertmanager and the client library make themselves."""


def test_every_metric_that_an_alert_reads_is_registered_by_some_process() -> None:
    registered: set[str] = set()
    for module in MODULES:
        for metric in vars(importlib.import_module(module)).values():
            if isinstance(metric, MetricWrapperBase):
                (family,) = metric.describe()
                suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
                registered |= {f"{family.name}{suffix}" for suffix in suffixes}
    recorded = {rule.body["record"] for rule in rules() if not rule.alert}
    for rule in rules():
        unknown = metrics_in(rule.body["expr"]) - registered - recorded
        assert not {name for name in unknown if not name.startswith(FOREIGN)}, rule.body


def test_the_series_of_invariants_are_there_before_anything_is_wrong() -> None:
    samples = importlib.import_module("services.ledger.verify.metrics").VIOLATIONS.collect()[0].samples
    found = {sample.labels["invariant"] for sample in samples if sample.name.endswith("_total")}
    assert found == {f"I{number}" for number in range(1, 13)}
