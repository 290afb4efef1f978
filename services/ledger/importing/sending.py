"""The commands that an import file comes to. Their keys follow from the file's content, so that a second run repeats
the first instead of doing it again."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from services.ledger.importing.records import Opening, Operation

Command = dict[str, Any]
"""One command of `POST /v1/batch`."""
FREEZE = "import"


def _account(opening: Opening) -> dict[str, Any]:
    return _given(user=opening.user, asset=opening.asset)


def _base(name: str, opening: Opening) -> str:
    return f"import:{name}:{opening.asset or ''}"


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, ())}


def account_commands(name: str, opening: Opening) -> Iterator[Command]:
    """What must be so before any credits come: settings, the plan. An account with an allowance to level is opened.

    `name` is that of the import, part of every key: the same balances under another name are other balances.
    """
    account, base = _account(opening), _base(name, opening)
    settings = _given(zone=opening.zone, overdraft=_text(opening.overdraft))
    if settings or opening.allowance is not None:
        yield {"type": "account.change", "key": f"{base}:settings", **account, **settings}
    if opening.plan is not None:
        plan = _given(plan=opening.plan, anchor=_text(opening.anchor), paid_until=_text(opening.paid_until))
        yield {"type": "account.plan", "key": f"{base}:plan", **account, **plan}


def levelling_command(name: str, opening: Opening, excess: str) -> Command:
    """The charge that brings this period's allowance down to what was left of it in the other system.

    It comes before the lots of the opening balance, so that it can take from the allowance only.
    """
    key = f"{_base(name, opening)}:allowance"
    labels = {"unique_ref": key, "reason": "imported_usage"}
    return {"type": "charge", "key": key, **labels, **_account(opening), "amount": excess}


def balance_commands(name: str, opening: Opening) -> Iterator[Command]:
    """The lots of the opening balance, then the freeze of an account that was frozen."""
    account, base = _account(opening), _base(name, opening)
    for number, lot in enumerate(opening.all_lots):
        key = f"{base}:lot:{number}"
        terms = lot.model_dump(mode="json", exclude_defaults=True)
        yield {"type": "grant", "key": key, "unique_ref": key, **account, "source": lot.source, **terms}
    if opening.frozen:
        yield {"type": "account.freeze", "key": f"{base}:freeze", "unique_ref": FREEZE, **account}


def operation_commands(name: str, operations: Iterable[Operation]) -> Iterator[Command]:
    """One command for each operation. Operations that are alike in everything are told apart by their order."""
    alike: Counter[bytes] = Counter()
    for operation in operations:
        fields = operation.model_dump(mode="json", exclude_none=True)
        digest = hashlib.sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).digest()[:15]
        key = f"import:{name}:operation:{digest.hex()}:{alike[digest]}"
        alike[digest] += 1
        yield {
            "type": "operation.import",
            "key": key,
            "unique_ref": key,
            "occurred_at": fields.pop("time"),
            **fields,
        }


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
