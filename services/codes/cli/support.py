"""What the commands share: the terms of a code as options, calls, and how codes are found and shown."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Annotated, Any

import httpx
import typer

from libs.service.auth import scope_of
from libs.service.cli_support import EXIT_FOUND, CliError, CliSettings, call

READ, ADJUST = scope_of("codes", "read"), scope_of("codes", "adjust")

App = Annotated[str, typer.Option(help="The app.", show_default=False)]
Kind = Annotated[str, typer.Option(help="recharge, discount, welcome, bonus or gift.")]
Name = Annotated[str | None, typer.Option(help="What people call it; it stands on printed cards.")]
Amount = Annotated[str | None, typer.Option(help="Credits that it gives.")]
PercentOff = Annotated[str | None, typer.Option(help="Per cent that it takes off a purchase.")]
AmountOff = Annotated[int | None, typer.Option(help="Minor units of --currency that it takes off a purchase.")]
Currency = Annotated[str | None, typer.Option(help="ISO 4217, for example USD.")]
Service = Annotated[str | None, typer.Option(help="The service that the discount is for. Default: any.")]
MaxUses = Annotated[int | None, typer.Option(help="Uses in all; 0: any number. Default: 1 for made texts, else any.")]
PerUserLimit = Annotated[int | None, typer.Option(help="Uses by one user; 0: any number. Default: 1.")]
StartsAt = Annotated[str | None, typer.Option(help="For example 2026-12-01T00:00:00Z.")]
EndsAt = Annotated[str | None, typer.Option(help="For example 2027-01-01T00:00:00Z: from then on it has expired.")]
Scope = Annotated[list[str], typer.Option(help="A service that the credits may be spent on; may stand often.")]
ExpiresAfterS = Annotated[int | None, typer.Option(help="Seconds after redeeming for which the credits live.")]
Campaign = Annotated[str | None, typer.Option(help="The id of the campaign whose budget it takes from.")]
Pattern = Annotated[str | None, typer.Option(help="How made texts look: # is a made character, the last one checks.")]
Prefix = Annotated[str | None, typer.Option(help="What made texts begin with.")]
Length = Annotated[int | None, typer.Option(help="Random characters of made texts. Default: 12.")]


def body_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, as a body; a limit of 0 is none."""
    body = {name: value for name, value in fields.items() if value not in (None, [])}
    return {
        name: None if name in ("max_uses", "per_user_limit") and value == 0 else value for name, value in body.items()
    }


def ask(settings: CliSettings, app: str, path: str) -> Any:
    """What a route of the service answers."""
    return call(settings, "codes", "GET", path, app=app, scopes=[READ]).json()


def tell(
    settings: CliSettings,
    app: str,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
) -> httpx.Response:
    """Change something, under a key of its own."""
    headers = {"Idempotency-Key": f"cli-{secrets.token_hex(16)}"}
    return call(
        settings,
        "codes",
        method,
        path,
        app=app,
        role="admin",
        scopes=[READ, ADJUST],
        json=dict(body or {}),
        headers=headers,
        answers=(200, 201, 202),
    )


def found(settings: CliSettings, app: str, code: str) -> dict[str, Any]:
    """The code of this id, or of this text as somebody types it."""
    if code.startswith("code_"):
        answer: dict[str, Any] = ask(settings, app, f"/v1/codes/{code}")
        return answer
    listed = ask(settings, app, f"/v1/codes?{httpx.QueryParams(text=code)}")["data"]
    if not listed:
        raise CliError(f"{app} has no code of this text", EXIT_FOUND)
    first: dict[str, Any] = listed[0]
    return first


def promise(code: Mapping[str, Any]) -> str:
    """What a code gives, in few words."""
    parts = []
    if code["amount"] is not None:
        parts.append(f"{code['amount']} credits")
    if code["percent_off"] is not None:
        parts.append(f"{code['percent_off']} % off")
    if code["amount_off"] is not None:
        parts.append(f"{code['amount_off']} {code['currency']} (minor units) off")
    if code["service"] is not None:
        parts[-1] += f" {code['service']}"
    return ", ".join(parts)
