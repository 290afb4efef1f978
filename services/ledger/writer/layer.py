"""What the writer knows, in layers: the batch being decided, the one being committed, and what is committed.

A look goes through the layers from the newest to the oldest, so a batch sees everything decided before it. A batch
that fails is forgotten by dropping its layer; one that commits is poured into the lowest layer, which is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from services.ledger.domain import events as ev
from services.ledger.domain.config import AppConfig
from services.ledger.domain.records import QuoteRecord, Resolution
from services.ledger.domain.state import Account, Lot, pruned
from services.ledger.store.load import AccountKey, RefKey, ResultKey, StoredRef, StoredResult, StoredTransfer

K = TypeVar("K")
V = TypeVar("V")
K_contra = TypeVar("K_contra", contravariant=True)
V_co = TypeVar("V_co", covariant=True)
Place = tuple[str, str, int]
"""A partition of commands: cluster id, topic, partition."""
CommandKey = tuple[str, str]
"""Who sent a command over Kafka, and its id."""


class Recent(Generic[K, V]):
    """A mapping of what was set lately, in two generations: when the younger has `limit` entries, the older goes.

    It holds at least the last `limit` entries and at most twice as many. Setting many at once costs one dict update.
    """

    __slots__ = ("_limit", "_old", "_young")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """The value under `key`, or None."""
        value = self._young.get(key)
        return self._old.get(key) if value is None else value

    def update(self, items: Mapping[K, V]) -> None:
        """Set these entries."""
        self._young.update(items)
        if len(self._young) >= self._limit:
            self._old, self._young = self._young, {}


class Lookup(Protocol[K_contra, V_co]):
    """What a layer is asked: the value under a key, or None."""

    def get(self, key: K_contra, /) -> V_co | None: ...


@dataclass(slots=True)
class Layer:
    """What one batch has decided. `lots` are dead ones that an account no longer carries.

    `told` are commands that an event of the app, not of an account, has answered.
    """

    accounts: dict[AccountKey, Account] = field(default_factory=dict)
    results: dict[ResultKey, StoredResult] = field(default_factory=dict)
    refs: dict[RefKey, StoredRef] = field(default_factory=dict)
    lots: dict[str, Lot] = field(default_factory=dict)
    owners: dict[str, AccountKey] = field(default_factory=dict)
    resolutions: dict[str, Resolution] = field(default_factory=dict)
    objects: dict[str, list[tuple[int, ev.Event]]] = field(default_factory=dict)
    transfers: dict[str, StoredTransfer] = field(default_factory=dict)
    quotes: dict[str, QuoteRecord] = field(default_factory=dict)
    configs: dict[str, AppConfig] = field(default_factory=dict)
    cursors: dict[Place, int] = field(default_factory=dict)
    told: dict[CommandKey, bool] = field(default_factory=dict)

    def take_over(self, upper: Layer) -> None:
        """What a layer above this one has decided becomes this one's."""
        for object_id, events in upper.objects.items():
            self.objects.setdefault(object_id, []).extend(events)
        self.accounts.update(upper.accounts)
        self.results.update(upper.results)
        self.refs.update(upper.refs)
        self.lots.update(upper.lots)
        self.owners.update(upper.owners)
        self.resolutions.update(upper.resolutions)
        self.transfers.update(upper.transfers)
        self.quotes.update(upper.quotes)


