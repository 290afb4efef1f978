"""Every command of the ledger, once: its name, its fields, whose account it concerns, and what it becomes.

:func:`request_for` is what HTTP and Kafka share: the same fields come to the same request, with the same fingerprint.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import orjson

from libs.events.contracts.base import Command as Contract
from libs.events.contracts.ledger import commands as sent
from services.ledger.domain.commands import Command, Labels
from services.ledger.handlers import building
from services.ledger.handlers.fingerprint import fields_sent, fingerprints
from services.ledger.requests import Cursor, Door, Request, Text

Build = Callable[[Any, str, str, int, Labels], Command]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of command.

    `body` is what HTTP takes; `contract` is what Kafka takes, which for a route with an id in its path has that id as
    `id_field`. `user_field` names the user among the fields; without one, the object of `id_field` says whose it is.
    `names` are fields with the ids of other things of the same user. `claims`: a `unique_ref` makes it happen once for
    ever. A quote does not come by Kafka: no event would answer it.
    """

    name: str
    body: type[sent.Body]
    build: Build
    contract: type[Contract] | None = None
    id_field: str | None = None
    user_field: str | None = None
    names: tuple[str, ...] = ()
    claims: bool = True


_KINDS = (
    Kind("grant", sent.GrantCredits, building.grant, sent.GrantCredits, user_field="user"),
    Kind("grant.revoke", sent.RevokeGrantBody, building.revoke, sent.RevokeGrant, id_field="grant", names=("hold",)),
    Kind("charge", sent.ChargeCredits, building.charge, sent.ChargeCredits, user_field="user", names=("quote",)),
    Kind("charge.refund", sent.RefundChargeBody, building.refund, sent.RefundCharge, id_field="charge"),
    Kind("hold", sent.CreateHold, building.create_hold, sent.CreateHold, user_field="user", names=("grant", "quote")),
    Kind("hold.capture", sent.CaptureHoldBody, building.capture_hold, sent.CaptureHold, id_field="hold"),
    Kind("hold.extend", sent.ExtendHoldBody, building.extend_hold, sent.ExtendHold, id_field="hold"),
    Kind("hold.release", sent.ReleaseHoldBody, building.release_hold, sent.ReleaseHold, id_field="hold"),
    Kind("quote", sent.QuoteBody, building.quote, user_field="user", claims=False),
    Kind("transfer", sent.TransferCredits, building.transfer, sent.TransferCredits, user_field="from_user"),
    Kind("adjustment", sent.AdjustBalance, building.adjust, sent.AdjustBalance, user_field="user"),
    Kind("action", sent.PerformAction, building.act, sent.PerformAction, user_field="user"),
    Kind("operation.import", sent.ImportOperation, building.import_operation, sent.ImportOperation, user_field="user"),
    Kind(
        "account.freeze",
        sent.FreezeAccountBody,
        building.freeze,
        sent.FreezeAccount,
        id_field="user",
        user_field="user",
        claims=False,
    ),
    Kind(
        "account.unfreeze",
        sent.UnfreezeAccountBody,
        building.unfreeze,
        sent.UnfreezeAccount,
        id_field="user",
        user_field="user",
        claims=False,
    ),
    Kind(
        "account.close",
        sent.CloseAccountBody,
        building.close,
        sent.CloseAccount,
        id_field="user",
        user_field="user",
    ),
    Kind(
        "account.change",
        sent.ChangeAccountBody,
        building.change,
        sent.ChangeAccount,
        id_field="user",
        user_field="user",
    ),
    Kind(
        "account.plan",
        sent.AssignPlanBody,
        building.assign_plan,
        sent.AssignPlan,
        id_field="user",
        user_field="user",
    ),
    Kind(
        "account.reset",
        sent.ResetAllowanceBody,
        building.reset_allowance,
        sent.ResetAllowance,
        id_field="user",
        user_field="user",
    ),
    Kind("account.thresholds", sent.ThresholdsBody, building.set_thresholds, id_field="user", user_field="user"),
    Kind(
        "account.budgets",
        sent.SetBudgetsBody,
        building.set_budgets,
        sent.SetBudgets,
        id_field="user",
        user_field="user",
    ),
    Kind("account.erase", sent.Body, building.erase, id_field="user", user_field="user"),
)
KINDS = {kind.name: kind for kind in _KINDS}
"""By the name that metrics, results and `unique_ref` know a command under."""
BY_CONTRACT = {
    kind.contract.TYPE: kind for kind in _KINDS if kind.contract is not None and hasattr(kind.contract, "TYPE")
}
"""By the name of the Kafka message."""


@dataclass(slots=True, kw_only=True)
class Origin:
    """Who sends a command, by which door and under which key.

    `caller` is the namespace of the key: the token's `sub` over HTTP, the source service over Kafka. `role` decides
    the limits of holds.
    """

    app: str
    caller: str
    key: str
    actor: str
    role: str
    door: Door
    request_id: str
    command_id: str = ""
    correlation_id: str = ""
    causation_id: str = ""
    traceparent: str | None = None
    cursor: Cursor | None = None


def request_for(
    kind: Kind,
    fields: sent.Body,
    origin: Origin,
    target: str = "",
    *,
    key: str | None = None,
    beside: Collection[str] = (),
) -> Request:
    """The writer's request for `fields`.

    `target` is the id in the path; without a path it is among the fields. `key` is the command's own where several
    come from one origin, and `beside` names fields that are not the command's.
    """
    id_field, user_field = kind.id_field, kind.user_field
    given = fields_sent(fields)
    for name in beside:
        given.pop(name, None)
    if id_field is not None:
        target = given.setdefault(id_field, target)
    whole, loose = fingerprints(kind.name, given)
    text = _text_of(fields)
    labels = Labels(
        fields.reference,
        fields.unique_ref if kind.claims else None,
        fields.reason,
        fields.member,
        None if text is None else hashlib.sha256(text.salt + text.body.encode()).hexdigest(),
        origin.caller,
    )
    build, role = kind.build, origin.role
    named = [name for field in kind.names if (name := getattr(fields, field)) is not None]
    return Request(
        app=origin.app,
        user="" if user_field is None else given.get(user_field, ""),
        asset=fields.asset,
        type=kind.name,
        build=lambda scale: build(fields, target, role, scale, labels),
        caller=origin.caller,
        key=origin.key if key is None else key,
        fingerprint=whole,
        unique_fingerprint=loose,
        actor=origin.actor,
        door=origin.door,
        request_id=origin.request_id,
        command_id=origin.command_id,
        correlation_id=origin.correlation_id,
        causation_id=origin.causation_id,
        traceparent=origin.traceparent,
        target=None if user_field is not None else target,
        by_target=user_field is None,
        named=tuple(named),
        unique_ref=labels.unique_ref,
        unique_type=kind.name,
        text=text,
        cursor=origin.cursor,
    )


def _text_of(fields: sent.Body) -> Text | None:
    """The free text of a command under a fresh salt, as canonical JSON."""
    if fields.description is None and fields.metadata is None:
        return None
    content = {"description": fields.description, "metadata": fields.metadata}
    given = {name: value for name, value in content.items() if value is not None}
    return Text(os.urandom(16), orjson.dumps(given, option=orjson.OPT_SORT_KEYS).decode())
