"""`tallystick ledger violations|resume`: what stops the ledger's writes, and letting them go on."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from libs.service.cli_database import run
from libs.service.cli_support import EXIT_FOUND, EXIT_USAGE, CliError
from libs.service.clock import from_datetime
from libs.service.db import connect
from services.ledger.cli.access import WAIT_S, Access
from services.ledger.domain.codec import format_time
from services.ledger.store.violations import Recorded, clear, recorded

REASON_MAX = 500


def violations(
    every: Annotated[bool, typer.Option("--all", help="Those that were cleared too, with who did it and why.")] = False,
) -> None:
    """Show what the verifier found wrong. Ends with 1 while something stops the ledger's writes."""
    access = Access()

    async def read() -> list[Recorded]:
        connection = await connect(access.dsn, application_name="ledger-violations", wait_s=WAIT_S)
        try:
            return await recorded(connection, cleared=every)
        finally:
            await connection.close()

    found = run(read())
    for one in found:
        print(_line(one))
    if any(one.cleared_at is None for one in found):
        raise typer.Exit(EXIT_FOUND)


def resume(
    reason: Annotated[str, typer.Option(help="Why the ledger may write again: what was found out and mended.")],
    violation: Annotated[int | None, typer.Option(help="Clear this one only, by its number.", min=1)] = None,
    by: Annotated[str | None, typer.Option(help="Who decided it. Default: the user of this machine.")] = None,
) -> None:
    """Let the ledger write again after violations; who and why is kept with each.

    What is wrong in a table and was not mended is found again, and stops the writes again. What is wrong in the log
    stays as it is; cleared, it is not told again.
    """
    who = by or getpass.getuser()
    if not reason.strip() or len(reason) > REASON_MAX:
        raise CliError(f"--reason: say why, in at most {REASON_MAX} characters", EXIT_USAGE)
    access = Access()

    async def lift() -> tuple[int, list[Recorded]]:
        connection = await connect(access.owner_dsn, application_name="ledger-resume", wait_s=WAIT_S)
        try:
            return await clear(connection, violation, who, reason), await recorded(connection)
        finally:
            await connection.close()

    cleared, left = run(lift())
    print(f"{cleared} violations cleared by {who}; {len(left)} still stop writes.")
    if violation is not None and not cleared:
        raise CliError(f"there is no open violation {violation}", EXIT_FOUND)


def _line(one: Recorded) -> str:
    where = "" if one.partition is None else f", partition {one.partition}"
    where += "" if one.position is None else f", position {one.position}"
    line = f"{one.id}: {one.invariant}{where}: {one.detail} (found {format_time(from_datetime(one.found_at))})"
    if one.cleared_at is None:
        return line
    return f"{line}; cleared {format_time(from_datetime(one.cleared_at))} by {one.cleared_by}: {one.reason}"
