"""`tallystick meter`: the proxy on this machine."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from libs.service.cli_support import cli_settings
from libs.service.settings import load_settings

cli = typer.Typer()


@cli.command()
def meter(
    *,
    upstream: Annotated[
        str | None, typer.Option(help="The OpenAI-compatible API. Default: TALLYSTICK_METER_UPSTREAM.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Where to listen. Default: TALLYSTICK_METER_PORT, else 6 above the base.")
    ] = None,
    late: Annotated[
        str | None, typer.Option(help="charge or drop usage whose hold has ended. Default: charge.")
    ] = None,
) -> None:
    """Serve an OpenAI-compatible API whose calls are paid in credits. Ctrl-C stops it.

    The upstream's key is TALLYSTICK_METER_UPSTREAM_KEY, which is not an option, so that no list of processes shows it.
    """
    from services.meter.__main__ import run
    from services.meter.settings import MeterSettings

    os.environ.setdefault("TALLYSTICK_DATA", str(cli_settings().data))
    given = {"UPSTREAM": upstream, "PORT": None if port is None else str(port), "LATE": late}
    os.environ.update({f"TALLYSTICK_METER_{name}": value for name, value in given.items() if value is not None})
    run(load_settings(MeterSettings))
