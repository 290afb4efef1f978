"""The ledger's commands: `tallystick ledger …`, `tallystick events …`, `tallystick dead-letters …`."""

from __future__ import annotations

import typer

from services.ledger.cli import truth

cli = typer.Typer()
ledger_cli = typer.Typer(
    name="ledger", help="Prove the books, rebuild what is made from them, and tell the past.", no_args_is_help=True
)
ledger_cli.command("verify")(truth.verify)
ledger_cli.command("rebuild")(truth.rebuild)
ledger_cli.command("anchor")(truth.anchor)
cli.add_typer(ledger_cli)
