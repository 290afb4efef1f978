"""`tallystick ledger replay|export`."""

from __future__ import annotations

import sys
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from libs.service.cli_database import run
from libs.service.cli_support import EXIT_FOUND, EXIT_USAGE, CliError
from libs.service.clock import parse_time, to_datetime
from libs.service.db import create_pool
from services.ledger.cli.access import WAIT_S, Access
from services.ledger.export import export as pieces_of
from services.ledger.replay import replay as replay_accounts
from services.ledger.replay import replayed_view


class FileFormat(StrEnum):
    """How an export is written."""

    csv = "csv"
    jsonl = "jsonl"


class Lines(StrEnum):
    """What the lines of an export are."""

    events = "events"
    transactions = "transactions"


App = Annotated[str, typer.Option(help="The app.", show_default=False)]
User = Annotated[str | None, typer.Option(help="Of this user only.")]


def time_option(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError:
        message = f"{option}: {text!r} is not an RFC 3339 time such as 2026-02-01T00:00:00Z"
        raise CliError(message, EXIT_USAGE) from None


def replay(
    app: App,
    user: User = None,
    until: Annotated[str | None, typer.Option(help="As of this time, for example 2026-02-01T00:00:00Z.")] = None,
    position: Annotated[int | None, typer.Option(help="As of this position of the user's partition.", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per account.")] = False,
) -> None:
    """Fold accounts from their events as of a moment, and show both."""
    if position is not None and user is None:
        raise CliError("a position belongs to one partition: name a --user too", EXIT_USAGE)
    until_us = time_option(until, "--until")
    access = Access()

    async def show() -> int:
        shown = 0
        pool = await create_pool(access.dsn, application_name="ledger-replay", wait_s=WAIT_S)
        try:
            async for replayed in replay_accounts(pool, app, user, until_us=until_us, position=position):
                view = replayed_view(replayed)
                shown += 1
                if as_json:
                    print(orjson.dumps(view).decode())
                else:
                    _print_account(orjson.loads(orjson.dumps(view)))
        finally:
            await pool.close()
        return shown

    if not run(show()):
        raise CliError(f"there was no such account of {app}" + (f", user {user}" if user else ""), EXIT_FOUND)


def _print_account(view: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{view['app']}/{view['user']}/{view['asset']} at {view['time']}, version {view['account_version']}, "
        f"partition {view['partition']}, position {view['position']}",
        markup=False,
    )
    console.print(
        f"settled {view['settled']}, held {view['held']}, owed {view['owed']}, available {view['available']}",
        markup=False,
    )
    for lot in view["lots"]:
        left = f"{lot['remaining']} of {lot['amount']}"
        expiry = f", until {lot['expires_at']}" if lot["expires_at"] else ""
        console.print(
            f"  {lot['id']} {lot['source']}: {left}, {lot['state']}{expiry}",
            markup=False,
        )
    for hold in view["holds"]:
        console.print(f"  {hold['id']}: {hold['remaining']} held until {hold['expires_at']}", markup=False)
    table = Table("version", "position", "time", "type", "settled", "held", "owed", "reference")
    for event in view["events"]:
        after = event["payload"]["after"]
        table.add_row(
            str(event["account_version"]),
            str(event["position"]),
            event["time"],
            event["type"],
            after["settled"],
            after["held"],
            after["owed"],
            event["payload"].get("reference", ""),
        )
    console.print(table)


def export(
    *,
    app: App,
    user: User = None,
    since: Annotated[str | None, typer.Option("--from", help="Not before this time.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Before this time.")] = None,
    file_format: Annotated[FileFormat, typer.Option("--format", help="How to write it.")] = FileFormat.jsonl,
    lines: Annotated[Lines, typer.Option(help="The log as it lies, or the journal.")] = Lines.events,
) -> None:
    """Write an app's events or journal to standard output, or all that is kept of one user, texts included."""
    access = Access()
    first, last = time_option(since, "--from"), time_option(until, "--to")

    def moment(time_us: int | None) -> datetime | None:
        return None if time_us is None else to_datetime(time_us)

    async def write() -> None:
        pieces = pieces_of(
            access.dsn, lines.value, file_format.value, app, user=user, since=moment(first), until=moment(last)
        )
        async for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()

    run(write())
