"""Whatever is told of an order, in every order and twice, ends alike."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import get_args

import pytest

from services.codes.domain.settling import Status, claim_of_payment, counted, settled

STATUSES: tuple[Status, ...] = get_args(Status)
TOLD: dict[frozenset[Status], Status] = {
    frozenset(): "reserved",
    frozenset({"expired"}): "expired",
    frozenset({"released"}): "released",
    frozenset({"expired", "released"}): "released",
    frozenset({"confirmed"}): "confirmed",
    frozenset({"expired", "confirmed"}): "confirmed",
    frozenset({"released", "confirmed"}): "confirmed",
    frozenset({"expired", "released", "confirmed"}): "confirmed",
}
"""What was told → how it ends, as long as the whole was not paid back."""


@pytest.mark.parametrize("claims", [set(some) for n in range(5) for some in combinations(STATUSES[1:], n)])
def test_all_orders_of_what_is_told_twice_end_alike(claims: set[Status]) -> None:
    expected: Status = "rolled_back" if "rolled_back" in claims else TOLD[frozenset(claims)]
    for order in permutations([*claims, *claims]):
        status: Status = "reserved"
        for claim in order:
            status = settled(status, claim)
        assert status == expected, order


def test_a_payment_confirms_what_stood_when_it_began() -> None:
    assert claim_of_payment(99, 100) == "confirmed"
    assert claim_of_payment(100, 100) == "expired"


def test_what_counts() -> None:
    assert {status: counted(status) for status in STATUSES} == {
        "reserved": "reserved",
        "expired": None,
        "released": None,
        "confirmed": "redeemed",
        "rolled_back": None,
    }
