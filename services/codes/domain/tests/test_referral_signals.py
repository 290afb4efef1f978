"""Another way of writing the same person finds the same person, and only them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.codes.domain.referrals.signals import InvalidSignal, SignalKind, digests_of, normal, shared

PEPPER = b"p" * 32


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("email", "Ada@Example.org", "ada+promo@example.org"),
        ("email", "ada+a+b@example.org.", " ADA@EXAMPLE.ORG "),
        ("email", "a.d.a+x@gmail.com", "ada@googlemail.com"),
        ("email", "\u200bada@example.org", "ada@example.org"),
        ("phone", "+98 (912) 345-67-89", "00989123456789"),
        ("phone", "+۹۸۹۱۲۳۴۵۶۷۸۹", "+989123456789"),
        ("phone", "+٩٨٩١٢٣٤٥٦٧٨٩", "+98 912 345 6789"),
        ("network", "192.0.2.7", "192.0.2.200"),
        ("network", "::ffff:192.0.2.7", "192.0.2.1"),
        ("network", "2001:db8:1:2::1", "2001:db8:1:ffff::9"),
        ("network", "fe80::1%eth0", "fe80::2"),
        ("name", "علي  كريم", "علی کریم"),
        ("name", "José  Álvarez", "jose alvarez"),
        ("device", " d-1 ", "d-1"),
    ],
)
def test_the_same(kind: SignalKind, one: str, other: str) -> None:
    assert normal(kind, one) == normal(kind, other)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("email", "a.da@example.org", "ada@example.org"),
        ("email", "ada@example.org", "ada@example.com"),
        ("phone", "+989123456789", "+989123456780"),
        ("network", "192.0.2.7", "192.0.3.7"),
        ("network", "2001:db8:1::1", "2001:db8:2::1"),
        ("device", "D-1", "d-1"),
        ("card", "Ab", "ab"),
    ],
)
def test_not_the_same(kind: SignalKind, one: str, other: str) -> None:
    assert normal(kind, one) != normal(kind, other)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("email", "ada"),
        ("email", "+x@example.org"),
        ("email", "@example.org"),
        ("email", "a da@example.org"),
        ("email", "ada@host"),
        ("phone", "09123456789"),
        ("phone", "+12"),
        ("phone", "+1234567890123456"),
        ("phone", "+98 ext 912345678"),
        ("network", "192.0.2"),
        ("network", "host.example"),
        ("name", " \u200c "),
        ("device", ""),
        ("card", " "),
    ],
)
def test_what_cannot_be_one_is_named(kind: SignalKind, text: str) -> None:
    with pytest.raises(InvalidSignal) as caught:
        normal(kind, text)
    assert caught.value.kind == kind


def test_digests_differ_by_app_kind_and_pepper_and_tell_nothing() -> None:
    both: dict[SignalKind, str] = {"device": "same", "card": "same"}
    digests = digests_of(PEPPER, "vpn", both)
    assert digests["device"] != digests["card"]
    assert digests["device"] != digests_of(PEPPER, "coins", both)["device"]
    assert digests["device"] != digests_of(b"q" * 32, "vpn", both)["device"]
    assert all(len(one) == 32 and b"same" not in one for one in digests.values())


def test_shared_is_by_kind() -> None:
    mine = digests_of(PEPPER, "vpn", {"device": "d", "name": "Ada", "network": "192.0.2.1"})
    theirs = list(digests_of(PEPPER, "vpn", {"device": "d", "network": "192.0.2.9"}).items())
    assert shared(("network", "device", "name"), mine, theirs) == ["network", "device"]
    assert shared(("device",), mine, [("card", mine["device"])]) == []


@given(st.sampled_from(["email", "phone", "card", "network", "device", "name"]), st.text(max_size=60))
def test_whatever_is_sent_is_normal_or_named(kind: SignalKind, text: str) -> None:
    try:
        once = normal(kind, text)
    except InvalidSignal as error:
        assert error.kind == kind
    else:
        assert once
        if kind in ("email", "name"):
            assert normal(kind, once) == once
