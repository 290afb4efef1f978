"""Batches of codes: making one, and its one export."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import httpx
import typer

from libs.service.cli_support import EXIT_USAGE, CliError, Progress, call, cli_settings, errors
from services.codes.cli import support
from services.codes.cli.support import ask, body_of, tell

POLL_S = 0.5


def batch(
    count: Annotated[int, typer.Argument(help="How many codes, up to a million.", show_default=False)],
    *,
    app: support.App,
    kind: support.Kind = "recharge",
    name: support.Name = None,
    amount: support.Amount = None,
    percent_off: support.PercentOff = None,
    amount_off: support.AmountOff = None,
    currency: support.Currency = None,
    service: support.Service = None,
    max_uses: support.MaxUses = None,
    per_user_limit: support.PerUserLimit = None,
    starts_at: support.StartsAt = None,
    ends_at: support.EndsAt = None,
    scope: support.Scope = [],  # noqa: B006
    expires_after_s: support.ExpiresAfterS = None,
    campaign: support.Campaign = None,
    pattern: support.Pattern = None,
    prefix: support.Prefix = None,
    length: support.Length = None,
) -> None:
    """Make many codes alike, and print the batch's id when they are there. Ctrl-C stops waiting, not the making."""
    body = body_of({name: value for name, value in locals().items() if name != "app"})
    settings = cli_settings()
    made = tell(settings, app, "POST", "/v1/batches", body).json()
    with Progress("making codes", total=count) as bar:
        done = 0
        while made["status"] == "making":
            time.sleep(POLL_S)
            made = ask(settings, app, f"/v1/batches/{made['id']}")
            bar.advance(made["made"] - done)
            done = made["made"]
    print(made["id"])
    if made["status"] != "ready":
        raise CliError(f"the batch was voided when {made['made']} codes were made")
    errors.print(f"{count} codes are ready: tallystick codes export {made['id']} codes.csv --app {app}")


def export(
    batch: Annotated[str, typer.Argument(help="The batch's id.", show_default=False)],
    file: Annotated[Path, typer.Argument(help="A new file: .csv, .jsonl, or .pdf for cards.", show_default=False)],
    *,
    app: support.App,
    lang: Annotated[str, typer.Option(help="The language of the cards: en, ar, fa, zh, ru or uk.")] = "en",
) -> None:
    """Write all codes of a batch to a file that only you can read. It works once: the texts are then forgotten."""
    kind = file.suffix.removeprefix(".")
    if kind not in ("csv", "jsonl", "pdf"):
        raise CliError(f"{file} must end with .csv, .jsonl or .pdf", EXIT_USAGE)
    try:
        # Before anything is exported: what cannot be written would be lost.
        file.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise CliError(f"{file}: {error.strerror}", EXIT_USAGE) from None
    path = f"/v1/batches/{batch}/export?{httpx.QueryParams(format=kind, lang=lang)}"
    try:
        answer = call(cli_settings(), "codes", "GET", path, app=app, role="admin", scopes=[support.ADJUST])
    except CliError:
        file.unlink()
        raise
    file.write_bytes(answer.content)
    print(f"{file}: written. Keep it safe: nobody can make it again")
