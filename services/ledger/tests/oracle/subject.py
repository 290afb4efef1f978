"""What the oracle's machine drives: anything that takes the ledger's commands and shows its accounts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol

from services.ledger.tests.oracle.model import GRACE_S, HOLD_MAX_S, HOLD_S, TOLERANCE_PERCENT
from services.ledger.tests.oracle.tariff import ACTIONS, CAPS, DEARER_AT, PLANS, QUOTE_S, RATES

START = datetime(2026, 1, 1, tzinfo=UTC)
"""The time at which every subject starts."""

CONFIG: dict[str, Any] = {
    "assets": {"coins": {"scale": 2}},
    "earning_rules": {
        action: {
            "amount": f"{amount // 100}.{amount % 100:02d}",
            "times": times,
            "period": period,
            **({"group": group} if group != action else {}),
        }
        for action, (amount, group, times, period) in ACTIONS.items()
    },
    "earning_caps": [
        {"amount": f"{limit // 100}.{limit % 100:02d}", "period": period} for period, limit in CAPS.items()
    ],
    "allowances": {
        name: {
            "limit": f"{plan.limit / 100:.2f}",
            "rollover": {"min": f"{plan.carry[0] / 100:.2f}", "max": f"{plan.carry[1] / 100:.2f}"},
        }
        if plan.carry[1]
        else {"limit": f"{plan.limit / 100:.2f}"}
        for name, plan in PLANS.items()
    },
    "prices": {
        "operations": {"draw": {"amount": "0.37", "markup_percent": 50, "minimum": "0.90"}},
        "models": {
            "tiny": [
                {
                    "per": 1,
                    "input": f"{float(read):.3f}",
                    "output": f"{float(written):.3f}",
                    "markup_percent": 10,
                    **({"from": (START + timedelta(seconds=DEARER_AT)).isoformat()} if number else {}),
                }
                for number, (read, written) in enumerate(RATES)
            ]
        },
        "quote_ttl_s": QUOTE_S,
    },
    "thresholds": [{"below": "1", "rearm_at": "2"}],
    "hold_limits": {"default_s": HOLD_S, "max_s": HOLD_MAX_S},
    "policies": {"capture_tolerance_percent": TOLERANCE_PERCENT, "refund_grace_s": GRACE_S},
}
"""The configuration that every subject has applied before it starts: what the model takes for granted."""


class Item(NamedTuple):
    """A command in a batch."""

    command: str
    fields: dict[str, Any]
    key: str


class Subject(Protocol):
    """A ledger with one app, without accounts, whose clock stands at `START` and moves only by `advance`."""

    def execute(self, command: str, fields: dict[str, Any], user: str, key: str) -> tuple[int, dict[str, Any]]:
        """Status and body of a command by its wire name (`charge_credits`), its fields (the ids of a path among
        them) without the user, and its idempotency key. A refusal's body has its `code`; a transfer answers when
        both of its halves are done."""

    def together(self, items: list[Item], user: str, *, atomic: bool) -> list[tuple[int, dict[str, Any]]]:
        """Status and body of each of several commands of one user, in order; of an atomic batch that was refused, only
        of the refused one, whose body has its `index`."""

    def state(self, user: str, service: str | None) -> dict[str, Any] | None:
        """At least `settled`, `held`, `owed`, `available` (decimal strings), `lots` in burn-down order, each with
        `remaining` and `held`, and `budgets`, as of now; None for an unknown account."""

    def advance(self, seconds: int) -> None:
        """Let time pass, and nothing else."""

    def close(self) -> None:
        """The trial is over."""
