"""`tallystick ledger verify|rebuild|anchor`."""

from __future__ import annotations

import time
from typing import Annotated

import asyncpg
import typer

from libs.service.cli_database import run
from libs.service.cli_support import EXIT_FOUND, EXIT_USAGE, CliError, Progress
from libs.service.db import create_pool
from services.ledger.anchors import anchor_once
from services.ledger.cli.access import WAIT_S, Access
from services.ledger.rebuild import UnsoundLogError
from services.ledger.rebuild import rebuild as make_anew
from services.ledger.store.rebuild_tables import RebuildRunningError
from services.ledger.verify.checks import Violation
from services.ledger.verify.run import Verification
from services.ledger.verify.run import verify as prove
from services.ledger.verify.workers import jobs_default

SHOWN_MAX = 20
Jobs = Annotated[int | None, typer.Option(help="Processes to use. Default: 2, or the number of processors.", min=1)]


def verify(
    partition: Annotated[int | None, typer.Option(help="Only this partition.", min=0)] = None, jobs: Jobs = None
) -> None:
    """Prove the books as of now; the ledger may go on running. Ends with 1 if anything is wrong.

    Checked are the log (gaps, hash chain, anchors, epochs, times, payloads, columns), the double entry and the
    balances of every event, texts, and every row of every table against the fold of the log.
    """
    access = Access()
    began = time.monotonic()
    try:
        with Progress("verifying") as bar:
            outcome = run(
                prove(
                    access.dsn,
                    partition=partition,
                    jobs=jobs or jobs_default(),
                    anchors=access.anchor_place,
                    meter=bar,
                )
            )
    except ValueError as error:
        raise CliError(str(error), EXIT_USAGE) from None
    _show(outcome, time.monotonic() - began)
    if not outcome.ok:
        raise typer.Exit(EXIT_FOUND)


def _show(outcome: Verification, seconds: float) -> None:
    looked_at = (
        f"{outcome.events:,} events in {outcome.partitions} partitions, {outcome.texts:,} texts, "
        f"{outcome.anchors:,} anchors, {seconds:.1f} s"
    )
    for note in outcome.notes:
        print(f"note: {note}")
    if outcome.ok:
        print(f"The books are proven: {looked_at}.")
        return
    for violation in outcome.violations[:SHOWN_MAX]:
        print(violation)
    if outcome.violation_count > SHOWN_MAX:
        print(f"… and {outcome.violation_count - SHOWN_MAX} more")
    first: dict[int | None, Violation] = {}
    for violation in outcome.violations:
        if violation.position is not None:
            first.setdefault(violation.partition, violation)
    for partition, violation in first.items():
        print(f"The first bad position is {violation.position} of partition {partition} ({violation.invariant}).")
    print(f"The books are wrong: {outcome.violation_count} violations; {looked_at}.")


def rebuild(
    swap: Annotated[bool, typer.Option("--swap", help="Put what was made in the place of the live tables.")] = False,
    jobs: Jobs = None,
) -> None:
    """Make accounts, lots, holds, transfers and configurations anew from the log, and compare them with the live ones.

    The ledger may go on running. Ends with 1 if anything differs, unless `--swap` has put it right.
    """
    access = Access()
    began = time.monotonic()
    try:
        with Progress("rebuilding") as bar:
            outcome = run(make_anew(access.owner_dsn, swap=swap, jobs=jobs or jobs_default(), meter=bar))
    except (UnsoundLogError, RebuildRunningError) as error:
        raise CliError(str(error), EXIT_FOUND) from None
    except asyncpg.LockNotAvailableError:
        message = "somebody reads the tables for long (`verify`, a backup): nothing was changed; try again later"
        raise CliError(message, EXIT_FOUND) from None
    for difference in outcome.differences[:SHOWN_MAX]:
        print(difference.detail)
    if outcome.difference_count > SHOWN_MAX:
        print(f"… and {outcome.difference_count - SHOWN_MAX} more")
    found = f"{outcome.difference_count} rows differ" if outcome.difference_count else "nothing differs"
    done = " The new tables are in place." if outcome.swapped else ""
    print(f"Rebuilt from {outcome.events:,} events in {time.monotonic() - began:.1f} s: {found}.{done}")
    if outcome.difference_count and not outcome.swapped:
        raise typer.Exit(EXIT_FOUND)


def anchor() -> None:
    """Sign the log's heads and write them to the anchors, outside the database."""
    access = Access()

    async def write() -> int:
        pool = await create_pool(access.dsn, application_name="ledger-anchor", wait_s=WAIT_S)
        try:
            heads = await anchor_once(pool, access.anchors, access.anchor_key)
        finally:
            await pool.close()
        return sum(head.position for head in (heads or {}).values())

    events = run(write())
    print(f"anchored {events:,} events in {access.anchors}")
