"""`tallystick app plan|apply FILE…` and `tallystick app clock APP TIME`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from libs.service.app_files import SERVICES, AppFile, AppFileError, read_app_file
from libs.service.auth import APP_PATTERN
from libs.service.cli_support import EXIT_FOUND, EXIT_USAGE, CliError, CliSettings, call, cli_settings, errors
from libs.service.clock import format_time, parse_time

app_cli = typer.Typer(
    name="app", help="Apps as files: what would change, applying it, test clocks.", no_args_is_help=True
)

Files = Annotated[list[Path], typer.Argument(help="App files (YAML).", show_default=False)]


@app_cli.command()
def plan(files: Files) -> None:
    """Show what applying the files would change, and change nothing."""
    settings = cli_settings()
    for file in _read(files):
        for service in SERVICES:
            _show(service, file, _difference(settings, service, file))


@app_cli.command()
def apply(files: Files) -> None:
    """Make the files the configuration. What is already so is left alone and makes no new version."""
    settings = cli_settings()
    for file in _read(files):
        for service in SERVICES:
            difference = _difference(settings, service, file)
            _show(service, file, difference)
            if difference["changes"]:
                version = _put(settings, service, file, difference["version"])
                print(f"{file.app}: {service} is now at version {version}")


@app_cli.command()
def clock(
    app: Annotated[str, typer.Argument(help="The app, which must be in test mode.", show_default=False)],
    time: Annotated[str, typer.Argument(help="For example 2026-02-01T00:00:00Z.", show_default=False)],
) -> None:
    """Put the app's test clock forward in every service."""
    if not APP_PATTERN.fullmatch(app):
        raise CliError(f"{app!r} is not the name of an app", EXIT_USAGE)
    try:
        now = format_time(parse_time(time))
    except ValueError:
        raise CliError(f"{time!r} is not an RFC 3339 time such as 2026-02-01T00:00:00Z", EXIT_USAGE) from None
    settings = cli_settings()
    for service in SERVICES:
        answer = call(settings, service, "PUT", "/v1/test-clock", app=app, json={"now": now})
        print(f"{app}: the clock of {service} stands at {answer.json()['now']}")


def _read(paths: list[Path]) -> list[AppFile]:
    """All files, before anything is sent."""
    try:
        files = [read_app_file(path) for path in paths]
    except AppFileError as error:
        raise CliError(str(error), EXIT_USAGE) from None
    for file in files:
        for service, keys in file.passed_over.items():
            errors.print(f"{file.app}: {', '.join(keys)} passed over: there is no {service} yet", style="yellow")
    return files


def _difference(settings: CliSettings, service: str, file: AppFile) -> dict[str, Any]:
    answer = call(settings, service, "PUT", "/v1/config?dry_run=true", app=file.app, json=file.parts[service])
    difference: dict[str, Any] = answer.json()
    return difference


def _put(settings: CliSettings, service: str, file: AppFile, version: int) -> int:
    """The new version. The version that the difference was shown against must still be the present one."""
    answer = call(
        settings,
        service,
        "PUT",
        "/v1/config",
        app=file.app,
        json=file.parts[service],
        headers={"If-Match": f'"{version}"'},
        answers=(200, 201, 412),
    )
    if answer.status_code == 412:
        raise CliError(f"{file.app}: somebody else changed {service} meanwhile; look at `plan` again", EXIT_FOUND)
    applied: int = answer.json()["version"]
    return applied


def _show(service: str, file: AppFile, difference: dict[str, Any]) -> None:
    changes = difference["changes"]
    if not changes:
        print(f"{file.app}: {service} is up to date at version {difference['version']}")
        return
    print(f"{file.app}: {service} at version {difference['version']}, {len(changes)} to change")
    for change in changes:
        before, after = change.get("before"), change.get("after")
        if before is None:
            print(f"  + {change['path']}: {_text(after)}")
        elif after is None:
            print(f"  - {change['path']}: {_text(before)}")
        else:
            print(f"  ~ {change['path']}: {_text(before)} → {_text(after)}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
