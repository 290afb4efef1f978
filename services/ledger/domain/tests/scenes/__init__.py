"""The scenes whose answers are kept, by name."""

from collections.abc import Callable

from services.ledger.domain.tests.scenes import each_command, lives
from services.ledger.domain.tests.scenes.hearing import Told

SCENES: dict[str, Callable[[], Told]] = {
    "grants": each_command.grants,
    "charges": each_command.charges,
    "holds": each_command.holds,
    "transfers": each_command.transfers,
    "accounts": each_command.accounts,
    "edges": lives.edges,
    "debts": lives.debts,
    "revokes": lives.revokes,
    "arrivals": lives.arrivals,
    "repaid": lives.repaid,
    "ends": lives.ends,
}
