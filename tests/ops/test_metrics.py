"""docs/metrics.md says of every metric what the code registers: its name, its type and its labels."""

from __future__ import annotations

import importlib

import pytest
from prometheus_client.metrics import MetricWrapperBase

from tests.ops.material import documented_metrics


@pytest.mark.parametrize(
    "module", ["libs.events.metrics", "libs.service.metrics", "libs.service.timers", "services.ledger.metrics"]
)
def test_what_a_module_registers_is_documented(module: str) -> None:
    documented = documented_metrics()
    values = vars(importlib.import_module(module)).values()
    registered = [value for value in values if isinstance(value, MetricWrapperBase)]
    assert registered
    for metric in registered:
        (family,) = metric.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert documented.get(name) == (family.type, frozenset(metric._labelnames)), name
