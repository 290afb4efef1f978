"""`tallystick codes …`: codes and batches from the terminal."""

from __future__ import annotations

import typer

from services.codes.cli import batches, looking, making, truth

cli = typer.Typer()
codes_cli = typer.Typer(name="codes", help="Make codes, look at them, and take them back.", no_args_is_help=True)
codes_cli.command("create")(making.create)
codes_cli.command("list")(looking.list_codes)
codes_cli.command("show")(looking.show)
codes_cli.command("pause")(making.pause)
codes_cli.command("resume")(making.resume)
codes_cli.command("void")(making.void)
codes_cli.command("batch")(batches.batch)
codes_cli.command("export")(batches.export)
codes_cli.command("stats")(looking.stats)
codes_cli.command("verify")(truth.verify)
cli.add_typer(codes_cli)
