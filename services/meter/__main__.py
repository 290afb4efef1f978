"""`python -m services.meter`: serve, with settings from the environment."""

from __future__ import annotations

from libs.events import failpoints
from libs.service.logs import configure_logging
from libs.service.server import serve
from libs.service.settings import load_settings
from libs.service.tracing import traced
from services.meter.settings import MeterSettings


def run(settings: MeterSettings) -> None:
    """Serve until told to stop."""
    from services.meter.app import build

    configure_logging("meter", settings.log_level, settings.log_format)
    failpoints.arm(settings.failpoints)
    with traced("meter", settings.otel_endpoint):
        serve(build(settings), settings.host, settings.port)


if __name__ == "__main__":
    run(load_settings(MeterSettings))
