"""What the writer knows, in layers: the batch being decided, the one being committed, and what is committed.

A look goes through the layers from the newest to the oldest, so a batch sees everything decided before it. A batch
that fails is forgotten by dropping its layer; one that commits is poured into the lowest layer, which is bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from services.ledger.domain import events as ev
from services.ledger.domain.config import AppConfig
from services.ledger.domain.records import Resolution
from services.ledger.domain.state import Account, Lot, pruned
from services.ledger.store.load import AccountKey, RefKey, ResultKey, StoredRef, StoredResult, StoredTransfer

K = TypeVar("K")
V = TypeVar("V")


class Bounded(OrderedDict[K, V], Generic[K, V]):
    """A mapping that forgets what was set the longest ago beyond `limit` entries."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._limit:
            self.popitem(last=False)


@dataclass(slots=True)
class Layer:
    """One layer. `lots` are dead ones that an account no longer carries; `objects` are events of charges and debits."""

    accounts: MutableMapping[AccountKey, Account] = field(default_factory=dict)
    results: MutableMapping[ResultKey, StoredResult] = field(default_factory=dict)
    refs: MutableMapping[RefKey, StoredRef] = field(default_factory=dict)
    lots: MutableMapping[str, Lot] = field(default_factory=dict)
    owners: MutableMapping[str, AccountKey] = field(default_factory=dict)
    resolutions: MutableMapping[str, Resolution] = field(default_factory=dict)
    objects: MutableMapping[str, list[tuple[int, ev.Event]]] = field(default_factory=dict)
    transfers: MutableMapping[str, StoredTransfer] = field(default_factory=dict)
    configs: MutableMapping[str, AppConfig] = field(default_factory=dict)

    @staticmethod
    def bounded(accounts_max: int, recent_max: int) -> Layer:
        """The lowest layer: so many accounts in memory, and so many recent entries of everything else.

        `recent_max` must exceed what two batches can hold, because a read from the database may be older than the
        batch that was committed while it was made.
        """
        return Layer(
            Bounded(accounts_max),
            Bounded(recent_max),
            Bounded(recent_max),
            Bounded(recent_max),
            Bounded(recent_max),
            Bounded(recent_max),
            Bounded(recent_max),
            Bounded(recent_max),
            {},
        )

    def pour(self, upper: Layer) -> None:
        """Take over what a committed layer knows; dead lots leave their accounts."""
        for key, account in upper.accounts.items():
            kept = pruned(account)
            if kept is not account:
                self.lots.update({lot.terms.id: lot for lot in account.lots.values() if lot.dead})
            self.accounts[key] = kept
        for name in ("results", "refs", "lots", "owners", "resolutions", "transfers", "configs"):
            target: MutableMapping[object, object] = getattr(self, name)
            for key_, value in getattr(upper, name).items():
                target[key_] = value
        for object_id, events in upper.objects.items():
            self.objects[object_id] = [*self.objects.get(object_id, []), *events]


class Layers:
    """A look through several layers, newest first."""

    __slots__ = ("_layers",)

    def __init__(self, *layers: Layer) -> None:
        self._layers = layers

    def find(self, pick: Callable[[Layer], MutableMapping[K, V]], key: K) -> V | None:
        """The newest value under `key`, or None."""
        for layer in self._layers:
            value = pick(layer).get(key)
            if value is not None:
                return value
        return None

    def events(self, object_id: str) -> list[tuple[int, ev.Event]]:
        """The events of an object that any layer holds, oldest first."""
        return [item for layer in reversed(self._layers) for item in layer.objects.get(object_id, ())]
