"""The hash chain of a partition: each event's hash covers the one before it, so nothing can be changed unseen."""

from __future__ import annotations

import hashlib
from struct import Struct

GENESIS = bytes(32)
_LENGTH = Struct(">I").pack
_SHORT = [_LENGTH(length) for length in range(256)]


def chain_hash(previous: bytes, fields: list[bytes], payload: bytes) -> bytes:
    """SHA-256 of the previous hash, then each field and the payload's SHA-256, each behind its length (4 bytes).

    `fields` are partition, position, epoch, app, account, type, schema version, event, transaction, command,
    correlation and causation ids, actor, idempotency key, time; numbers as decimal text, time in microseconds.
    """
    parts = [previous]
    for item in fields:
        length = len(item)
        parts += (_SHORT[length] if length < 256 else _LENGTH(length), item)
    parts += (_SHORT[32], hashlib.sha256(payload).digest())
    return hashlib.sha256(b"".join(parts)).digest()
