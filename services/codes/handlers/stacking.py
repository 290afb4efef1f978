"""What a checkout has already when another code is reserved for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from libs.events.db import Connection
from libs.service.problems import Problem
from services.codes.domain.codes import Code
from services.codes.domain.discounts import Checkout, Stacking, effect_of, stacks
from services.codes.domain.redemptions import Redemption
from services.codes.store import checkouts, redemptions


class CheckoutChanged(Problem):
    """What stands on it was computed on another price."""

    status = 409
    code = "checkout_changed"
    title = "The checkout had another price, or another user, when codes were reserved for it"
    next = "Release what stands on the checkout, then reserve again; or send what it was at first."


@dataclass(frozen=True, slots=True)
class Basket:
    """A locked checkout: with what its other codes take off, whether one more may join them, and what it had of that
    one, whatever became of it."""

    checkout: Checkout
    stacks: bool
    present: Redemption | None


async def basket_of(
    connection: Connection, app: str, user: str, checkout: Checkout, *, code: Code, rule: Stacking
) -> Basket:
    """Lock the checkout, after the code and its user. Raises :class:`CheckoutChanged`."""
    owner, known = await checkouts.lock(connection, app, user, checkout)
    standing = await checkouts.standing(connection, app, checkout.id)
    same = replace(known, method=checkout.method) == checkout
    if owner != user or (standing and not same):
        raise CheckoutChanged
    if not same:
        await checkouts.change(connection, app, checkout)
    others = [one for one in standing if one.code_id != code.id]
    taken_minor = sum(one.discount_minor for one in others)
    return Basket(
        replace(checkout, taken_minor=taken_minor),
        stacks(rule, [one.effect for one in others], effect_of(code.terms.discount)),
        await redemptions.of_checkout(connection, code.id, checkout.id),
    )
