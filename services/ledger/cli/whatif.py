"""`tallystick ledger what-if`: a period's usage under another app file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from libs.service.app_files import AppFileError, read_app_file
from libs.service.cli_database import run
from libs.service.cli_support import EXIT_FOUND, EXIT_USAGE, CliError, Progress
from services.ledger.cli.access import Access
from services.ledger.cli.past import time_option
from services.ledger.cli.truth import Jobs
from services.ledger.domain.config import ConfigDocument
from services.ledger.verify.workers import jobs_default
from services.ledger.whatif.period import AccountDifference, Key
from services.ledger.whatif.report import (
    AssetTotals,
    account_view,
    extremes,
    figures_view,
    totals,
    totals_view,
)
from services.ledger.whatif.run import what_if as replay


def what_if(
    file: Annotated[Path, typer.Argument(help="The app file to try.", exists=True, dir_okay=False)],
    since: Annotated[str, typer.Option("--from", help="The period's beginning, for example 2026-01-01T00:00:00Z.")],
    until: Annotated[str, typer.Option("--to", help="Its end, which is not part of it.")],
    *,
    top: Annotated[int, typer.Option(help="So many winners and losers are shown.", min=0, max=1000)] = 10,
    report: Annotated[Path | None, typer.Option(help="Write a line of JSON for each account here.")] = None,
    jobs: Jobs = None,
) -> None:
    """Decide a period's commands again under another app file, and show who would have paid what. Changes nothing.

    What was refused then is not asked again: the log keeps what happened. Transfers arrive as they did.
    """
    app, document = _document(file)
    first, last = time_option(since, "--from"), time_option(until, "--to")
    if first is None or last is None or first >= last:
        raise CliError("--from must lie before --to", EXIT_USAGE)
    access = Access()
    with Progress("deciding again") as bar:
        found = run(replay(access.dsn, app, document, first, last, jobs=jobs or jobs_default(), meter=bar))
    if not found:
        raise CliError(f"nothing happened to accounts of {app} in this period", EXIT_FOUND)
    if report is not None:
        lines = (orjson.dumps(account_view(key, each)) for key, each in sorted(found.items()))
        report.write_bytes(b"\n".join(lines) + b"\n")
    _show(found, top)


def _document(file: Path) -> tuple[str, ConfigDocument]:
    try:
        read = read_app_file(file)
        return read.app, ConfigDocument.model_validate(read.parts["ledger"])
    except AppFileError as error:
        raise CliError(str(error), EXIT_USAGE) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise CliError(f"{file}: {place}: {first['msg']}", EXIT_USAGE) from None


def _show(found: dict[Key, AccountDifference], top: int) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for asset, sums in sorted(totals(found).items()):
        console.print(_totals_table(asset, sums))
    for title, keys in zip(("They would have won", "They would have lost"), extremes(found, top), strict=True):
        if keys:
            table = Table("user", "charged then", "now", "balance then", "now", "refused", title=title)
            for key in keys:
                view = account_view(key, found[key])
                then, now, refused = view["then"], view["now"], sum(view["refused"].values())
                table.add_row(key[1], then["charged"], now["charged"], then["settled"], now["settled"], str(refused))
            console.print(table)


def _totals_table(asset: str, sums: AssetTotals) -> Table:
    then, now = figures_view(sums.then, sums.scale), figures_view(sums.now, sums.scale)
    table = Table("", "then", "now", title=f"{asset}: {sums.accounts} accounts, {sums.commands} commands")
    table.add_row("charged", then["charged"], now["charged"])
    table.add_row("granted", then["granted"], now["granted"])
    table.add_row("balances", then["settled"], now["settled"])
    table.add_row("refused", "", str(sum(sums.refused.values())))
    for code, count in sorted(totals_view(sums)["refused"].items()):
        table.add_row(f"  {code}", "", str(count))
    table.add_row("accounts that win, lose", "", f"{sums.winners}, {sums.losers}")
    table.add_row("commands with the same outcome", "", str(sums.same))
    return table
