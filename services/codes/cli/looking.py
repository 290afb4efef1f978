"""Looking at codes."""

from __future__ import annotations

from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Column, Table

from libs.service.cli_support import cli_settings, errors
from services.codes.cli import support
from services.codes.cli.support import ask, promise

LIMIT = 50
WIDE = 200
"""Columns of a table that goes to a file or to another program: nothing in it is cut."""


def list_codes(
    *,
    app: support.App,
    status: Annotated[str | None, typer.Option(help="active, paused, void, expired or used_up.")] = None,
    kind: Annotated[str | None, typer.Option(help="Of this kind only.")] = None,
    batch: Annotated[str | None, typer.Option(help="Of this batch only.")] = None,
    campaign: Annotated[str | None, typer.Option(help="Of this campaign only.")] = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=500)] = LIMIT,
) -> None:
    """Codes, the newest first."""
    wanted = {"status": status, "kind": kind, "batch": batch, "campaign": campaign, "limit": limit}
    query = httpx.QueryParams({name: value for name, value in wanted.items() if value is not None})
    answer = ask(cli_settings(), app, f"/v1/codes?{query}")
    table = Table(Column("code", no_wrap=True), "kind", "gives", "status", "uses", "ends", Column("id", no_wrap=True))
    for code in answer["data"]:
        table.add_row(
            code["code"] or f"…{code['last4']}",
            code["kind"],
            promise(code),
            code["status"],
            f"{code['reserved'] + code['redeemed']} of {code['max_uses'] or 'any'}",
            code["ends_at"] or "–",
            code["id"],
        )
    _console().print(table)
    if answer["has_more"]:
        errors.print("there are more: see --limit")


def show(
    code: Annotated[str, typer.Argument(help="Its text or its id.", show_default=False)], *, app: support.App
) -> None:
    """All of one code."""
    table = Table(show_header=False)
    for name, value in support.found(cli_settings(), app, code).items():
        if value not in (None, []):
            table.add_row(name, _text(value))
    _console().print(table)


def stats(
    *,
    app: support.App,
    since: Annotated[
        str | None, typer.Option(help="What happened from then on, for example 2026-12-01T00:00:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="And before then. Default: until now.")] = None,
    by: Annotated[str | None, typer.Option(help="Also by code, batch, campaign, kind or day.")] = None,
    limit: Annotated[int, typer.Option(help="How many of them at most.", min=1, max=500)] = LIMIT,
) -> None:
    """How codes are used: how many there are, and what was redeemed, given, refused and paid."""
    asked = {"from": since, "to": until, "by": by, "limit": limit}
    query = httpx.QueryParams({name: value for name, value in asked.items() if value is not None})
    answer = ask(cli_settings(), app, f"/v1/statistics?{query}")
    table = Table(by or "", *_FACTS)
    for group in answer["data"]:
        table.add_row(group["label"] or group["key"], *_facts(group))
    table.add_section()
    table.add_row("all", *_facts(answer["total"]))
    console = _console()
    console.print(table)
    refusals = answer["total"]["refusals"]
    if refusals:
        console.print("refused: " + ", ".join(f"{name} {count}" for name, count in refusals.items()))
    most = ", ".join(f"{one['label'] or one['code']} {one['redemptions']}" for one in answer["most_used"])
    if most:
        console.print(f"most used: {most}")
    if answer["has_more"]:
        errors.print("there are more: see --limit")


_STATES = ("active", "scheduled", "expired", "used_up", "paused", "void")
_FACTS = ("codes", *_STATES, "usage", "redeemed", "users", "credits", "discounts", "revenue")


def _facts(statistic: dict[str, Any]) -> list[str]:
    codes = statistic["codes"]
    counts = ["–"] * (1 + len(_STATES)) if codes is None else [str(codes[name]) for name in ("total", *_STATES)]
    rate = statistic["usage_rate"]
    return [
        *counts,
        "–" if rate is None else f"{rate:.1%}",
        str(statistic["redemptions"]),
        str(statistic["users"]),
        statistic["credits"],
        _sums(statistic["discounts"]),
        _sums(statistic["revenue"]),
    ]


def _sums(money: list[dict[str, Any]]) -> str:
    """Sums of money in minor units."""
    return ", ".join(f"{one['amount_minor']} {one['currency']}" for one in money) or "–"


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=WIDE)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items() if part not in (None, []))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
