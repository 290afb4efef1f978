"""Binding: once, before the first payment, never to oneself, never in a circle."""

from __future__ import annotations

import asyncio

import pytest

from libs.service.problems import FeatureDisabled, Problem
from services.codes.domain import texts
from services.codes.store import customers, referrals
from services.codes.tests.referrals.world import World

pytestmark = pytest.mark.anyio
HOUR_S = 3600


@pytest.fixture(autouse=True)
async def _programme(world: World) -> None:
    await world.configure(own_text=True)


async def refused(world: World, user: str, code: str, **signals: str) -> str:
    """The code of the refusal."""
    with pytest.raises(Problem) as caught:
        await world.bind(user, code, **signals)
    return caught.value.code


async def test_a_code_is_made_once_and_found_however_it_is_typed(world: World) -> None:
    code = await world.own("ada")
    assert texts.is_well_formed(code)
    assert await world.own("ada") == code
    assert await world.own("ben") != code
    referral = await world.bind("ben", f" {code[:4].lower()}-{code[4:]}\u200c")
    assert referral is not None
    assert (referral.referrer, referral.status, referral.review) == ("ada", "bound", "none")
    assert await world.events() == ["referral_bound"]


async def test_two_requests_at_once_make_one_code(world: World) -> None:
    made = await asyncio.gather(*(world.own("ada") for _ in range(8)))
    assert len(set(made)) == 1


async def test_a_chosen_text_is_shown_and_the_earlier_ones_still_bind(world: World) -> None:
    first = await world.own("ada")
    assert await world.own("ada", "ADASHOP") == "ADASHOP"
    assert await world.own("ada") == "ADASHOP"
    for number, code in enumerate((first, "adashop")):
        referral = await world.bind(f"ben{number}", code)
        assert referral is not None
        assert referral.referrer == "ada"
    with pytest.raises(Problem, match="code_taken"):
        await world.own("eva", "ADASHOP")
    for number in range(3):
        await world.own("ada", f"ADASHOP{number}")
    with pytest.raises(Problem, match="too_many_codes"):
        await world.own("ada", "ADASHOP9")
    await world.configure(own_text=False)
    with pytest.raises(Problem, match="own_text_disabled"):
        await world.own("eva", "EVASHOP")


async def test_choosing_a_text_finds_no_hidden_code(world: World) -> None:
    made = await world.own("ada")
    unmade = next(text for text in map(made[:-1].__add__, texts.ALPHABET) if text != made)
    assert await world.own("eva", unmade) == unmade
    hidden = texts.normalise(texts.Pattern.of().text_of(b"x" * 32))
    for text in (made, hidden):
        with pytest.raises(Problem, match="code_taken"):
            await world.own("zoe", text)


async def test_what_refuses(world: World) -> None:
    ada, ben = await world.own("ada", phone="+989121111111", email="ada@example.org"), await world.own("ben")
    assert await world.bind("zoe", "NOSUCHCODE") is None
    assert await refused(world, "ada", ada) == "self_referral"
    assert await refused(world, "ada2", ada, phone="0098 912 111 1111") == "self_referral"
    assert await refused(world, "ada2", ada, email="Ada+two@example.org") == "self_referral"
    await world.bind("ben", ada, card="card-1")
    assert await refused(world, "ben", ada) == "already_bound"
    assert await refused(world, "ada", ben) == "referral_cycle"
    # Who would earn on the second level is nobody to come by either.
    assert await refused(world, "ada3", ben, email="ada+3@example.org") == "self_referral"
    async with world.core.pool.acquire() as connection:
        await connection.execute("INSERT INTO customers (app, user_id, first_paid_at) VALUES ('vpn', 'eva', 1)")
    assert await refused(world, "eva", ada) == "already_paid"
    # A refusal changed nothing.
    for user in ("ada", "ada2", "ada3", "eva"):
        assert await referrals.of_referee(world.core.pool, "vpn", user) is None


async def test_another_app_knows_nothing_of_it(world: World) -> None:
    ada = await world.own("ada", device="d1")
    await world.configure("coins")
    assert await world.bind("ben", ada) is None
    assert await world.own("ada") != ada


async def test_circles_cannot_close_between_bindings_at_once(world: World) -> None:
    for attempt in range(5):
        users = [f"u{attempt}.{number}" for number in range(4)]
        codes = [await world.own(user) for user in users]
        results = await asyncio.gather(
            *(world.bind(user, codes[(place + 1) % 4]) for place, user in enumerate(users)), return_exceptions=True
        )
        refusals = [result for result in results if isinstance(result, BaseException)]
        assert [getattr(one, "code", one) for one in refusals] == ["referral_cycle"]


async def test_one_of_many_attempts_at_once_binds(world: World) -> None:
    codes = [await world.own(f"ada{number}") for number in range(10)]
    results = await asyncio.gather(*(world.bind("ben", code) for code in codes), return_exceptions=True)
    assert sum(not isinstance(result, BaseException) for result in results) == 1


async def test_soft_signals_make_it_wait(world: World) -> None:
    ada = await world.own("ada", network="192.0.2.1", device="d1", name="Ada L")
    async with world.core.pool.acquire() as connection:
        for user in ("old", "same", "ring"):
            await customers.note_opened(connection, "vpn", user, world.now_us - 48 * HOUR_S * 1_000_000)
    old = await world.bind("old", ada, network="192.0.2.99", device="d2")
    assert old is not None
    assert (list(old.flags), old.review) == (["network"], "none")
    same = await world.bind("same", ada, network="192.0.2.7", name="ada  l")
    assert same is not None
    assert (list(same.flags), same.review) == (["network", "name"], "waiting")
    # Shared with somebody else whom she brought, and an account that nobody has heard of.
    ring = await world.bind("ring", ada, device="d2")
    new = await world.bind("new", ada, device="d2")
    assert ring is not None
    assert new is not None
    assert (list(ring.flags), ring.review) == (["device"], "none")
    assert (list(new.flags), new.review) == (["device", "new_account"], "waiting")
    assert (await world.events()).count("referral_flagged") == 2


async def test_more_than_five_a_day(world: World) -> None:
    ada = await world.own("ada")
    for number in range(5):
        referral = await world.bind(f"ben{number}", ada)
        assert referral is not None
        assert referral.review == "none"
    sixth = await world.bind("ben5", ada)
    assert sixth is not None
    assert list(sixth.flags) == ["many_a_day", "new_account"]
    world.clock.advance(24 * HOUR_S)
    next_day = await world.bind("ben6", ada)
    assert next_day is not None
    assert list(next_day.flags) == ["new_account"]


async def test_nothing_that_was_seen_can_be_read_back(world: World) -> None:
    code = await world.own("ada", phone="+989121111111", email="ada@example.org", network="192.0.2.1", name="Ada L")
    await world.bind("ben", code, device="device-of-ben")
    async with world.core.pool.acquire() as connection:
        rows = [str(dict(row)) for row in await connection.fetch("SELECT kind, digest FROM referral_signals")]
        rows += [str(dict(row)) for row in await connection.fetch("SELECT * FROM outbox")]
    assert len(rows) >= 5
    for secret in ("9121111111", "example", "192.0.2", "Ada L", "ada l", "device-of-ben"):
        assert not any(secret in row for row in rows)


async def test_a_programme_that_is_switched_off(world: World) -> None:
    ada = await world.own("ada")
    await world.configure(switch=False)
    for attempt in (world.own("eva"), world.bind("ben", ada)):
        with pytest.raises(FeatureDisabled):
            await attempt
