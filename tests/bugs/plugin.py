"""Pytest plugin of a trial: random tests draw the same each time, and a failure is not made smaller before it is told.

A trial asks only whether the tests notice, as soon as they can.
"""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "bugs",
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("bugs")
