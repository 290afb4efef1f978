"""`python -m services.ledger serve | migrate | relay | verifier | openapi`."""

from __future__ import annotations

import asyncio
import sys

from libs.events import failpoints
from libs.service.logs import configure_logging
from libs.service.server import serve
from libs.service.settings import EXIT_USAGE, load_settings
from libs.service.tracing import traced
from services.ledger.settings import LedgerSettings

USAGE = "usage: python -m services.ledger serve | migrate | relay | verifier | openapi write|check"


def _serve(settings: LedgerSettings) -> None:
    from services.ledger.app import build

    with traced("ledger", settings.otel_endpoint):
        serve(build(settings), settings.host, settings.port)


def _migrate(settings: LedgerSettings) -> None:
    from services.ledger.store.setup import prepare

    if settings.owner_dsn is None:
        print("TALLYSTICK_LEDGER_OWNER_DSN: needed to migrate", file=sys.stderr)
        raise SystemExit(EXIT_USAGE)
    report = asyncio.run(
        prepare(settings.owner_dsn, settings.runtime_role, settings.partitions, settings.shards.split(","))
    )
    for name in report.applied:
        print(f"applied {name}")


def _relay(settings: LedgerSettings) -> None:
    from services.ledger.relay import run_relay

    asyncio.run(run_relay(settings))


def _verifier(settings: LedgerSettings) -> None:
    from services.ledger.verifier import run_verifier

    asyncio.run(run_verifier(settings))


def main(arguments: list[str]) -> None:
    """Run one of the ledger's processes, or say how; ends the process with 2 for anything else."""
    commands = {"serve": _serve, "migrate": _migrate, "relay": _relay, "verifier": _verifier}
    match arguments:
        case [name] if name in commands:
            settings = load_settings(LedgerSettings)
            configure_logging(
                f"ledger-{name}" if name != "serve" else "ledger", settings.log_level, settings.log_format
            )
            failpoints.arm(settings.failpoints)
            commands[name](settings)
        case ["openapi", ("write" | "check") as verb]:
            from services.ledger.openapi import main as openapi

            raise SystemExit(openapi(verb))
        case _:
            print(USAGE, file=sys.stderr)
            raise SystemExit(EXIT_USAGE)


if __name__ == "__main__":
    main(sys.argv[1:])
