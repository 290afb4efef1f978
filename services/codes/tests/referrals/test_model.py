"""Random histories against a naive model that keeps every fact and goes through all of them for each answer."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from libs.service.clock import SECOND_US, to_datetime
from libs.service.problems import Problem
from services.codes.tests.referrals.world import World

pytestmark = pytest.mark.anyio
DAY_US = 86_400 * SECOND_US
USERS = [f"u{number}" for number in range(7)]
DEVICES = ["d0", "d1", "d2", "d3"]
STEPS = 60


@dataclass(slots=True)
class Order:
    """A payment and what went back of it, each with its time."""

    id: str
    minor: int
    paid_us: int
    refunds: list[tuple[int, int]] = field(default_factory=list)
    """(when, how much in all)"""


@dataclass(slots=True)
class Bond:
    """Somebody came by somebody."""

    referee: str
    referrer: str
    bound_us: int
    flagged: bool
    approved: bool = False
    refused: bool = False


@dataclass(slots=True)
class Model:
    """All facts, and what was granted so far: (referee, role) → (user, month, amount)."""

    terms: dict[str, Any]
    bonds: dict[str, Bond] = field(default_factory=dict)
    orders: dict[str, list[Order]] = field(default_factory=dict)
    devices: dict[str, set[str]] = field(default_factory=dict)
    granted: dict[tuple[str, str], tuple[str, str, Decimal]] = field(default_factory=dict)
    decided: set[tuple[str, str]] = field(default_factory=set)
    chains: dict[str, list[str]] = field(default_factory=dict)
    """The payer and who was above when the first payment came."""

    def upward(self, user: str) -> list[str]:
        """The user and everybody above."""
        chain = [user]
        while chain[-1] in self.bonds:
            chain.append(self.bonds[chain[-1]].referrer)
            assert len(chain) <= len(USERS), "a circle"
        return chain

    def refusal(self, referee: str, referrer: str) -> str | None:
        """Why they may not be bound."""
        if referee in self.bonds:
            return "already_bound"
        if referee == referrer:
            return "self_referral"
        return "referral_cycle" if referee in self.upward(referrer) else None

    def circle(self, referrer: str) -> set[str]:
        """Devices of the referrer and of whom they brought."""
        people = {referrer} | {bond.referee for bond in self.bonds.values() if bond.referrer == referrer}
        return {device for person in people for device in self.devices.get(person, set())}

    def due_us(self, referee: str) -> int:
        """When the hold of the first payment ends."""
        return int(self.orders[referee][0].paid_us + self.terms["hold_days"] * DAY_US)

    def cancelled(self, referee: str, now_us: int) -> bool:
        """Whether a refund of the whole of the first order has undone it by now."""
        order = self.orders[referee][0]
        back = [when for when, total in order.refunds if total >= order.minor and when <= now_us]
        return bool(back) and (back[0] < self.due_us(referee) or self.terms["after_refund"] == "revoke")

    def dead(self, referee: str, now_us: int) -> bool:
        """Whether it earns nothing, whatever comes."""
        return self.bonds[referee].refused or (referee in self.orders and self.cancelled(referee, now_us))

    def earners(self, referee: str) -> list[tuple[str, str]]:
        """(role, user) of those who would earn."""
        chain = self.chains[referee]
        roles = [("referrer", chain[1]), ("referee", referee)]
        return [*roles, ("second_level", chain[2])] if len(chain) > 2 else roles

    def pass_time(self, now_us: int) -> None:
        """Grant what is due, the earliest due first; take back what was undone."""
        month = to_datetime(now_us).strftime("%Y-%m")
        for referee in sorted(self.chains, key=lambda user: (self.due_us(user), self.orders[user][0].paid_us)):
            bond = self.bonds[referee]
            if self.dead(referee, now_us) or self.due_us(referee) > now_us or (bond.flagged and not bond.approved):
                continue
            for role, user in self.earners(referee):
                between = self.bonds.get(bond.referrer)
                if (referee, role) in self.decided or role not in self.terms:
                    continue
                if role == "second_level" and between is not None:
                    if between.refused:
                        self.decided.add((referee, role))
                        continue
                    if between.flagged and not between.approved:
                        continue
                self.decided.add((referee, role))
                amount = self.amount(referee, role)
                if role != "referee":
                    earned = sum(
                        (a for (_, r), (u, m, a) in self.granted.items() if (u, m) == (user, month) and r != "referee"),
                        start=Decimal(0),
                    )
                    amount = min(amount, max(Decimal(0), Decimal(self.terms["month_max_credits"]) - earned))
                if amount:
                    self.granted[referee, role] = (user, month, amount)

    def amount(self, referee: str, role: str) -> Decimal:
        """What the terms say of the first order."""
        reward = self.terms[role]
        if "amount" in reward:
            return Decimal(reward["amount"])
        order = self.orders[referee][0]
        back = max([total for when, total in order.refunds if when < self.due_us(referee)], default=0)
        # A minor unit is worth one credit: half a credit and more is rounded up.
        return Decimal(((order.minor - back) * reward["order_percent"] + 50) // 100)


def programme(dice: random.Random) -> dict[str, Any]:
    """The terms of an app."""
    terms: dict[str, Any] = {
        "referrer": dice.choice([{"amount": "20"}, {"order_percent": 10}]),
        "month_max_credits": str(dice.choice([30, 100, 100000])),
        "hold_days": dice.choice([0, 3, 14]),
        "after_refund": dice.choice(["keep", "revoke"]),
        "credits_per_minor": {"USD": "1"},
    }
    if dice.random() < 0.5:
        terms["referee"] = {"amount": "7"}
    if dice.random() < 0.7:
        terms["second_level"] = dice.choice([{"amount": "5"}, {"order_percent": 3}])
    return terms


async def play(world: World, app: str, dice: random.Random) -> Counter[str]:
    """One history in an app of its own; what happened how often."""
    terms = programme(dice)
    await world.configure(app, flags={"signals_min": 2, "day_max": 1000}, **terms)
    world.granted.clear()
    world.revoked.clear()
    model, happened = Model(terms), Counter[str]()
    codes = {user: await world.own(user) for user in USERS}
    for step in range(STEPS):
        user, other = dice.choice(USERS), dice.choice(USERS)
        match dice.choice(["bind", "bind", "pay", "pay", "refund", "approve", "refuse", "time", "time"]):
            case "bind" if user not in model.orders:
                happened[await bind(world, model, (user, other, codes[other]), dice.choice(DEVICES))] += 1
            case "pay" if user in model.bonds:
                await pay(world, model, user, Order(f"{app}_{step}", dice.randint(1, 300), world.now_us))
            case "refund" if user in model.orders:
                await refund(world, user, dice.choice(model.orders[user]), dice)
            case "approve" | "refuse" as verdict if user in model.bonds:
                happened[await review(world, model, user, verdict)] += 1
            case "time":
                world.clock.advance(dice.choice([3600, 86_400, 3 * 86_400, 14 * 86_400]))
                if dice.random() < 0.8:
                    await settle(world, model)
            case _:
                pass
    world.clock.advance(15 * 86_400)
    await settle(world, model)
    await compare(world, model, happened)
    return happened


async def bind(world: World, model: Model, who: tuple[str, str, str], device: str) -> str:
    """Somebody comes by somebody's code."""
    user, other, code = who
    expected = model.refusal(user, other)
    try:
        await world.bind(user, code, device=device)
    except Problem as refusal:
        assert refusal.code == expected
        return refusal.code
    assert expected is None
    # Of an account that nobody has heard of, one signal more is enough.
    model.bonds[user] = Bond(user, other, world.now_us, device in model.circle(other))
    model.devices.setdefault(user, set()).add(device)
    return "flagged" if model.bonds[user].flagged else "bound"


