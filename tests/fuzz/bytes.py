"""Bytes that nobody meant: made at random, by changing good ones, and by knowing what hurts."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

NUMBERS = (0, -1, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, -(10**30), 1e308, 5e-324)
WORDS = (
    "",
    " ",
    "\x00",
    "\ud800",
    "\u202e",
    "é",
    "𝕏",
    "a" * 10_000,
    "%s%n",
    "'; DROP TABLE events; --",
    "${7*7}",
    "../..",
)
SHARP = (
    b"",
    b"\x00",
    b"\xff\xfe\xfd",
    b"\xed\xa0\x80",
    b"\xc0\xaf",
    b"{",
    b"[" * 100_000,
    b'{"a":' * 30_000 + b"1" + b"}" * 30_000,
    b'{"user":"ann","user":"eve","amount":"1"}',
    b'{"user":"ann","amount":1e400}',
    b'{"user":"ann","amount":NaN}',
    b'{"user":"ann","amount":"' + b"9" * 60_000 + b'"}',
    b'{"user":"ann","amount":' + b"9" * 60_000 + b"}",
    b'{"user":"ann\\u0000","amount":"1"}',
    b'{"user":"\\ud83d","amount":"1"}',
    b'{"user":"ann","amount":"1","metadata":{"a":{"b":{}}}}',
    b"null",
    b"true",
    b"[]",
    b'""',
    b"1" * 5_000,
    b"\xef\xbb\xbf{}",
    '{"user":"ann","amount":"1"}'.encode("utf-16"),
    b'{"user":"ann","amount":"1"}\x00',
    b'{"user":"ann","amount":"1"}{"user":"ann","amount":"1"}',
)
"""What parsers have stumbled over before."""


def mutated(content: bytes, chance: random.Random) -> bytes:
    """`content` with a few things done to its bytes."""
    made = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(made) + 1)
        match chance.randrange(6):
            case 0 if made:
                made[at % len(made)] ^= 1 << chance.randrange(8)
            case 1:
                made[at:at] = chance.randbytes(chance.randint(1, 8))
            case 2:
                del made[at : at + chance.randint(1, 20)]
            case 3:
                made[at:at] = made[: chance.randint(0, 200)]
            case 4 if made:
                made[at % len(made)] = chance.choice(b'"{}[],:\\\x00\xff0-')
            case _:
                made = made[:at]
    return bytes(made)


def odd_value(chance: random.Random, depth: int = 3) -> object:
    """A JSON value such as no caller sends."""
    simple = (
        chance.choice(NUMBERS),
        chance.choice(WORDS),
        chance.choice([None, True, False]),
        "".join(chr(chance.randrange(0x2000)) for _ in range(chance.randrange(50))),
        str(chance.randrange(-5, 10**12)),
    )
    if depth and chance.random() < 0.2:
        return [odd_value(chance, depth - 1) for _ in range(chance.randrange(4))]
    if depth and chance.random() < 0.2:
        return {chance.choice(WORDS): odd_value(chance, depth - 1) for _ in range(chance.randrange(4))}
    return chance.choice(simple)


def odd_object(good: dict[str, object], chance: random.Random) -> bytes:
    """The JSON of an object some of whose members are exchanged, added or gone."""
    made = dict(good)
    for name in chance.sample(sorted(made), k=min(len(made), chance.randint(0, 2))):
        if chance.random() < 0.3:
            del made[name]
        else:
            made[name] = odd_value(chance)
    if chance.random() < 0.3:
        made[chance.choice(("extra", "asset", "metadata", "reference", *WORDS))] = odd_value(chance)
    return json.dumps(made).encode(errors="surrogatepass")


def anything(good: Sequence[bytes], chance: random.Random) -> bytes:
    """Bytes of one of these kinds."""
    match chance.randrange(4):
        case 0:
            return chance.randbytes(chance.randrange(400))
        case 1:
            return chance.choice(SHARP)
        case _:
            return mutated(chance.choice(good), chance)
