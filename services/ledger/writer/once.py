"""What is decided once: keys, unique references and places in Kafka, as found and as kept."""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from services.ledger.domain.rejections import Rejected, conflict
from services.ledger.requests import Answer, Cursor, Request
from services.ledger.store.append import Rows
from services.ledger.store.load import StoredRef, StoredResult
from services.ledger.writer.finding import Finder
from services.ledger.writer.kept import result_row, unique_ref_row
from services.ledger.writer.layer import Layer, Layers, newest
from services.ledger.writer.telling import Told, known_outcome, repetition

REPEATABLE = frozenset({402, 404, 409})
"""Refusals that are outcomes: stored under the key and repeated."""
NOT_NOW = 503
"""The status of what could not be decided: nothing is kept of it, and its sender's cursor stays."""


class Repeat(NamedTuple):
    """The first answer to what was done before."""

    answer: Answer
    told: Told | None
    """What its sender is told, who waits for a command's id that the log does not know yet."""
    by_ref: bool
    """Whether it was found by its `unique_ref`: then nothing is kept under its key so far."""


class Once:
    """Finds what a request repeats, and keeps the outcome of one that repeats nothing.

    `keys_unread`: outcomes are kept under keys that were not looked up, so that the append may find a repeat.
    """

    def __init__(self, layers: Layers, layer: Layer, rows: Rows, find: Finder) -> None:
        self.keys_unread = False
        self._layers = layers
        self._layer = layer
        self._rows = rows
        self._find = find
        self._all_keys = True

    def proceed(self, find: Finder, *, all_keys: bool) -> None:
        """How the requests that come next are looked up; without `all_keys`, only the keys that ask for it were."""
        self._find = find
        self._all_keys = all_keys

    def passed(self, cursor: Cursor, owned: Container[int]) -> bool:
        """Whether this record has been decided; 503 if one before it has not: then it must wait for that one."""
        if cursor.partition not in owned:
            raise Rejected(NOT_NOW, "not_leader", "Another process writes this partition.")
        if cursor.anew:
            # What was reached is of the log before; this one's cursor begins here.
            return False
        reached = newest(self._layers.cursors, cursor.place)
        if reached is not None and cursor.offset < reached:
            return True
        if cursor.after is not None and (reached is None or reached < cursor.after):
            raise Rejected(NOT_NOW, "service_unavailable", "A command before this one has not been decided.")
        return False

    def repeated(self, request: Request) -> Repeat | None:
        """What was answered before under the request's key or `unique_ref`; 422 or 409 if that was another request."""
        if request.key:
            result = self._outcome(request)
            if result is not None:
                if result.fingerprint != request.fingerprint:
                    detail = "This idempotency key was used with another request."
                    raise Rejected(422, "idempotency_key_reused", detail)
                told = None if result.command == request.command_id else known_outcome(request, result)
                return Repeat(Answer(result.status, result.body, replayed=True), told, by_ref=False)
        if request.unique_ref is None:
            return None
        ref = self._find.ref((request.app, request.user, request.unique_type, request.unique_ref))
        if ref is None:
            return None
        if ref.fingerprint != request.unique_fingerprint:
            raise conflict("unique_ref_taken", "This unique_ref belongs to another request.", {"first": ref.object})
        answer = Answer(ref.status, ref.body, replayed=True)
        return Repeat(answer, repetition(request, ref.object), by_ref=True)

    def key_is_known(self, request: Request) -> bool:
        """Whether it has been looked up what is stored under the request's key; nothing needs to be without one."""
        if not request.key or self._all_keys or request.read_key:
            return True
        return self._outcome(request) is not None

    def _outcome(self, request: Request) -> StoredResult | None:
        return self._find.result((request.app, request.user, request.key, request.caller))

    def keep(self, request: Request, answer: Answer, partition: int, position: int) -> None:
        """Keep the outcome under the idempotency key, in the transaction of its effect."""
        if request.key:
            self.keys_unread = self.keys_unread or not self.key_is_known(request)
            key = (request.app, request.user, request.key, request.caller)
            self._layer.results[key] = StoredResult(request.fingerprint, answer.status, answer.body, request.command_id)
            self._rows.results.append(result_row(request, answer, partition, position))

    def claim(self, request: Request, made: str, answer: Answer) -> None:
        """A success claims its unique_ref, for ever."""
        if request.unique_ref is None:
            return
        key = (request.app, request.user, request.unique_type, request.unique_ref)
        self._layer.refs[key] = StoredRef(request.unique_fingerprint, made, answer.status, answer.body)
        self._rows.add("unique_refs", unique_ref_row(request, made, answer))
