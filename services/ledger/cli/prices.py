"""`tallystick ledger prices import`: vendors' list prices as a new version of an app's price book."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from libs.service.app_files import AppFileError, read_app_file
from libs.service.cli_support import EXIT_FOUND, EXIT_USAGE, CliError, CliSettings, call, cli_settings, errors
from services.ledger.vendors import Converted, Terms, convert, providers

Models = dict[str, Any]
prices_cli = typer.Typer(name="prices", help="What models cost.", no_args_is_help=True)
prices_cli.callback()(lambda: None)


@prices_cli.command("import")
def import_prices(
    *,
    app: Annotated[str, typer.Option(help="The app whose price book it is.", show_default=False)],
    credits_per_usd: Annotated[str, typer.Option(help="Credits that one US dollar is worth.", show_default=False)],
    provider: Annotated[list[str], typer.Option(help="All models of this provider; may stand often.")] = [],  # noqa: B006
    model: Annotated[list[str], typer.Option(help="This model, with or without its provider; may stand often.")] = [],  # noqa: B006
    markup_percent: Annotated[str, typer.Option(help="What comes on top of the list price.")] = "0",
    minimum: Annotated[str, typer.Option(help="What an operation that costs anything costs at least.")] = "0",
    file: Annotated[Path | None, typer.Option(help="Write them to this app file instead.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
) -> None:
    """Turn vendors' list prices into credits, show the difference, and apply it as a new version.

    Models that the app has and the lists do not name stay as they are. What a price book cannot express is listed.
    """
    if not provider and not model:
        raise CliError("name what to import: --provider or --model", EXIT_USAGE)
    unknown = sorted(set(provider) - set(providers()))
    if unknown:
        raise CliError(f"there are no lists of {', '.join(unknown)}; there are {', '.join(providers())}", EXIT_USAGE)
    found = convert(provider, model, Terms(_decimal(credits_per_usd), markup_percent, minimum), datetime.now(UTC))
    if file is not None:
        present = _in_file(file, app)
        _show(present, found)
        if not dry_run and found.models:
            file.write_text(with_models(file.read_text(encoding="utf-8"), {**present, **found.models}), "utf-8")
            print(f"{file}: written; `tallystick app apply {file}` applies it")
        return
    settings = cli_settings()
    answer = call(settings, "ledger", "GET", "/v1/config", app=app).json()
    config = answer["config"]
    present = config["prices"]["models"]
    changed = _show(present, found)
    if dry_run or not changed:
        return
    config["prices"]["models"] = {**present, **found.models}
    print(f"{app}: ledger is now at version {_put(settings, app, config, answer['version'])}")


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(0)
    if not (value.is_finite() and value > 0):
        raise CliError(f"{text!r} is no number of credits", EXIT_USAGE)
    return value


def _in_file(file: Path, app: str) -> Models:
    try:
        read = read_app_file(file)
    except (AppFileError, OSError) as error:
        raise CliError(str(error), EXIT_USAGE) from None
    if read.app != app:
        raise CliError(f"{file} is the file of {read.app}, not of {app}", EXIT_USAGE)
    models: Models = read.parts["ledger"].get("prices", {}).get("models", {})
    return models


def _put(settings: CliSettings, app: str, config: dict[str, Any], version: int) -> int:
    """The new version. The one that the difference was shown against must still be the present one."""
    answer = call(
        settings,
        "ledger",
        "PUT",
        "/v1/config",
        app=app,
        json=config,
        headers={"If-Match": f'"{version}"'},
        answers=(200, 412),
    )
    if answer.status_code == 412:
        raise CliError(f"{app}: somebody else changed it meanwhile; look at --dry-run again", EXIT_FOUND)
    applied: int = answer.json()["version"]
    return applied


def _show(present: Models, found: Converted) -> bool:
    """The difference as a table, and what was skipped; whether there is a difference."""
    table = Table("model", "now", "then")
    for name, dated in sorted(found.models.items()):
        before, after = _text(present.get(name)), _text(dated)
        if before != after:
            table.add_row(name, before or "–", after)
    console = Console(soft_wrap=False)
    if table.row_count:
        console.print(table)
    same = len(found.models) - table.row_count
    print(f"{table.row_count} to change, {same} as they are, {len(found.skipped)} notes")
    for name, why in found.skipped:
        errors.print(f"{name}: {why}", style="yellow")
    return table.row_count > 0


def _text(dated: Any) -> str:
    """Prices in one writing, whatever defaults stand in them."""
    listed = [dated] if isinstance(dated, dict) else dated or []
    return "\n".join(", ".join(f"{key} {_value(value)}" for key, value in _given(each)) for each in listed)


def _given(spec: dict[str, Any]) -> list[tuple[str, Any]]:
    defaults = {"per": 1_000_000, "markup_percent": "0", "minimum": "0"}
    kept = {key: value for key, value in spec.items() if value not in (None, [], ()) and value != defaults.get(key)}
    return sorted(kept.items())


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(", ".join(f"{key} {part}" for key, part in _given(each)) for each in value)
    return str(value)


def with_models(text: str, models: Models) -> str:
    """The text of an app file with these `prices.models`; every line outside of them stays as it is."""
    lines = text.splitlines()
    written = ["  models:", *(f"    {_key(name)}: {_flow(models[name])}" for name in sorted(models))]
    top = next((number for number, line in enumerate(lines) if line.split("#")[0].rstrip() == "prices:"), None)
    if top is None:
        return "\n".join([*lines, "", "prices:", *written]) + "\n"
    end = _block_end(lines, top + 1, 0)
    start = next((n for n in range(top + 1, end) if lines[n].split("#")[0].rstrip() == "  models:"), None)
    if start is None:
        return "\n".join([*lines[: top + 1], *written, *lines[top + 1 :]]) + "\n"
    return "\n".join([*lines[:start], *written, *lines[_block_end(lines, start + 1, 2) :]]) + "\n"


def _block_end(lines: list[str], start: int, indent: int) -> int:
    """The first line from `start` on that is not deeper than `indent`, or the blank and comments before it."""
    end = next(
        (
            number
            for number in range(start, len(lines))
            if lines[number].strip()
            and not lines[number].lstrip().startswith("#")
            and len(lines[number]) - len(lines[number].lstrip()) <= indent
        ),
        len(lines),
    )
    while end > start and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    return end


def _key(name: str) -> str:
    return name if name.replace("/", "").replace("-", "").replace(".", "").isalnum() else orjson.dumps(name).decode()


def _flow(value: Any) -> str:
    """JSON, which is YAML too; a single price without its list."""
    single = value[0] if isinstance(value, list) and len(value) == 1 else value
    return orjson.dumps(single).decode()
