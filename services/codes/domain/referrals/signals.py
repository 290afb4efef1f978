"""Signals by which two accounts are told to be one person's; kept as digests under the pepper only.

Hard ones (`phone`, `card`, `email`, and `payer`, which payments tell) name a person, soft ones (`network`, `device`,
`name`) hint at one. All are made alike before they are digested, so that another way of writing the same finds the
same.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

Hard = Literal["phone", "card", "email", "payer"]
Soft = Literal["network", "device", "name"]
SignalKind = Literal["phone", "card", "email", "payer", "network", "device", "name"]
HARD: tuple[Hard, ...] = get_args(Hard)
SOFT: tuple[Soft, ...] = get_args(Soft)

Digests = Mapping[SignalKind, bytes]
"""At most one digest of each kind: what is known of one person."""

_SEPARATOR = b"\x1f"
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_DOTLESS = frozenset({"gmail.com", "googlemail.com"})
# Letters that Persian and Arabic keyboards write differently for the same name.
_LETTERS = str.maketrans({"ي": "ی", "ى": "ی", "ك": "ک", "ة": "ه", "أ": "ا", "إ": "ا", "ـ": ""})
_PREFIX_V4, _PREFIX_V6 = 24, 48


class InvalidSignal(ValueError):
    """A signal that cannot be what it is said to be; `kind` says which."""

    def __init__(self, kind: SignalKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail


def _plain(text: str) -> str:
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).strip()


def normal_email(text: str) -> str:
    """The mailbox behind an address: small letters, without what follows a `+` in front of the `@`.

    Gmail's addresses also lose their dots, which it ignores (https://support.google.com/mail/answer/7436150).
    """
    local, at, host = _plain(text).casefold().rpartition("@")
    host = host.rstrip(".")
    local = local.partition("+")[0]
    if host in _DOTLESS:
        local, host = local.replace(".", ""), "gmail.com"
    if not at or not local or "." not in host or any(letter.isspace() for letter in local + host):
        raise InvalidSignal("email", "An e-mail address is name@host.")
    return f"{local}@{host}"


def normal_phone(text: str) -> str:
    """The digits of an international number (E.164): +98 912 … and 0098912… are one."""
    plain = _plain(text)
    international = plain.startswith("+")
    digits = "".join(str(unicodedata.decimal(one)) for one in plain if one.isdecimal())
    if not international and digits.startswith("00"):
        international, digits = True, digits[2:]
    if not international or not 7 <= len(digits) <= 15 or re.search(r"[^\d\s().+/-]", plain):
        raise InvalidSignal("phone", "A phone number is international: + and 7 to 15 digits.")
    return digits


def normal_network(text: str) -> str:
    """The network that an address lies in: /24 of IPv4, /48 of IPv6; an IPv4 address in IPv6's clothes is IPv4."""
    try:
        address = ipaddress.ip_address(_plain(text).partition("%")[0])
    except ValueError:
        raise InvalidSignal("network", "A client's address is an IPv4 or IPv6 address.") from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    prefix = _PREFIX_V4 if address.version == 4 else _PREFIX_V6
    return str(ipaddress.ip_network((address, prefix), strict=False))


def normal_name(text: str) -> str:
    """A name without regard to case, marks, spacing and the keyboard it was typed on."""
    letters = unicodedata.normalize("NFKD", _plain(text).translate(_LETTERS).casefold())
    name = " ".join("".join(one for one in letters if not unicodedata.combining(one)).split())
    if not name:
        raise InvalidSignal("name", "A name has letters.")
    return name


def _opaque(kind: SignalKind, text: str) -> str:
    plain = _plain(text)
    if not plain:
        raise InvalidSignal(kind, "It must not be empty.")
    return plain


def normal(kind: SignalKind, text: str) -> str:
    """`text` as it is digested. A card's, a payer's and a device's are opaque: fingerprints that somebody else made."""
    match kind:
        case "email":
            return normal_email(text)
        case "phone":
            return normal_phone(text)
        case "network":
            return normal_network(text)
        case "name":
            return normal_name(text)
        case "card" | "payer" | "device":
            return _opaque(kind, text)


def digests_of(pepper: bytes, app: str, signals: Mapping[SignalKind, str]) -> dict[SignalKind, bytes]:
    """HMAC-SHA256 of each signal under the pepper; those of another app or kind differ. Raises InvalidSignal."""
    return {
        kind: hmac.digest(
            pepper,
            _SEPARATOR.join((b"signal", app.encode(), kind.encode(), normal(kind, text).encode())),
            hashlib.sha256,
        )
        for kind, text in signals.items()
    }


def shared(kinds: Iterable[SignalKind], mine: Digests, theirs: Iterable[tuple[SignalKind, bytes]]) -> list[SignalKind]:
    """Which of `kinds` of mine are among theirs, in the order given."""
    known = set(theirs)
    return [kind for kind in kinds if kind in mine and (kind, mine[kind]) in known]