class Committed:
    """The lowest layer: accounts in memory, and whatever else was committed lately.

    `recent_max` must exceed what two batches can hold, because a read from the database may be older than the batch
    that was committed while it was made.
    """

    def __init__(self, accounts_max: int, recent_max: int) -> None:
        self.accounts: Recent[AccountKey, Account] = Recent(accounts_max)
        self.results: Recent[ResultKey, StoredResult] = Recent(recent_max)
        self.refs: Recent[RefKey, StoredRef] = Recent(recent_max)
        self.lots: Recent[str, Lot] = Recent(recent_max)
        self.owners: Recent[str, AccountKey] = Recent(recent_max)
        self.resolutions: Recent[str, Resolution] = Recent(recent_max)
        self.objects: Recent[str, list[tuple[int, ev.Event]]] = Recent(recent_max)
        self.transfers: Recent[str, StoredTransfer] = Recent(recent_max)
        self.quotes: Recent[str, QuoteRecord] = Recent(recent_max)
        self.configs: dict[str, AppConfig] = {}
        self.cursors: dict[Place, int] = {}
        self.told: Recent[CommandKey, bool] = Recent(recent_max)

    def pour(self, upper: Layer) -> None:
        """Take over what a committed batch decided; dead lots leave their accounts."""
        accounts = {}
        for key, account in upper.accounts.items():
            accounts[key] = kept = pruned(account)
            if kept is not account:
                upper.lots.update({lot.terms.id: lot for lot in account.lots.values() if lot.dead})
        for object_id, events in upper.objects.items():
            earlier = self.objects.get(object_id)
            if earlier is not None:
                upper.objects[object_id] = earlier + events
        self.accounts.update(accounts)
        self.results.update(upper.results)
        self.refs.update(upper.refs)
        self.lots.update(upper.lots)
        self.owners.update(upper.owners)
        self.resolutions.update(upper.resolutions)
        self.objects.update(upper.objects)
        self.transfers.update(upper.transfers)
        self.quotes.update(upper.quotes)
        self.configs.update(upper.configs)
        self.cursors.update(upper.cursors)
        self.told.update(upper.told)


class Layers:
    """A look through several layers, newest first: each attribute is one kind of thing, asked by :func:`newest`."""

    __slots__ = (
        "accounts",
        "configs",
        "cursors",
        "lots",
        "objects",
        "owners",
        "quotes",
        "refs",
        "resolutions",
        "results",
        "told",
        "transfers",
    )

    def __init__(self, *layers: Layer | Committed) -> None:
        self.accounts: tuple[Lookup[AccountKey, Account], ...] = tuple(layer.accounts for layer in layers)
        self.results: tuple[Lookup[ResultKey, StoredResult], ...] = tuple(layer.results for layer in layers)
        self.refs: tuple[Lookup[RefKey, StoredRef], ...] = tuple(layer.refs for layer in layers)
        self.lots: tuple[Lookup[str, Lot], ...] = tuple(layer.lots for layer in layers)
        self.owners: tuple[Lookup[str, AccountKey], ...] = tuple(layer.owners for layer in layers)
        self.resolutions: tuple[Lookup[str, Resolution], ...] = tuple(layer.resolutions for layer in layers)
        self.objects: tuple[Lookup[str, list[tuple[int, ev.Event]]], ...] = tuple(layer.objects for layer in layers)
        self.transfers: tuple[Lookup[str, StoredTransfer], ...] = tuple(layer.transfers for layer in layers)
        self.quotes: tuple[Lookup[str, QuoteRecord], ...] = tuple(layer.quotes for layer in layers)
        self.configs: tuple[Lookup[str, AppConfig], ...] = tuple(layer.configs for layer in layers)
        self.cursors: tuple[Lookup[Place, int], ...] = tuple(layer.cursors for layer in layers)
        self.told: tuple[Lookup[CommandKey, bool], ...] = tuple(layer.told for layer in layers)

    def events(self, object_id: str) -> list[tuple[int, ev.Event]]:
        """The events of an object that any layer holds, oldest first."""
        found = [layer.get(object_id) for layer in reversed(self.objects)]
        return [item for events in found if events is not None for item in events]


def newest(layers: tuple[Lookup[K, V], ...], key: K) -> V | None:
    """The value under `key` in the newest layer that has one, or None."""
    for layer in layers:
        value = layer.get(key)
        if value is not None:
            return value
    return None
