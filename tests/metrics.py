"""What a process says of itself at `/metrics`."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

TIMEOUT_S = 5.0


async def metric_of(url: str, name: str, labels: dict[str, str]) -> float:
    """The sum of a metric's samples that have these labels, at the process that serves `url`; 0 if there is none."""
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as http:
        text = (await http.get(f"{url}/metrics")).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )
