"""What a what-if has come to: totals, who wins and who loses, a line for each account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.ledger.domain.amounts import format_units
from services.ledger.whatif.period import AccountDifference, Figures, Key


@dataclass(slots=True)
class AssetTotals:
    """Sums over the accounts of an asset, in units. A winner pays less, a loser more; of equals the balance decides."""

    scale: int
    accounts: int = 0
    commands: int = 0
    same: int = 0
    winners: int = 0
    losers: int = 0
    then: Figures = field(default_factory=Figures)
    now: Figures = field(default_factory=Figures)
    refused: Counter[str] = field(default_factory=Counter)


def gain(difference: AccountDifference) -> tuple[int, int]:
    """What the account's owner gains, in units: (charged less, more left). Below zero: loses."""
    then, now = difference.then, difference.now
    return then.charged - now.charged, now.settled - then.settled


def totals(found: Mapping[Key, AccountDifference]) -> dict[str, AssetTotals]:
    """Totals by asset."""
    assets: dict[str, AssetTotals] = {}
    for (_, _, asset), difference in found.items():
        sums = assets.setdefault(asset, AssetTotals(difference.scale))
        sums.accounts += 1
        sums.commands += difference.commands
        sums.same += difference.same
        sums.winners += gain(difference) > (0, 0)
        sums.losers += gain(difference) < (0, 0)
        sums.refused.update(difference.refused)
        for total, part in ((sums.then, difference.then), (sums.now, difference.now)):
            total.charged += part.charged
            total.granted += part.granted
            total.settled += part.settled
    return assets


def figures_view(figures: Figures, scale: int) -> dict[str, str]:
    """Amounts as decimal strings."""
    return {name: format_units(getattr(figures, name), scale) for name in ("charged", "granted", "settled")}


def account_view(key: Key, difference: AccountDifference) -> dict[str, Any]:
    """An account's line."""
    _, user, asset = key
    less, more = gain(difference)
    return {
        "user": user,
        "asset": asset,
        "then": figures_view(difference.then, difference.scale),
        "now": figures_view(difference.now, difference.scale),
        "charged_less": format_units(less, difference.scale),
        "settled_more": format_units(more, difference.scale),
        "commands": difference.commands,
        "same": difference.same,
        "refused": dict(sorted(difference.refused.items())),
    }


def totals_view(sums: AssetTotals) -> dict[str, Any]:
    """An asset's totals."""
    return {
        "accounts": sums.accounts,
        "commands": sums.commands,
        "same": sums.same,
        "winners": sums.winners,
        "losers": sums.losers,
        "then": figures_view(sums.then, sums.scale),
        "now": figures_view(sums.now, sums.scale),
        "refused": dict(sorted(sums.refused.items())),
    }


def extremes(found: Mapping[Key, AccountDifference], count: int) -> tuple[list[Key], list[Key]]:
    """The accounts that win most and that lose most, at most `count` of each."""
    ranked = sorted(found, key=lambda key: gain(found[key]), reverse=True)
    winners = [key for key in ranked[:count] if gain(found[key]) > (0, 0)]
    losers = [key for key in ranked[::-1][:count] if gain(found[key]) < (0, 0)]
    return winners, losers
