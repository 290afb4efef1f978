"""Who may enter codes, and what they are told when one does not work.

A user's tries are looked up one after another, so that many at once are no more guesses than as many in a row. A code
that does not exist, one that has not the shape of one, and one that exists but is hidden from who enters it go through
the same statements and get the same answer. Everything happens in the transaction of the request: what is told has
been counted, and a repeat under the same key is told the same without being counted again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from libs.events.db import Connection
from libs.service.clock import SECOND_US
from services.codes import metrics
from services.codes.core import Core
from services.codes.domain.codes import Code, Refusal, Terms, Use, all_refusals
from services.codes.domain.discounts import Checkout, discount_of, effect_of, stacks
from services.codes.domain.lockout import Limit, Record, address_of, after_miss, locked_us
from services.codes.domain.redemptions import Redemption
from services.codes.domain.specs import GuesserSpec
from services.codes.domain.texts import ALPHABET, RANDOM_DEFAULT, is_well_formed, normalise
from services.codes.handlers.reserving import Order, Refused, counts_for, credits_of, not_together, reserve
from services.codes.store import guessing, refusals, sight
from services.codes.store.guessing import Guesser
from services.codes.store.refusals import RefusalRow

DAY_US = 86_400 * SECOND_US
NOT_FOUND = Refusal("code_not_found")


@dataclass(frozen=True, slots=True)
class Found:
    """What a text that was entered leads to: the code, if there is one, and every reason why it does not work.

    `checkout` is the one that it was entered for, with what its other codes take off.
    """

    code: Code | None
    reasons: list[Refusal]
    checkout: Checkout | None = None


class Told(Exception):
    """What the caller is told instead of being served; it is counted and kept already."""

    def __init__(self, refusal: Refusal, code: Code | None = None) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal
        self.code = code


async def redeem(core: Core, connection: Connection, order: Order) -> Redemption:
    """A reservation of the code that was entered, or :class:`Told` why there is none."""
    # Nobody guesses what an entitlement is called: it is the user's own.
    found = Found(None, []) if order.entitlement is not None else await look_up(core, connection, order)
    code, reasons = found.code, found.reasons
    if not reasons or (code is not None and _is_shown(code, order)):
        try:
            async with connection.transaction():
                return await reserve(core, connection, order)
        except Refused as refused:
            code, reasons = refused.code or code, [refused.refusal]
    shown = await tell(core, connection, order, code, reasons)
    await _keep(core, connection, order, code, reason=reasons[0], answered=shown[0])
    raise Told(shown[0], code)


async def admit(core: Core, connection: Connection, order: Order) -> None:
    """Let somebody enter a code, one at a time for a user; :class:`Told` when they are locked out."""
    if order.staff:
        return
    await guessing.one_at_a_time(connection, order.app, order.user)
    records = await guessing.known(connection, order.app, _guessers(core, order))
    _refuse_locked(core, list(records.values()))


async def missed(core: Core, connection: Connection, order: Order) -> NoReturn:
    """There is no such code: count it, keep it, and raise :class:`Told`."""
    shown = await tell(core, connection, order, None, [NOT_FOUND])
    await _keep(core, connection, order, None, reason=NOT_FOUND, answered=shown[0])
    raise Told(shown[0])


async def look_up(core: Core, connection: Connection, order: Order) -> Found:
    """The code that is meant, and what speaks against its use now. :class:`Told` when somebody is locked out."""
    await admit(core, connection, order)
    digest = core.digest(order.app, order.text)
    checkout_id = None if order.checkout is None else order.checkout.id
    seen = await sight.of_entry(connection, order.app, digest, order.user, checkout_id)
    # A user's own code, by which others come, promises nothing to who enters it.
    if seen is None or seen.code.terms == Terms():
        return Found(None, [NOT_FOUND])
    checkout = order.checkout
    if checkout is not None:
        checkout = replace(checkout, taken_minor=seen.taken_minor)
    if seen.taken:
        return Found(seen.code, [], checkout)
    if not_together(seen.code, order) is not None and not _is_shown(seen.code, order):
        # What does not go with the code would tell that there is one, and of which kind.
        return Found(seen.code, [NOT_FOUND])
    rule = core.configs.get(order.app).document.codes.stacking
    counts = replace(
        counts_for(seen.campaign, seen.by_user, credits_of(seen.code, order), _takes_off_minor(seen.code, checkout)),
        stacks=stacks(rule, seen.effects, effect_of(seen.code.terms.discount)),
    )
    use = Use(order.user, checkout, seen.opened_at, seen.first_paid_at)
    return Found(seen.code, all_refusals(seen.code, use, counts, await core.now_us(order.app)), checkout)


def _takes_off_minor(code: Code, checkout: Checkout | None) -> int:
    if code.terms.discount is None or checkout is None:
        return 0
    return discount_of(code.terms.discount, checkout)


async def tell(
    core: Core, connection: Connection, order: Order, code: Code | None, reasons: Sequence[Refusal]
) -> list[Refusal]:
    """What the caller is told of these reasons, the first of which wins. Counts a miss."""
    shown = list(reasons) if code is None or _is_shown(code, order) else [NOT_FOUND]
    if shown[0].code == NOT_FOUND.code and not order.staff and not _is_typing_error(order.text):
        await _count(core, connection, order)
    metrics.REFUSALS.labels(shown[0].code).inc()
    return shown


async def _keep(
    core: Core, connection: Connection, order: Order, code: Code | None, *, reason: Refusal, answered: Refusal
) -> None:
    """Keep why a code was refused, also one that does not exist: with the same statement as one that is hidden."""
    now_us = await core.now_us(order.app)
    row = RefusalRow(
        order.app,
        order.user,
        reason.code,
        answered.code,
        now_us,
        None if code is None else code.id,
        None if order.checkout is None else order.checkout.id,
    )
    kept_us = core.configs.get(order.app).document.codes.refusal_days * DAY_US
    await refusals.insert(connection, row, core.clock.now_us() + kept_us)


def _is_shown(code: Code, order: Order) -> bool:
    """Whether the caller may know that the code exists: it is public, or theirs, or they look after codes."""
    known = order.staff or order.entitlement is not None
    return known or code.text is not None or code.audience.holder == order.user


def _is_typing_error(text: str) -> bool:
    """Whether a text looks made, but for its check character: no guess, since a guesser would know how to make one."""
    plain = normalise(text)
    return len(plain) > RANDOM_DEFAULT and set(plain) <= set(ALPHABET) and not is_well_formed(plain)


def _guessers(core: Core, order: Order) -> list[Guesser]:
    user: Guesser = ("user", order.user)
    if order.client_ip is None:
        return [user]
    return [user, ("address", address_of(core.pepper, order.app, order.client_ip))]


async def _count(core: Core, connection: Connection, order: Order) -> None:
    """Count a miss for all that guess, which may lock them; :class:`Told` where somebody else's just has."""
    spec = core.configs.get(order.app).document.codes.guessing
    now_us = core.clock.now_us()
    records = await guessing.locked(connection, order.app, _guessers(core, order))
    _refuse_locked(core, list(records.values()))
    after: dict[Guesser, tuple[Record, int]] = {}
    for (by, who), record in records.items():
        limit = _limit(spec.user if by == "user" else spec.address)
        missed = after_miss(record, limit, now_us)
        after[by, who] = (missed, max(now_us, missed.locked_until) + limit.quiet_us)
        if missed.locked_until > now_us:
            metrics.LOCKOUTS.labels(by).inc()
    await guessing.write(connection, order.app, after)
    window_us = spec.alarm.window_s * SECOND_US
    await guessing.count_miss(connection, order.app, now_us - now_us % window_us)
    metrics.MISSES.inc()


def _limit(spec: GuesserSpec) -> Limit:
    return Limit(
        spec.misses,
        spec.window_s * SECOND_US,
        spec.lock_s * SECOND_US,
        spec.lock_s_max * SECOND_US,
        spec.quiet_s * SECOND_US,
    )


def _refuse_locked(core: Core, records: Sequence[Record]) -> None:
    now_us = core.clock.now_us()
    longest = max((locked_us(record, now_us) for record in records), default=0)
    if longest:
        metrics.REFUSALS.labels("locked_out").inc()
        raise Told(Refusal("locked_out", {"retry_after_s": -(-longest // SECOND_US)}))
