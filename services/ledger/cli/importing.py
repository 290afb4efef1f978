"""`tallystick ledger import`: accounts, balances and history of another system."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import httpx
import orjson
import typer
from rich.console import Console
from rich.table import Table

from libs.service.auth import ROLE_SCOPES
from libs.service.cli_support import (
    EXIT_FOUND,
    EXIT_USAGE,
    TIMEOUT_S,
    CliError,
    CliSettings,
    Progress,
    cli_settings,
    signing_key,
)
from libs.service.keys import issue_token
from services.ledger.importing.apply import Tally, apply
from services.ledger.importing.caller import Caller
from services.ledger.importing.report import Contents, Known, Parity, compare, contents_of

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
TOKEN_TTL_S, TOKEN_RENEWED_S = 600, 300


def import_file(
    file: Annotated[Path, typer.Argument(help="JSON Lines or CSV (.csv).", exists=True, dir_okay=False)],
    app: Annotated[str, typer.Option(help="The app.", show_default=False)],
    name: Annotated[
        str | None,
        typer.Option(help="What this import is called; the same name never books anything twice. Default: the file's."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and compare, and change nothing.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write the whole report here, as JSON.")] = None,
) -> None:
    """Bring accounts, balances and history of another system into the ledger, and compare both afterwards.

    May be run again: what is done is not done twice. Ends with 1 where lines are wrong or accounts differ.
    """
    called = name or re.sub(r"[^a-z0-9]+", "-", file.stem.lower()).strip("-")[:32]
    if not NAME.fullmatch(called):
        raise CliError(f"{called!r} cannot name an import: 1 to 32 of a-z, 0-9 and -", EXIT_USAGE)
    settings = cli_settings()
    result = asyncio.run(_import(settings, file, app, called, dry_run))
    _show(result)
    if report is not None:
        report.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2))
    if not result["good"]:
        raise SystemExit(EXIT_FOUND)


async def _import(settings: CliSettings, file: Path, app: str, name: str, dry_run: bool) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=settings.url("ledger"), timeout=TIMEOUT_S) as http:
        caller = Caller(http, app, _tokens(settings, app))
        config = await caller.get("/v1/config")
        if config is None:
            raise CliError(f"the ledger has no app {app!r}: apply its file first (`tallystick app apply`)")
        contents = contents_of(file, Known.of(config["config"]))
        tally: Tally | None = None
        if not contents.fault_count and not dry_run:
            with Progress("importing") as bar:
                tally = await apply(caller, file, name, bar.advance)
        with Progress("comparing", total=contents.openings) as bar:
            parity = await compare(caller, file, bar.advance)
    return _result(name, dry_run, contents, tally, parity)


def _tokens(settings: CliSettings, app: str) -> Callable[[], str]:
    """An administrator's token of this machine, renewed before it ends."""
    key = signing_key(settings)
    held, good_until = "", 0.0

    def token() -> str:
        nonlocal held, good_until
        if time.monotonic() > good_until:
            scopes = sorted(ROLE_SCOPES["admin"])
            held = issue_token(
                key, sub="import", audience="ledger", role="admin", app=app, scopes=scopes, ttl_s=TOKEN_TTL_S
            )
            good_until = time.monotonic() + TOKEN_RENEWED_S
        return held

    return token


def _result(name: str, dry_run: bool, contents: Contents, tally: Tally | None, parity: Parity) -> dict[str, Any]:
    refused = 0 if tally is None else tally.refused
    sums = {asset: str(total) for asset, total in contents.sums.items()}
    return {
        "import": name,
        "dry_run": dry_run,
        "good": not contents.fault_count and not refused and (dry_run or parity.whole),
        "file": {**asdict(contents), "sums": sums},
        "commands": None if tally is None else asdict(tally),
        "parity": parity.as_dict(),
    }


def _show(result: dict[str, Any]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    file, commands, parity = result["file"], result["commands"], result["parity"]
    title = "checked, nothing was changed" if result["dry_run"] else "imported"
    table = Table(title=f"{result['import']}: {title}", show_header=False, title_justify="left")
    table.add_row("openings in the file", str(file["openings"]))
    table.add_row("operations in the file", str(file["operations"]))
    for asset, total in file["sums"].items():
        table.add_row(f"credits opened{f' in {asset}' if asset else ''}", total)
    table.add_row("lines that are wrong", str(file["fault_count"]))
    if commands is not None:
        done = f"{commands['made']} made, {commands['repeated']} made before, {commands['refused']} refused"
        table.add_row("commands", done)
    table.add_row("accounts as in the file", f"{parity['equal']} of {parity['compared']}")
    table.add_row("accounts not in the ledger", str(parity["missing"]))
    table.add_row("credits expected, found", f"{parity['expected']}, {parity['found']}")
    console.print(table)
    for fault in file["faults"]:
        console.print(f"line {fault['line']}: {fault['fault']}", markup=False)
    for refusal in [] if commands is None else commands["refusals"]:
        console.print(f"{refusal['type']} of {refusal['user']}: {refusal['code']}: {refusal['detail']}", markup=False)
    for each in [] if result["dry_run"] else parity["differences"]:
        told = f"{each['balance_in_ledger']} where the file has {each['balance']}"
        if each["allowance"] is not None:
            told += f", allowance {each['allowance_in_ledger']} where it has {each['allowance']}"
        console.print(f"{each['user']} {each['asset']}: {told}", markup=False)
