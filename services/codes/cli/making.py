"""Making one code, and taking codes back."""

from __future__ import annotations

from typing import Annotated

import typer

from libs.service.cli_support import EXIT_USAGE, CliError, cli_settings, errors
from services.codes.cli import support
from services.codes.cli.support import body_of, found, promise, tell

Codes = Annotated[list[str], typer.Argument(help="Texts or ids of codes.", show_default=False)]
CodesOrBatches = Annotated[
    list[str], typer.Argument(help="Texts or ids of codes, or ids of batches.", show_default=False)
]


def create(
    *,
    app: support.App,
    code: Annotated[str | None, typer.Option(help="A text that everybody may know. Default: one is made.")] = None,
    kind: support.Kind = "recharge",
    name: support.Name = None,
    amount: support.Amount = None,
    percent_off: support.PercentOff = None,
    amount_off: support.AmountOff = None,
    currency: support.Currency = None,
    service: support.Service = None,
    max_uses: support.MaxUses = None,
    per_user_limit: support.PerUserLimit = None,
    starts_at: support.StartsAt = None,
    ends_at: support.EndsAt = None,
    scope: support.Scope = [],  # noqa: B006
    expires_after_s: support.ExpiresAfterS = None,
    campaign: support.Campaign = None,
    pattern: support.Pattern = None,
    prefix: support.Prefix = None,
    length: support.Length = None,
) -> None:
    """Make a code and print its text, which for a made one is shown this once."""
    body = body_of({name: value for name, value in locals().items() if name != "app"})
    made = tell(cli_settings(), app, "POST", "/v1/codes", body).json()
    print(made["code"])
    errors.print(f"{made['id']}: {promise(made)}")


def pause(codes: Codes, *, app: support.App) -> None:
    """Let nobody redeem them until they are resumed."""
    _set(app, codes, "pause")


def resume(codes: Codes, *, app: support.App) -> None:
    """Let them be redeemed again."""
    _set(app, codes, "resume")


def void(codes: CodesOrBatches, *, app: support.App) -> None:
    """Take them back for good."""
    _set(app, codes, "void")


def _set(app: str, codes: list[str], verb: str) -> None:
    settings = cli_settings()
    for code in codes:
        if code.startswith("batch_"):
            if verb != "void":
                raise CliError(f"a batch can be voided, not {verb}d", EXIT_USAGE)
            path = f"/v1/batches/{code}"
        else:
            path = f"/v1/codes/{found(settings, app, code)['id']}"
        print(f"{code}: {tell(settings, app, 'POST', f'{path}/{verb}').json()['status']}")