async def pay(world: World, model: Model, user: str, order: Order) -> None:
    """Somebody who was bound pays, for the first time or again."""
    await world.pay(user, order.id, order.minor)
    if user not in model.orders and not model.bonds[user].refused:
        chain = model.upward(user)
        if len(chain) > 2 and model.bonds[chain[1]].refused:
            chain = chain[:2]
        model.chains[user] = chain
    model.orders.setdefault(user, []).append(order)


async def refund(world: World, user: str, order: Order, dice: random.Random) -> None:
    """Some or all of what is left of an order goes back."""
    before = max([total for _, total in order.refunds], default=0)
    if before < order.minor:
        total = dice.choice([order.minor, dice.randint(before + 1, order.minor)])
        order.refunds.append((world.now_us, total))
        await world.refund(user, order.id, total, whole=total == order.minor)


async def review(world: World, model: Model, user: str, verdict: str) -> str:
    """A manager decides, if there is something to decide."""
    bond = model.bonds[user]
    dead = model.dead(user, world.now_us)
    begun = any(referee == user for referee, _ in model.decided)
    referral = await world.referral(user)
    try:
        await (world.approve(referral) if verdict == "approve" else world.refuse(referral))
    except Problem as refusal:
        assert dead or (begun if verdict == "refuse" else not bond.flagged)
        return refusal.code
    if verdict == "approve":
        assert bond.flagged
        assert not dead
        bond.approved = True
    else:
        assert not begun
        bond.refused = True
    return verdict


async def settle(world: World, model: Model) -> None:
    """The timer fires until nothing is due, the ledger answers, and so does the model."""
    while await world.fire():
        pass
    await world.ledger()
    model.pass_time(world.now_us)


async def compare(world: World, model: Model, happened: Counter[str]) -> None:
    """Every reward was granted as often and as high as the facts say."""
    found: dict[tuple[str, str], tuple[str, str, Decimal]] = {}
    for referee in model.bonds:
        for role, reward in (await world.rewards(referee)).items():
            assert reward.status not in ("sent", "revoking")
            if reward.grant_id is not None:
                assert reward.amount is not None
                month = model.granted.get((referee, role), ("", "", Decimal(0)))[1]
                assert role == "referee" or reward.month == month
                found[referee, role] = (reward.user_id, month, reward.amount)
                # What was undone after it was granted was taken back, and nothing else.
                assert (reward.status == "revoked") == model.cancelled(referee, world.now_us)
                happened["revoked" if reward.status == "revoked" else "granted"] += 1
    assert found == model.granted
    assert len({ref for ref, _, _ in world.granted}) == len(world.granted) == len(model.granted)
    assert len(world.revoked) == len(set(world.revoked))
    months = Counter[tuple[str, str]]()
    for (_, role), (user, month, amount) in found.items():
        if role != "referee":
            months[user, month] += amount  # type: ignore[assignment]
    assert all(amount <= Decimal(model.terms["month_max_credits"]) for amount in months.values())


async def histories(world: World, seeds: range) -> None:
    happened = Counter[str]()
    for seed in seeds:
        try:
            happened += await play(world, f"app{seed}", random.Random(seed))  # noqa: S311
        except AssertionError as error:
            error.add_note(f"seed {seed}")
            raise
    # Else the trial proves nothing.
    for what in ("bound", "flagged", "referral_cycle", "already_bound", "granted", "revoked", "approve", "refuse"):
        assert happened[what], what


@pytest.mark.timeout(300)
async def test_random_histories(world: World) -> None:
    await histories(world, range(25))


@pytest.mark.campaign
@pytest.mark.timeout(7200)
async def test_many_random_histories(world: World) -> None:
    await histories(world, range(1000, 2000))
