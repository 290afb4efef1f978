"""Many commands in one request, built by the same functions that send one alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, Self
from urllib.parse import unquote

from ._request import Request
from ._routes import accounts, holds, moves, pricing

P = ParamSpec("P")

COMMANDS_MAX = 1000
"""Commands that the ledger takes in one batch."""


class _Adds(Generic[P]):
    """A method that adds a command of this type, with the arguments of its route."""

    def __init__(self, kind: str, build: Callable[P, Request[Any]], id_field: str | None = None) -> None:
        self._kind, self._build, self._id_field = kind, build, id_field
        self.__doc__ = build.__doc__

    def __get__(self, batch: Batch, owner: type) -> Callable[P, Batch]:
        def add(*args: P.args, **kwargs: P.kwargs) -> Batch:
            request = self._build(*args, **kwargs)
            # The id of a route's path is a field of a command: `/v1/holds/{hold}/capture`.
            target = {} if self._id_field is None else {self._id_field: unquote(request.path.split("/")[3])}
            return batch.add(self._kind, request.key, {**target, **(request.json or {})})

        return add


class Batch:
    """Up to 1,000 commands, done in order: `Batch().charge("ada", 1).charge("bob", 2)`, sent by `client.batch`.

    With `atomic` all happen or none; then they must concern one partition. Each command has an idempotency key of its
    own, so that sending the batch again does nothing twice.
    """

    def __init__(self, *, atomic: bool = False) -> None:
        self.atomic = atomic
        self.commands: list[dict[str, Any]] = []

    grant = _Adds("grant", moves.grant)
    revoke = _Adds("grant.revoke", moves.revoke, "grant")
    charge = _Adds("charge", moves.charge)
    refund = _Adds("charge.refund", moves.refund, "charge")
    adjust = _Adds("adjustment", moves.adjust)
    act = _Adds("action", moves.act)
    create_hold = _Adds("hold", holds.create_hold)
    capture = _Adds("hold.capture", holds.capture, "hold")
    extend = _Adds("hold.extend", holds.extend, "hold")
    release = _Adds("hold.release", holds.release, "hold")
    transfer = _Adds("transfer", moves.transfer)
    assign_plan = _Adds("account.plan", pricing.assign_plan, "user")
    reset = _Adds("account.reset", pricing.reset, "user")
    set_budgets = _Adds("account.budgets", pricing.set_budgets, "user")
    put_account = _Adds("account.change", accounts.put_account, "user")
    put_thresholds = _Adds("account.thresholds", accounts.put_thresholds, "user")
    freeze = _Adds("account.freeze", accounts.freeze, "user")
    unfreeze = _Adds("account.unfreeze", accounts.unfreeze, "user")

    def add(self, kind: str, key: str | None, fields: dict[str, Any]) -> Self:
        """Add a command by the ledger's name of its type. Raises ValueError when the batch is full."""
        if len(self.commands) >= COMMANDS_MAX:
            raise ValueError(f"a batch has at most {COMMANDS_MAX} commands")
        self.commands.append({"type": kind, "key": key, **fields})
        return self

    def __len__(self) -> int:
        return len(self.commands)
