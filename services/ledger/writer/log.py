"""The rows that a batch adds to the log: places, ids and hashes, in the order in which things were decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.ledger.domain import codec
from services.ledger.domain import events as ev
from services.ledger.domain.chain import chain_hash
from services.ledger.requests import Request
from services.ledger.store.heads import Head

APP_ACCOUNT = "@app"
SCHEMA_VERSION = b"1"


@dataclass(slots=True)
class Origin:
    """What all events of one command share; `event_id` is that of the first."""

    event_id: str
    app: str
    user: str
    transaction_id: str
    command_id: str
    correlation_id: str
    causation_id: str
    actor: str
    key: str
    traceparent: str | None


_OBJECT_FIELDS = {
    ev.CreditsCharged: "charge",
    ev.HoldCaptured: "charge",
    ev.ChargeRefunded: "charge",
    ev.HoldCreated: "hold",
    ev.HoldExtended: "hold",
    ev.HoldReleased: "hold",
    ev.HoldExpired: "hold",
    ev.GrantRevoked: "grant",
    ev.TransferDebited: "transfer",
    ev.TransferCredited: "transfer",
    ev.TransferReturned: "transfer",
    ev.BalanceAdjusted: "adjustment",
    ev.OperationImported: "operation",
}


def object_of(event: ev.Event) -> str | None:
    """The id that an event is looked up by."""
    if isinstance(event, ev.CreditsGranted):
        return event.lot.grant
    name = _OBJECT_FIELDS.get(type(event))
    return None if name is None else getattr(event, name)


class LogRows:
    """The log rows of one batch, on top of the heads it was decided on."""

    __slots__ = ("heads", "rows", "start")

    def __init__(self, heads: dict[int, Head]) -> None:
        self.heads = heads
        self.start: dict[int, Head] = {}
        self.rows: list[tuple[Any, ...]] = []

    def touch(self, partition: int) -> Head:
        """The head of a partition, noted as one that the append must lock and compare."""
        head = self.heads[partition]
        if partition not in self.start:
            self.start[partition] = head
            head = self.heads[partition] = Head(partition, head.position, head.hash, head.epoch, head.time_us)
        return head

    def take_over(self, upper: LogRows) -> None:
        """What was added on top of these rows is added to them."""
        for partition in upper.start:
            self.touch(partition)
            self.heads[partition] = upper.heads[partition]
        self.rows += upper.rows

    def add(self, origin: Origin, partition: int, event: ev.Event, scale: int, event_id: str) -> None:
        """Put one event at the end of its partition."""
        head = self.touch(partition)
        payload = codec.encode(event, scale)
        if isinstance(event, ev.AccountEvent):
            user, asset, version = origin.user, event.asset, event.account_version
            account = f"{user}/{asset}"
            reference, member = event.reference, event.member
        else:
            user = account = APP_ACCOUNT
            asset, version, reference, member = "", 0, None, None
        type_name = codec.TYPE_NAMES[type(event)]
        head.position += 1
        head.hash = chain_hash(
            head.hash,
            [
                b"%d" % partition,
                b"%d" % head.position,
                b"%d" % head.epoch,
                origin.app.encode(),
                account.encode(),
                type_name.encode(),
                SCHEMA_VERSION,
                event_id.encode(),
                origin.transaction_id.encode(),
                origin.command_id.encode(),
                origin.correlation_id.encode(),
                origin.causation_id.encode(),
                origin.actor.encode(),
                origin.key.encode(),
                b"%d" % event.at,
            ],
            payload,
        )
        self.rows.append(
            (
                partition,
                head.position,
                head.epoch,
                origin.app,
                user,
                asset,
                version,
                type_name,
                event_id,
                origin.transaction_id,
                origin.command_id,
                origin.correlation_id,
                origin.causation_id,
                origin.actor,
                origin.key,
                event.at,
                payload.decode(),
                head.hash.hex(),
                object_of(event),
                reference,
                member,
                origin.traceparent,
            )
        )


def clock_origin(app: str, user: str, event_id: str) -> Origin:
    """The origin of events that time alone brings about."""
    suffix = event_id.partition("_")[2]
    command = f"command_{suffix}"
    return Origin(event_id, app, user, f"transaction_{suffix}", command, command, command, "@clock", "", None)


def origin_of(request: Request, app: str, user: str, event_id: str) -> Origin:
    """The origin of a request's events. A transaction and a command without an id of their own share its ULID."""
    suffix = event_id.partition("_")[2]
    command_id = request.command_id or f"command_{suffix}"
    return Origin(
        event_id,
        app,
        user,
        request.transaction_id or f"transaction_{suffix}",
        command_id,
        request.correlation_id or request.request_id,
        # An event is caused by its command; what caused the command stays with the command.
        command_id,
        request.actor,
        request.key,
        request.traceparent,
    )
