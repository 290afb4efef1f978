"""The service's commands: `tallystick codes …`."""

from __future__ import annotations

import typer

cli = typer.Typer()
codes_cli = typer.Typer(name="codes", help="Codes: make them, void them, see how they are used.", no_args_is_help=True)
if codes_cli.registered_commands:
    cli.add_typer(codes_cli)
