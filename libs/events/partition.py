"""Which log partition an account belongs to: the partition map that every service and Kafka itself agree on.

The hash is the murmur2 of Kafka's Java client (`org.apache.kafka.common.utils.Utils.murmur2`), so that a producer
which sets the key of :func:`partition_key` and lets its default partitioner choose lands on the same partition.
"""

from __future__ import annotations

from functools import lru_cache

UNIT_SEPARATOR = b"\x1f"
PARTITIONS_DEFAULT = 16
PARTITIONS_MAX = 256
"""Ids carry the partition as two hexadecimal digits."""

_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The 32-bit murmur2 of `data` with Kafka's seed, as an unsigned integer."""
    length = len(data)
    h = (0x9747B28C ^ length) & _MASK
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little")
        k = (k * _M) & _MASK
        k ^= k >> 24
        k = (k * _M) & _MASK
        h = ((h * _M) & _MASK) ^ k
    tail = data[whole:]
    if tail:
        h ^= int.from_bytes(tail, "little")
        h = (h * _M) & _MASK
    h ^= h >> 13
    h = (h * _M) & _MASK
    return h ^ (h >> 15)


def partition_key(app: str, user: str) -> bytes:
    """The Kafka key of everything that concerns one user of one app: UTF-8 of `app`, 0x1F, `user`."""
    return app.encode() + UNIT_SEPARATOR + user.encode()


@lru_cache(maxsize=262_144)
def partition_of(app: str, user: str, partitions: int) -> int:
    """The partition, 0 … `partitions` - 1, of one user of one app. The number is fixed when a deployment is made."""
    return (murmur2(partition_key(app, user)) & 0x7FFFFFFF) % partitions
