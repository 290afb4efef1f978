"""`python -m services.codes serve | worker | migrate | openapi`."""

from __future__ import annotations

import asyncio
import sys

from libs.events import failpoints
from libs.service.logs import configure_logging
from libs.service.server import serve
from libs.service.settings import EXIT_USAGE, load_settings
from libs.service.tracing import traced
from services.codes.settings import CodesSettings

USAGE = "usage: python -m services.codes serve | worker | migrate | openapi write|check"


def _serve(settings: CodesSettings) -> None:
    from services.codes.app import build

    with traced("codes", settings.otel_endpoint):
        serve(build(settings), settings.host, settings.port)


def _worker(settings: CodesSettings) -> None:
    from services.codes.worker import run_worker

    asyncio.run(run_worker(settings))


def _migrate(settings: CodesSettings) -> None:
    from services.codes.store.setup import prepare

    if settings.owner_dsn is None:
        print("TALLYSTICK_CODES_OWNER_DSN: needed to migrate", file=sys.stderr)
        raise SystemExit(EXIT_USAGE)
    report = asyncio.run(prepare(settings.owner_dsn, settings.runtime_role))
    for name in report.applied:
        print(f"applied {name}")


def main(arguments: list[str]) -> None:
    """Run one of the service's processes, or say how; ends the process with 2 for anything else."""
    commands = {"serve": _serve, "worker": _worker, "migrate": _migrate}
    match arguments:
        case [name] if name in commands:
            settings = load_settings(CodesSettings)
            configure_logging("codes" if name == "serve" else f"codes-{name}", settings.log_level, settings.log_format)
            failpoints.arm(settings.failpoints)
            commands[name](settings)
        case ["openapi", ("write" | "check") as verb]:
            from services.codes.openapi import main as openapi

            raise SystemExit(openapi(verb))
        case _:
            print(USAGE, file=sys.stderr)
            raise SystemExit(EXIT_USAGE)


if __name__ == "__main__":
    main(sys.argv[1:])
