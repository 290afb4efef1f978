"""Finding what a request names: in the batch, in what is being committed, in memory, in what was read for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from libs.events.ids import UlidSource
from services.ledger.domain import events as ev
from services.ledger.domain.config import AppConfig
from services.ledger.domain.records import Loaded as Records
from services.ledger.domain.records import charge_record
from services.ledger.domain.rejections import not_found
from services.ledger.domain.state import Account, Lot
from services.ledger.requests import Request
from services.ledger.store.heads import Head
from services.ledger.store.load import (
    AccountKey,
    Loaded,
    RefKey,
    ResultKey,
    StoredRef,
    StoredResult,
    StoredTransfer,
    slices_of,
)
from services.ledger.writer.layer import Committed, Layer, Layers, newest
from services.ledger.writer.log import APP_ACCOUNT

STAGES = ("pending", "refused", "completed", "returned")
"""What a transfer goes through; none of them is ever left for one before it."""


@dataclass(slots=True)
class Situation:
    """What a batch is decided in: the layers below it and the heads it stands on."""

    below: tuple[Layer | Committed, ...]
    heads: dict[int, Head]
    app_now: Callable[[str], int | None]
    """The clock of an app in test mode, None for the others."""
    ulids: UlidSource
    partitions: int


class Finder:
    """Looks through the layers first, newest to oldest, and then in what was loaded, which may be older."""

    __slots__ = ("_layers", "_loaded")

    def __init__(self, layers: Layers, loaded: Loaded) -> None:
        self._layers = layers
        self._loaded = loaded

    def account_key(self, request: Request, config: AppConfig | None) -> AccountKey:
        """Whose account a request is about; 404 for an app, an asset or an object that there is not."""
        if request.user == APP_ACCOUNT:
            return (request.app, APP_ACCOUNT, "")
        if config is None:
            raise not_found("app")
        if request.target is not None and request.by_target:
            owners = self._loaded.owners
            owner = newest(self._layers.owners, request.target) or owners.get(request.target)
            if owner is None or owner[0] != request.app or request.expected_user not in (None, owner[1]):
                raise not_found(request.target.partition("_")[0])
            return owner
        return (request.app, request.user, config.asset(request.asset))

    def account(self, key: AccountKey) -> Account | None:
        """The account as of the last command before, None if it was never opened."""
        return newest(self._layers.accounts, key) or self._loaded.accounts.get(key)

    def result(self, key: ResultKey) -> StoredResult | None:
        """The outcome under an idempotency key."""
        return newest(self._layers.results, key) or self._loaded.results.get(key)

    def ref(self, key: RefKey) -> StoredRef | None:
        """The object that a `unique_ref` stands for."""
        return newest(self._layers.refs, key) or self._loaded.refs.get(key)

    def records(self, request: Request, key: AccountKey) -> tuple[Records, list[Lot]]:
        """What the named objects tell, and the dead lots of the account `key` that the command may touch."""
        records, loaded = Records(), self._loaded
        owners = self._layers.owners
        names = [name for name in request.named if (newest(owners, name) or loaded.owners.get(name)) == key]
        target = request.target
        word = "" if target is None else target.partition("_")[0]
        if target is not None and word in ("hold", "grant"):
            names.append(target)
        elif target is not None:
            events = self._events(target)
            names += [s.lot for event in events for s in slices_of(event)]
            records.charge = charge_record(events)
            records.debit = next((e for e in events if isinstance(e, ev.TransferDebited)), None)
        for name in request.named:
            records.quote = records.quote or newest(self._layers.quotes, name) or loaded.quotes.get(name)
        for name in names:
            resolution = newest(self._layers.resolutions, name) or loaded.resolutions.get(name)
            records.resolution = records.resolution or resolution
        found = (newest(self._layers.lots, name) or loaded.lots.get(name) for name in names)
        return records, [lot for lot in found if lot is not None]

    def _events(self, target: str) -> list[ev.Event]:
        """The events of an object: those read from the database, and those decided since."""
        by_position = dict(self._loaded.objects.get(target, ()))
        by_position.update(self._layers.events(target))
        return [by_position[position] for position in sorted(by_position)]

    def transfer(self, transfer_id: str) -> StoredTransfer | None:
        """How far a transfer has come: the other shard's step is in the table only, our own may be in memory only."""
        known = (newest(self._layers.transfers, transfer_id), self._loaded.transfers.get(transfer_id))
        stages = [stored for stored in known if stored is not None]
        return max(stages, key=lambda stored: STAGES.index(stored.status), default=None)
