"""The ledger's commands: `tallystick ledger …`, `tallystick events …`, `tallystick dead-letters …`."""

from __future__ import annotations

import typer

from services.ledger.cli import events, halts, importing, past, prices, restore, truth, whatif

cli = typer.Typer()
ledger_cli = typer.Typer(
    name="ledger", help="Prove the books, rebuild what is made from them, and tell the past.", no_args_is_help=True
)
ledger_cli.command("verify")(truth.verify)
ledger_cli.command("rebuild")(truth.rebuild)
ledger_cli.command("violations")(halts.violations)
ledger_cli.command("resume")(halts.resume)
ledger_cli.command("anchor")(truth.anchor)
ledger_cli.command("new-stream")(restore.new_stream)
ledger_cli.command("import")(importing.import_file)
ledger_cli.command("what-if")(whatif.what_if)
ledger_cli.command("replay")(past.replay)
ledger_cli.command("export")(past.export)
ledger_cli.add_typer(prices.prices_cli)
events_cli = typer.Typer(name="events", help="What happens in the ledger.", no_args_is_help=True)
events_cli.callback()(lambda: None)
events_cli.command("tail")(events.tail)
letters_cli = typer.Typer(name="dead-letters", help="Messages that could not be handled.", no_args_is_help=True)
letters_cli.command("list")(events.list_letters)
letters_cli.command("replay")(events.replay_letters)
for part in (ledger_cli, events_cli, letters_cli):
    cli.add_typer(part)
