"""What a batch needs from the database before it can be decided: one look for what is not in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from asyncpg import Record

from libs.service.clock import from_datetime
from libs.service.db import Pool
from services.ledger.domain import codec
from services.ledger.domain import events as ev
from services.ledger.domain.records import QuoteRecord, Resolution
from services.ledger.domain.state import Account, Lot
from services.ledger.store.columns import columns
from services.ledger.store.rows import (
    ACCOUNT_COLUMNS,
    HOLD_COLUMNS,
    LOT_COLUMNS,
    QUOTE_COLUMNS,
    account_of,
    hold_of,
    lot_of,
    quote_of,
)


class Fetcher(Protocol):
    """A pool or a connection: whatever can be asked for rows."""

    async def fetch(self, query: str, *args: Any) -> list[Record]:
        """The rows of a query."""
        ...


AccountKey = tuple[str, str, str]
"""(app, user, asset)."""
ResultKey = tuple[str, str, str, str]
"""(app, user, key, caller)."""
RefKey = tuple[str, str, str, str]
"""(app, user, command type, unique_ref)."""


@dataclass(slots=True)
class StoredResult:
    """The outcome under an idempotency key; `command` is the id of the one that came to it."""

    fingerprint: bytes
    status: int
    body: bytes
    command: str


@dataclass(slots=True)
class StoredRef:
    """The object that a `unique_ref` stands for."""

    fingerprint: bytes
    object: str
    status: int
    body: bytes


@dataclass(slots=True)
class StoredTransfer:
    """How far a transfer has come."""

    id: str
    app: str
    asset: str
    from_user: str
    to_user: str
    amount: int
    status: str
    refusal: str | None


@dataclass(slots=True)
class Loaded:
    """What was read. Lots are those that a command named, dead or not; events are those of a named object.

    `all_keys`: the idempotency key of every request was looked up, not only of those that ask for it.
    """

    all_keys: bool = True

    accounts: dict[AccountKey, Account] = field(default_factory=dict)
    results: dict[ResultKey, StoredResult] = field(default_factory=dict)
    refs: dict[RefKey, StoredRef] = field(default_factory=dict)
    owners: dict[str, AccountKey] = field(default_factory=dict)
    resolutions: dict[str, Resolution] = field(default_factory=dict)
    objects: dict[str, list[tuple[int, ev.Event]]] = field(default_factory=dict)
    lots: dict[str, Lot] = field(default_factory=dict)
    transfers: dict[str, StoredTransfer] = field(default_factory=dict)
    quotes: dict[str, QuoteRecord] = field(default_factory=dict)


def _keys(*names: str) -> str:
    """The relation of keys that come as columns of text, with these names."""
    values = ", ".join(f"coalesce({name}, '') AS {name}" for name in names)
    columns = ", ".join(f"ledger_column(${number})" for number in range(1, len(names) + 1))
    return f"(SELECT {values} FROM unnest({columns}) AS u({', '.join(names)})) AS k"


_RESULTS = (
    "SELECT r.app, r.user_id, r.key, r.caller, r.fingerprint, r.status, r.body, r.command_id"
    f" FROM {_keys('app', 'user_id', 'key', 'caller')} JOIN results r USING (app, user_id, key, caller)"
)
_REFS = (
    "SELECT r.app, r.user_id, r.command_type, r.ref, r.fingerprint, r.object, r.status, r.body"
    f" FROM {_keys('app', 'user_id', 'command_type', 'ref')}"
    " JOIN unique_refs r USING (app, user_id, command_type, ref)"
)
_OF_ACCOUNTS = f"FROM {_keys('app', 'user_id', 'asset')} JOIN"


async def load_results(pool: Pool, keys: Sequence[ResultKey], into: Loaded) -> None:
    """Outcomes under these idempotency keys."""
    for app, user, key, caller, *stored in await pool.fetch(_RESULTS, *columns(keys)):
        into.results[app, user, key, caller] = StoredResult(*stored)


async def load_refs(pool: Pool, keys: Sequence[RefKey], into: Loaded) -> None:
    """Objects that these unique references stand for."""
    rows = await pool.fetch(_REFS, *columns(keys))
    for app, user, kind, ref, fingerprint, made, status, body in rows:
        into.refs[app, user, kind, ref] = StoredRef(fingerprint, made, status, body)


async def load_accounts(pool: Fetcher, keys: Sequence[AccountKey], into: Loaded) -> None:
    """Accounts with their living lots and open holds; keys that do not exist are left out.

    Nobody but the caller writes these accounts, so that the three reads agree without a snapshot.
    """
    sent = columns(keys)
    for row in await pool.fetch(f"SELECT {ACCOUNT_COLUMNS} {_OF_ACCOUNTS} accounts USING (app, user_id, asset)", *sent):
        into.accounts[row["app"], row["user_id"], row["asset"]] = account_of(row)
    if not into.accounts:
        return
    lots: dict[AccountKey, list[Lot]] = {}
    for row in await pool.fetch(
        f"SELECT {LOT_COLUMNS} {_OF_ACCOUNTS} lots USING (app, user_id, asset) WHERE live", *sent
    ):
        lots.setdefault((row["app"], row["user_id"], row["asset"]), []).append(lot_of(row))
    for key, items in lots.items():
        items.sort(key=lambda lot: lot.terms.burn_key)
        into.accounts[key].lots = {lot.terms.id: lot for lot in items}
    for row in await pool.fetch(
        f"SELECT {HOLD_COLUMNS} {_OF_ACCOUNTS} holds USING (app, user_id, asset) WHERE status = 'open' ORDER BY id",
        *sent,
    ):
        account = into.accounts[row["app"], row["user_id"], row["asset"]]
        account.holds[row["id"]] = hold_of(row)


async def load_targets(pool: Pool, ids: Sequence[str], into: Loaded) -> None:
    """Whose these holds, grants, charges and transfers are, and how far they have come; what these quotes promise."""
    by_word: dict[str, list[str]] = {}
    for target in ids:
        by_word.setdefault(target.partition("_")[0], []).append(target)
    if "hold" in by_word:
        await _load_holds(pool, by_word["hold"], into)
    if "grant" in by_word:
        await load_lots(pool, by_word["grant"], into)
    if "quote" in by_word:
        rows = await pool.fetch(f"SELECT {QUOTE_COLUMNS} FROM quotes WHERE id = ANY ($1)", by_word["quote"])
        into.quotes.update({row["id"]: quote_of(row) for row in rows})
    if "transfer" in by_word:
        await _load_transfers(pool, by_word["transfer"], into)
    objects = by_word.get("charge", []) + by_word.get("transfer", [])
    if objects:
        await _load_objects(pool, objects, into)


async def _load_holds(pool: Pool, ids: list[str], into: Loaded) -> None:
    for row in await pool.fetch(
        "SELECT id, app, user_id, asset, status, captured, resolved_at FROM holds WHERE id = ANY ($1)", ids
    ):
        into.owners[row["id"]] = (row["app"], row["user_id"], row["asset"])
        if row["status"] != "open":
            into.resolutions[row["id"]] = Resolution(row["status"], row["captured"], from_datetime(row["resolved_at"]))


async def load_lots(pool: Pool, ids: Sequence[str], into: Loaded) -> None:
    """Lots by their ids, dead or not, and whose they are."""
    for row in await pool.fetch(f"SELECT {LOT_COLUMNS} FROM lots WHERE id = ANY ($1)", list(ids)):
        into.owners[row["id"]] = (row["app"], row["user_id"], row["asset"])
        into.lots[row["id"]] = lot_of(row)


async def _load_transfers(pool: Pool, ids: list[str], into: Loaded) -> None:
    for row in await pool.fetch(
        "SELECT id, app, asset, from_user, to_user, amount, status, refusal FROM transfers WHERE id = ANY ($1)", ids
    ):
        into.transfers[row["id"]] = StoredTransfer(*row)


async def _load_objects(pool: Pool, ids: list[str], into: Loaded) -> None:
    """The events of charges and debits, and every lot that they name."""
    named: set[str] = set()
    for row in await pool.fetch(
        "SELECT object, app, user_id, asset, position, type, time, payload FROM events"
        " WHERE object = ANY ($1) ORDER BY partition, position",
        ids,
    ):
        event = codec.decode(row["type"], row["payload"], from_datetime(row["time"]))
        if isinstance(event, ev.TransferCredited):
            continue
        into.owners.setdefault(row["object"], (row["app"], row["user_id"], row["asset"]))
        into.objects.setdefault(row["object"], []).append((row["position"], event))
        named.update(s.lot for s in slices_of(event))
    if named:
        owners = into.owners
        into.owners = {}
        await load_lots(pool, list(named), into)
        into.owners = owners


def slices_of(event: ev.Event) -> list[ev.SliceOf | ev.MovedLot]:
    """The slices that an event took, which its undoing may have to put back."""
    match event:
        case ev.CreditsCharged(slices=slices):
            return list(slices)
        case ev.HoldCaptured(slices=slices, excess=excess):
            return [*slices, *excess]
        case ev.TransferDebited(slices=moved):
            return list(moved)
        case _:
            return []
