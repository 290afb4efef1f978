"""The hash chain, computed again from its definition alone."""

from __future__ import annotations

import hashlib

from services.ledger.domain.chain import GENESIS, chain_hash

FIELDS = [b"3", b"1", b"", b"coins", b"ann/coins", "ö".encode() * 200]
PAYLOAD = b'{"amount":"1"}'


def _by_definition(previous: bytes, fields: list[bytes], payload: bytes) -> bytes:
    whole = previous
    for part in [*fields, hashlib.sha256(payload).digest()]:
        whole += len(part).to_bytes(4, "big") + part
    return hashlib.sha256(whole).digest()


def test_a_hash_is_made_of_the_one_before_each_field_and_the_payload() -> None:
    """I4: anybody can compute the chain anew, in any release."""
    first = chain_hash(GENESIS, FIELDS, PAYLOAD)
    assert first == _by_definition(bytes(32), FIELDS, PAYLOAD)
    assert chain_hash(first, FIELDS, PAYLOAD) == _by_definition(first, FIELDS, PAYLOAD) != first


def test_nothing_moves_from_one_field_to_the_next_unseen() -> None:
    assert chain_hash(GENESIS, [b"ab", b"c"], PAYLOAD) != chain_hash(GENESIS, [b"a", b"bc"], PAYLOAD)
    assert chain_hash(GENESIS, [b"ab"], PAYLOAD) != chain_hash(GENESIS, [b"ab", b""], PAYLOAD)
