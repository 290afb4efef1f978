"""The texts of codes: what people type, how it is compared and stored, and how new ones are made.

A made text is written in an alphabet of 31 characters without look-alikes and ends with a check character. 31 is a
prime, so a weighted sum modulo 31 finds every single wrong character and every swap of two neighbours.
"""

from __future__ import annotations

import hmac
import unicodedata
from dataclasses import dataclass
from typing import Self

ALPHABET = "ABCDEFGHKLMNPQRSTUVWXYZ23456789"
"""No I, J, O, 0 or 1: none of them can be taken for another when it is read from paper or aloud."""
PLACE = "#"
"""Stands in a pattern for a character that is made; the last one is the check character."""
SEPARATOR = "-"
GROUP = 4
"""Characters between two separators, where a pattern doesn't say."""
RANDOM_DEFAULT = 12
RANDOM_MIN = 8
"""31^8 texts are 8.5 · 10^11: among a million codes one guess in 850,000 would hit, and lockout comes after five."""
RANDOM_MAX = 32
"""32 characters of 31 are 159 bits; taken from 256 random bits, no text is likelier than another by 2^-97."""
TEMPLATE_MAX = 64
"""Also what a Telegram deep link may carry (https://core.telegram.org/bots/features#deep-linking)."""
CHOSEN_MIN = 3
CHOSEN_MAX = 64

_BASE = len(ALPHABET)
_VALUES = {character: value for value, character in enumerate(ALPHABET)}
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Mn", "Pd", "Zl", "Zp", "Zs"})
"""Controls, invisible marks (ZWNJ, direction marks), accents and vowel signs, dashes, spaces."""
_STROKES = frozenset("_\u2212\u0640")
"""More that people take for a dash: the low line, the minus sign, and the Arabic line that stretches a word."""
_LETTERS = str.maketrans("\u064a\u0649\u0643", "\u06cc\u06cc\u06a9")
"""Arabic yeh and kaf, which many keyboards type where Persian has letters of its own that look the same."""


class TextError(ValueError):
    """A text or a pattern that cannot be; `code` names the fault, the message says what to do."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


def normalise(text: str) -> str:
    """`text` as codes are compared: NFKC, digits of every script in ASCII, upper case, without dashes, spaces and
    invisible marks. Normalising twice changes nothing.
    """
    # Decomposed first, so that an accent is a mark of its own that can be dropped.
    upper = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).upper())
    kept = (
        character
        for character in upper.translate(_LETTERS)
        if character not in _STROKES and unicodedata.category(character) not in _DROPPED
    )
    return unicodedata.normalize("NFKC", "".join(map(_digit, kept)))


def _digit(character: str) -> str:
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)


def check_character(body: str) -> str:
    """The character that makes `body` + it well-formed; `body` is of the alphabet, without separators."""
    return ALPHABET[-_weighted(body) % _BASE]


def is_well_formed(text: str) -> bool:
    """Whether `text` (normalised here) could be one that was made: of the alphabet, with its check character.

    It says nothing of chosen texts, which have none.
    """
    plain = normalise(text)
    if len(plain) <= RANDOM_MIN or not all(character in _VALUES for character in plain):
        return False
    return (_weighted(plain[:-1]) + _VALUES[plain[-1]]) % _BASE == 0


def _weighted(body: str) -> int:
    """The sum of the values, each with its weight: 2, 3 … 30, 1, 2 … from the right (the check character's is 1).

    No weight is 0 modulo 31, so one changed character changes the sum; two neighbours' weights differ modulo 31, so
    swapping two different characters does as well.
    """
    return sum((place % (_BASE - 1) + 1) * _VALUES[c] for place, c in enumerate(reversed(body), start=1))


def digest(pepper: bytes, app: str, text: str) -> bytes:
    """What a code is found by: HMAC-SHA256 under the pepper of its app and its normalised text (32 bytes)."""
    return hmac.digest(pepper, f"{app}\x1f{normalise(text)}".encode(), "sha256")


def chosen(text: str) -> str:
    """The text of a public code as it is kept, normalised; :class:`TextError` when it cannot be one."""
    plain = normalise(text)
    if not plain.isalnum():
        raise TextError("invalid_code", "A code is made of letters and digits; dashes and spaces don't count.")
    if not CHOSEN_MIN <= len(plain) <= CHOSEN_MAX:
        raise TextError("invalid_code", f"A code has {CHOSEN_MIN} to {CHOSEN_MAX} letters and digits.")
    return plain


@dataclass(frozen=True, slots=True)
class Pattern:
    """How made texts look: `template` has a `#` for each made character, and characters that stand in every text."""

    template: str

    @classmethod
    def parse(cls, template: str) -> Self:
        """The pattern that `template` writes, for example `NEW-####-####-#####`; :class:`TextError` otherwise."""
        if len(template) > TEMPLATE_MAX:
            raise TextError("pattern_too_long", f"A pattern has at most {TEMPLATE_MAX} characters.")
        strange = sorted(set(template) - _VALUES.keys() - {PLACE, SEPARATOR})
        if strange:
            raise TextError(
                "look_alike",
                f"{' '.join(strange)}: besides {PLACE} and {SEPARATOR}, a pattern has only the characters {ALPHABET}, "
                "none of which can be taken for another.",
            )
        if not template.endswith(PLACE):
            raise TextError("pattern_without_check", f"A pattern ends with {PLACE}, the check character.")
        if not RANDOM_MIN <= template.count(PLACE) - 1 <= RANDOM_MAX:
            raise TextError(
                "pattern_length",
                f"A pattern has {RANDOM_MIN + 1} to {RANDOM_MAX + 1} places {PLACE}, the check character's included.",
            )
        return cls(template)

    @classmethod
    def of(cls, prefix: str = "", length: int = RANDOM_DEFAULT) -> Self:
        """The pattern of `prefix`, `length` random characters and the check character, in groups of four."""
        places = PLACE * (length + 1)
        groups = [places[at : at + GROUP] for at in range(0, len(places), GROUP)]
        if len(groups) > 1 and len(groups[-1]) == 1:
            # A group of one is easily overlooked.
            groups[-2:] = [groups[-2] + groups[-1]]
        return cls.parse(SEPARATOR.join([*filter(None, [prefix.upper().strip(SEPARATOR)]), *groups]))

    def text_of(self, random_bytes: bytes) -> str:
        """The text that 32 random bytes make, with its separators; the same bytes make the same text."""
        number = int.from_bytes(random_bytes, "big")
        shown: list[str] = []
        for character in self.template[:-1]:
            if character == PLACE:
                number, value = divmod(number, _BASE)
                shown.append(ALPHABET[value])
            else:
                shown.append(character)
        text = "".join(shown)
        return text + check_character(text.replace(SEPARATOR, ""))


def random_of(secret: bytes, index: int) -> bytes:
    """The 32 bytes of text number `index` under a secret: HMAC-SHA256 as a generator with a counter.

    Whoever has the secret can make every text again, and nobody can once it is destroyed.
    """
    return hmac.digest(secret, index.to_bytes(8, "big"), "sha256")


def secret_of(pepper: bytes, seed: bytes) -> bytes:
    """The secret that texts are made from: of the pepper and a seed, so that neither is enough without the other."""
    return hmac.digest(pepper, b"tallystick.codes.texts\x1f" + seed, "sha256")
