"""What may be done to the books, and by which invariant `verify` notices it: the table that the tests go through.

`{p}` and `{n}` stand for the partition and the position of the event that is tampered with.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tampering:
    """Something done to the database. `at`: the position that is named, from the victim's (None: a row of a table)."""

    what: str
    statements: tuple[str, ...]
    invariant: str
    says: str
    at: int | None = 0
    kind: str = "credits_charged"


_COPY = (
    "INSERT INTO events SELECT partition, {position}, epoch, app, user_id, asset, account_version + 900, type,"
    " schema_version, event_id || 'x', transaction_id, command_id, correlation_id, causation_id, actor,"
    " idempotency_key, time, payload, hash, object, reference, member, traceparent"
    " FROM events WHERE (partition, position) = ({{p}}, {{n}})"
)
_LATER = "UPDATE events SET position = -position WHERE partition = {p} AND position > {n}"
_MOVED = "UPDATE events SET position = 1 - position WHERE partition = {p} AND position < 0"
_HERE = "WHERE (partition, position) = ({p}, {n})"
_REPLACE = "convert_to(replace(convert_from(payload, 'UTF8'), '{old}', '{new}'), 'UTF8')"
_FLIP = "set_byte({column}, length({column}) / 2, get_byte({column}, length({column}) / 2) # 1)"

CATALOGUE = (
    Tampering(
        "a byte of a payload flipped",
        (f"UPDATE events SET payload = {_FLIP.format(column='payload')} {_HERE}",),
        "I4",
        "does not follow from its row",
    ),
    Tampering(
        "a byte of a hash flipped",
        (f"UPDATE events SET hash = {_FLIP.format(column='hash')} {_HERE}",),
        "I4",
        "does not follow from its row",
    ),
    Tampering(
        "an event made anew, with a hash that fits it",
        (
            f"UPDATE events SET payload = {_REPLACE.format(old='6.00', new='1.00')} {_HERE}",
            f"UPDATE events SET hash = sha256(payload) {_HERE}",
        ),
        "I4",
        "does not follow from its row",
    ),
    Tampering(
        "two events swapped",
        (
            f"UPDATE events SET position = -1 {_HERE}",
            "UPDATE events SET position = {n} WHERE (partition, position) = ({p}, {n} + 1)",
            "UPDATE events SET position = {n} + 1 WHERE (partition, position) = ({p}, -1)",
        ),
        "I4",
        "does not follow from its row",
    ),
    Tampering(
        "an event put in, what follows moved back",
        (
            _LATER,
            _MOVED,
            _COPY.format(position="{{n}} + 1").format(p="{p}", n="{n}"),
            "UPDATE heads SET position = position + 1 WHERE partition = {p}",
        ),
        "I4",
        "does not follow from its row",
        1,
    ),
    Tampering(
        "an event put behind the last",
        (
            "INSERT INTO events SELECT partition, h.position + 1, e.epoch, app, user_id, asset, account_version + 900,"
            " type, schema_version, event_id || 'x', transaction_id, command_id, correlation_id, causation_id, actor,"
            " idempotency_key, e.time, payload, sha256(payload), object, reference, member, traceparent"
            " FROM events e JOIN heads h USING (partition) WHERE (e.partition, e.position) = ({p}, {n})",
        ),
        "I4",
        "does not follow from its row",
        None,
    ),
    Tampering("an event taken out", (f"DELETE FROM events {_HERE}",), "I3", "missing before this one", 1),
    Tampering(
        "an event taken out, what follows moved up",
        (
            f"DELETE FROM events {_HERE}",
            _LATER,
            "UPDATE events SET position = -position - 1 WHERE partition = {p} AND position < 0",
            "UPDATE heads SET position = position - 1 WHERE partition = {p}",
        ),
        "I4",
        "does not follow from its row",
    ),
    Tampering(
        "a balance changed",
        ("UPDATE accounts SET settled = settled + 100 WHERE (app, user_id, asset) = ('coins', 'ann', 'coins')",),
        "I5",
        "accounts: coins/ann/coins: settled is",
        None,
    ),
    Tampering(
        "the rest of a lot changed",
        ("UPDATE lots SET remaining = remaining + 100 WHERE user_id = 'ben' AND live",),
        "I5",
        "remaining is",
        None,
    ),
    Tampering(
        "the balance in a stored outcome changed",
        (
            "UPDATE results SET body = overlay(body PLACING '\\x39' FROM position('settled'::bytea IN body) + 10)"
            f" {_HERE}",
        ),
        "I6",
        "its body says settled",
        0,
        "transfer_debited",
    ),
    Tampering(
        "a stored outcome taken away",
        (f"DELETE FROM results {_HERE}",),
        "I6",
        "is missing",
        0,
        "transfer_debited",
    ),
    Tampering(
        "the version of a configuration changed",
        ("UPDATE configs SET version = version + 7",),
        "I5",
        "configs: coins",
        None,
    ),
    Tampering(
        "a configuration changed",
        ("UPDATE configs SET document = '{{}}' WHERE version = 2",),
        "I5",
        "configs: coins, version 2",
        None,
    ),
    Tampering(
        "the version in an event of the configuration changed",
        ("UPDATE events SET payload = " + _REPLACE.format(old='"version":1', new='"version":3') + f" {_HERE}",),
        "I4",
        "does not follow from its row",
        0,
        "config_applied",
    ),
    Tampering(
        "an erasable text exchanged",
        ('UPDATE texts SET body = \'{{"description":"For dinner"}}\'',),
        "I4",
        "is not the one that was written",
        0,
        "transfer_debited",
    ),
    Tampering(
        "an erasable text exchanged, and its salt",
        ("UPDATE texts SET body = '{{\"description\":\"For dinner\"}}', salt = '\\x00112233445566778899aabbccddeeff'",),
        "I4",
        "is not the one that was written",
        0,
        "transfer_debited",
    ),
    Tampering(
        "an epoch taken back",
        ("UPDATE heads SET epoch = 0 WHERE partition = {p}",),
        "I8",
        "the head's epoch",
        None,
    ),
)
