"""``tallystick up``: the whole suite on this machine."""

import os

import typer

from libs.service.settings import ServiceSettings, load_settings

cli = typer.Typer()


@cli.command()
def up() -> None:
    """Run the whole suite on this machine: PostgreSQL, a broker in memory, every service. Ctrl-C stops it.

    TALLYSTICK_DATA says where its data lies (default .data), TALLYSTICK_PORT_BASE where its ports begin (default 8000).
    """
    from deploy.embedded.production import refuse_production
    from deploy.embedded.services import services_of
    from deploy.embedded.supervisor import Supervisor

    refuse_production("`tallystick up`")
    # The broker of this machine is ours, whatever the environment says of another.
    os.environ.pop("TALLYSTICK_KAFKA", None)
    settings = load_settings(ServiceSettings)
    raise typer.Exit(Supervisor(settings.data, settings.port_base, services=services_of(os.environ)).run())
