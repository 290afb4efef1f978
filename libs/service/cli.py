"""The root command `tallystick`: its own commands, and those that each service brings.

A service names a `typer.Typer` as an entry point of the group `tallystick.cli`. With a name of its own it becomes a
group of commands, without one its commands stand beside ours. Exit codes: 0 ok, 1 found something wrong, 2 usage,
3 unreachable.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from typing import Annotated

import typer

from libs.service.auth import PEOPLE, PEOPLE_TTL_S_MAX, ROLE_SCOPES
from libs.service.cli_app import app_cli
from libs.service.cli_support import (
    EXIT_USAGE,
    CliError,
    CliSettings,
    Progress,
    call,
    cli_settings,
    errors,
    signing_key,
)
from libs.service.keys import issue_token
from libs.service.settings import PORTS

__all__ = ["CliError", "CliSettings", "Progress", "call", "cli_settings", "errors", "main", "root", "signing_key"]

ENTRY_POINTS = "tallystick.cli"
SERVICE_TTL_S = 3600
AUDIENCES = tuple(name for name in PORTS if name != "postgres")


def _token(
    *,
    app: Annotated[str, typer.Option(help="The app; * for all of them (service and system tokens).")],
    role: Annotated[str, typer.Option(help=f"One of {', '.join(ROLE_SCOPES)}.")] = "service",
    sub: Annotated[str | None, typer.Option(help="Who asks; idempotency keys belong to it. Default: cli.")] = None,
    user: Annotated[str | None, typer.Option(help="The user, for a token of role user.")] = None,
    scopes: Annotated[str | None, typer.Option(help="Comma-separated. Default: all that the role may have.")] = None,
    audience: Annotated[str | None, typer.Option(help="Services, comma-separated. Default: all.")] = None,
    ttl: Annotated[int | None, typer.Option(help="Seconds. Default: 600 for people, 3600 otherwise.", min=1)] = None,
) -> None:
    """Print a token signed with this machine's key, and nothing else."""
    if role not in ROLE_SCOPES:
        raise CliError(f"{role!r} is not a role: {', '.join(ROLE_SCOPES)}", EXIT_USAGE)
    if (user is not None) != (role == "user"):
        raise CliError("--role user and --user go together", EXIT_USAGE)
    longest = PEOPLE_TTL_S_MAX if role in PEOPLE else None
    if ttl is not None and longest is not None and ttl > longest:
        raise CliError(f"a token of a {role} may live {longest} seconds", EXIT_USAGE)
    if app == "*" and role not in ("service", "system"):
        raise CliError(f"a token of a {role} is for one app", EXIT_USAGE)
    wanted = sorted(ROLE_SCOPES[role]) if scopes is None else scopes.split(",")
    beyond = sorted(set(wanted) - ROLE_SCOPES[role])
    if beyond:
        raise CliError(f"a {role} may not have {', '.join(beyond)}", EXIT_USAGE)
    print(
        issue_token(
            signing_key(cli_settings()),
            sub=user or sub or "cli",
            audience=list(AUDIENCES) if audience is None else audience.split(","),
            role=role,
            scopes=wanted,
            app=None if app == "*" else app,
            apps=["*"] if app == "*" else None,
            ttl_s=ttl or longest or SERVICE_TTL_S,
        )
    )


def root() -> typer.Typer:
    """The root command with everything that is installed."""
    cli = typer.Typer(
        name="tallystick",
        help="Keeps the credits of apps and bots.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    cli.command("token")(_token)
    cli.add_typer(app_cli)
    for entry_point in sorted(entry_points(group=ENTRY_POINTS), key=lambda found: found.name):
        try:
            cli.add_typer(entry_point.load())
        except ImportError as error:
            # One broken part must not take the others' commands away.
            errors.print(f"the commands of {entry_point.name} are missing: {error}", style="yellow")
    return cli


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        root()()
    except CliError as error:
        errors.print(f"tallystick: {error}", style="red", markup=False)
        sys.exit(error.code)


if __name__ == "__main__":
    main()
