"""Guessing: how many codes that don't exist somebody may try, and how long they are then refused.

What is known of a guesser (a user, or an address) is a :class:`Record`. Misses count in a sliding window; too many lock
the guesser, each further time for twice as long. Nothing but time takes anything back: a redemption that succeeds in
between does not, or whoever holds one good code could wash away the count after every few guesses.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from ipaddress import ip_address

IPV6_BYTES = 8
"""A /64, which is what one customer of a provider has at least."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What one guesser may do: `misses` within `window_us`, before a lock of `lock_us`.

    The lock doubles each time, up to `lock_us_max`. The doubling is forgotten after `quiet_us` without a miss or lock.
    """

    misses: int
    window_us: int
    lock_us: int
    lock_us_max: int
    quiet_us: int


@dataclass(frozen=True, slots=True)
class Record:
    """A guesser: times of the recent misses since the last lock, locks so far, and the end of the last one."""

    misses: tuple[int, ...] = ()
    locks: int = 0
    locked_until: int = 0


NOBODY = Record()
"""Somebody of whom nothing is known."""


def locked_us(record: Record, now_us: int) -> int:
    """How long the guesser is still refused, 0 when it is not."""
    return max(0, record.locked_until - now_us)


def after_miss(record: Record, limit: Limit, now_us: int) -> Record:
    """The guesser after one more miss, which may have locked it. A miss while locked changes nothing."""
    if locked_us(record, now_us):
        return record
    locks = 0 if is_forgotten(record, limit, now_us) else record.locks
    misses = (*(time for time in record.misses if time > now_us - limit.window_us), now_us)
    if len(misses) < limit.misses:
        return Record(misses, locks, record.locked_until)
    lock_us = min(limit.lock_us_max, limit.lock_us << min(locks, 32))
    return Record((), locks + 1, now_us + lock_us)


def is_forgotten(record: Record, limit: Limit, now_us: int) -> bool:
    """Whether the guesser has been quiet for so long that nothing of it need be known."""
    return max(record.locked_until, *record.misses, 0) + limit.quiet_us <= now_us


def network_of(client_ip: str) -> bytes:
    """What of an address is one guesser: all of IPv4, the first 64 bits of IPv6; ValueError when it is no address.

    An IPv4 address written as IPv6 (RFC 4291, 2.5.5.2) is the IPv4 address; a zone (`%eth0`) is left out.
    """
    address = ip_address(client_ip.partition("%")[0])
    if address.version == 4:
        return address.packed
    mapped = address.ipv4_mapped
    return address.packed[:IPV6_BYTES] if mapped is None else mapped.packed


def address_of(pepper: bytes, app: str, client_ip: str) -> str:
    """The name under which an address is kept: nobody who reads the table learns the address without the pepper."""
    return hmac.digest(pepper, b"address\x1f" + app.encode() + b"\x1f" + network_of(client_ip), "sha256").hex()
