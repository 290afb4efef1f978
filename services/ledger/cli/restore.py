"""`tallystick ledger new-stream`."""

from __future__ import annotations

from typing import Annotated

import typer

from libs.service.cli_database import run
from libs.service.cli_support import EXIT_FOUND, CliError
from services.ledger.cli.access import Access
from services.ledger.renewal import Fork, StillRunningError, WentOnError, fork


def new_stream(
    yes: Annotated[bool, typer.Option("--yes", help="Begin it. Without, only what would happen is shown.")] = False,
) -> None:
    """Begin a new stream, after the database was restored to before its end and before the ledger is started again.

    Consumers then go back to where the log ends now, and drop what they have seen beyond. Refused while the ledger or
    its relay is connected, and when the log went on after the restore, as far as anchors tell. Running it twice does
    no harm. Ends with 1 unless the stream was begun.
    """
    access = Access()
    try:
        found = run(fork(access.owner_dsn, access.anchor_place, begin=yes))
    except StillRunningError as error:
        message = f"the ledger is running ({error}): stop it and the relay first; nothing was changed"
        raise CliError(message, EXIT_FOUND) from None
    except WentOnError as error:
        message = (
            f"something was appended after the restore: the event at {error} is not the one that was anchored. "
            "Consumers would keep what they have of the lost events before it: restore the database again, and begin "
            "the new stream before the ledger is started; nothing was changed"
        )
        raise CliError(message, EXIT_FOUND) from None
    _show(found)
    if found.stream is None:
        print("Nothing was changed. Is this where the restored log ends? Then begin the new stream with --yes.")
        raise typer.Exit(EXIT_FOUND)
    print(f"The stream {found.stream} has begun. Start the ledger, run `tallystick ledger verify`, start the relay.")


def _show(found: Fork) -> None:
    print(f"The log has {sum(found.heads.values()):,} events. A new stream forks behind the last of each partition:")
    for partition, position in sorted(found.heads.items()):
        anchored = found.lost.get(partition)
        lost = "" if anchored is None else f", anchored up to {anchored:,}: {anchored - position:,} or more are lost"
        print(f"  partition {partition}: {position:,}{lost}")
    if not found.anchors:
        print("No anchor was found: whether the log went on after the restore could not be told.")
