"""What every command of `tallystick` shares: exit codes, settings, tokens of this machine, calls, a progress bar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx
from pydantic import Field
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from libs.service.auth import EVENTS_READ, scope_of
from libs.service.keys import issue_token, newest_key
from libs.service.settings import PORTS, ServiceSettings, load_settings

EXIT_FOUND = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
TIMEOUT_S = 30.0
TOKEN_TTL_S = 120

errors = Console(stderr=True, soft_wrap=True, highlight=False)
"""Where messages go, so that standard output holds results alone."""


class CliError(Exception):
    """Ends the command with `code`: 1 found something wrong, 2 usage, 3 unreachable. The message is for its user."""

    def __init__(self, message: str, code: int = EXIT_FOUND) -> None:
        super().__init__(message)
        self.code = code


class CliSettings(ServiceSettings):
    """The shared settings and where the services are."""

    ledger_url: str | None = Field(
        None,
        validation_alias="TALLYSTICK_LEDGER_URL",
        description="Where other processes reach the ledger. Default: its port on this machine.",
    )

    codes_url: str | None = Field(
        None,
        validation_alias="TALLYSTICK_CODES_URL",
        description="Where other processes reach codes. Default: its port on this machine.",
    )

    def url(self, service: str) -> str:
        """The address of a service, without a slash at the end."""
        configured: str | None = getattr(self, f"{service}_url")
        return (configured or f"http://127.0.0.1:{self.port_base + PORTS[service]}").rstrip("/")


def cli_settings() -> CliSettings:
    """Settings from the environment. Unless it is set, the data directory is the nearest `.data` upwards from here."""
    settings = load_settings(CliSettings)
    if "data" in settings.model_fields_set:
        return settings
    here = Path.cwd()
    for directory in (here, *here.parents):
        if (directory / ".data").is_dir():
            return CliSettings(data=directory / ".data")
    return settings


def signing_key(settings: ServiceSettings) -> Path:
    """This machine's private key; :class:`CliError` when there is none."""
    key = newest_key(settings.data / "keys")
    if key is None:
        raise CliError(
            f"there is no key in {settings.data / 'keys'}: start the suite once with `make run`, "
            "or set TALLYSTICK_DATA to its data directory",
            EXIT_USAGE,
        )
    return key


def call(
    settings: CliSettings,
    service: str,
    method: str,
    path: str,
    *,
    app: str | None = None,
    role: Literal["system", "admin"] = "system",
    scopes: Sequence[str] | None = None,
    json: Any = None,
    headers: Mapping[str, str] | None = None,
    answers: Sequence[int] = (200,),
) -> httpx.Response:
    """Call a service as this machine's operator, for one `app`, or with a system token for none.

    As `admin` of the app it may do what the app's own people do there.

    A service that does not answer is :class:`CliError` 3; a status that is not in `answers` is 1 with its problem.
    """
    token = issue_token(
        signing_key(settings),
        sub="cli",
        audience=service,
        role=role,
        app=app if role == "admin" else None,
        apps=["*"] if role == "system" else None,
        scopes=scopes or [scope_of(service, "read"), scope_of(service, "config"), EVENTS_READ],
        ttl_s=TOKEN_TTL_S,
    )
    sent = {"Authorization": f"Bearer {token}", **({"Tallystick-App": app} if app else {}), **(headers or {})}
    url = settings.url(service)
    try:
        response = httpx.request(method, url + path, json=json, headers=sent, timeout=TIMEOUT_S)
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        raise CliError(
            f"{service} does not answer at {url} ({reason}): is it running? `make run` starts it", EXIT_UNREACHABLE
        ) from None
    if response.status_code not in answers:
        code = EXIT_UNREACHABLE if response.status_code == 503 else EXIT_FOUND
        raise CliError(f"{service} answered {response.status_code} to {method} {path}: {_problem(response)}", code)
    return response


def _problem(response: httpx.Response) -> str:
    try:
        problem = response.json()
        lines = [f"{problem['code']}: {problem['detail']}"]
    except (ValueError, KeyError, TypeError):
        return response.text[:500]
    lines += [f"  {fault['field']}: {fault['code']}: {fault['detail']}" for fault in problem.get("errors", [])]
    return "\n".join(lines)


class Progress:
    """A progress bar on standard error, shown only on a terminal: `with Progress("verifying", total=n) as bar:`.

    Without a `total` it shows the count alone.
    """

    def __init__(self, title: str, total: int | None = None) -> None:
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(separator=" of "),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=errors,
            transient=True,
            disable=not errors.is_terminal,
        )
        self._task = self._bar.add_task(title, total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, steps: int = 1) -> None:
        """So much more is done."""
        self._bar.advance(self._task, steps)

    def expect(self, total: int) -> None:
        """So much there is to do, when that is learnt on the way."""
        self._bar.update(self._task, total=total)
