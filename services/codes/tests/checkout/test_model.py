"""Random mixes of all that happens to checkouts, many at once, against a model that only remembers what was told.

Which of those at once come first is the database's to say; what must hold whatever it was is checked at the end: every
redemption has ended by the highest claim that was made of it, every counter is the sum of its rows, and no limit,
balance or budget was exceeded.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from libs.events.contracts.payments.events import OrderEvent, OrderExpired, OrderFailed, OrderPaid, OrderRefunded
from services.codes.domain.codes import Code
from services.codes.domain.redemptions import Claim, Redemption
from services.codes.domain.settling import Status, settled
from services.codes.handlers.reserving import Refused
from services.codes.handlers.stacking import CheckoutChanged
from services.codes.tests.checkout.payments import order
from services.codes.tests.checkout.shop import NOW_US, Shop

pytestmark = pytest.mark.anyio

USERS = [f"user{number}" for number in range(5)]
AT_ONCE = 8


@dataclass(slots=True)
class Model:
    """What was claimed of each redemption of a checkout, by its id, since it was last reserved."""

    claims: dict[str, list[Status]] = field(default_factory=dict)

    def ends(self, redemption_id: str) -> Status:
        """How it must have ended."""
        status: Status = "reserved"
        for claim in self.claims[redemption_id]:
            status = settled(status, claim)
        return status


@dataclass(slots=True)
class Trial:
    """One run: a shop with some codes, and what happens at random."""

    shop: Shop
    dice: random.Random
    model: Model = field(default_factory=Model)
    known: dict[str, Redemption] = field(default_factory=dict)
    checkouts: int = 0

    async def reserve(self) -> None:
        """Somebody tries a code on a new checkout."""
        self.checkouts += 1
        text, user = self.dice.choice(["FEW", "BOTH", "MONEY", "LATER"]), self.dice.choice(USERS)
        try:
            taken = await self.shop.reserve(text, user, f"order_{self.checkouts}", amount_minor=1000)
        except (Refused, CheckoutChanged):
            return
        self.known[taken.id] = taken
        self.model.claims[taken.id] = []

    async def redeem(self) -> None:
        """Somebody redeems a gift, or a code that leaves an entitlement."""
        text = self.dice.choice(["GIFT", "LATER"])
        amount = Decimal(self.dice.randint(1, 30)) if text == "GIFT" else None
        try:
            await self.shop.reserve(text, self.dice.choice(USERS), amount=amount)
        except Refused:
            return

    async def tell(self) -> None:
        """Payments tells something of an order, perhaps again."""
        if not self.known:
            return
        one = self.dice.choice(list(self.known.values()))
        kinds: list[tuple[type[OrderEvent], Status]] = [
            (OrderPaid, "confirmed"),
            (OrderFailed, "released"),
            (OrderExpired, "expired"),
            (OrderRefunded, "rolled_back"),
        ]
        kind, claim = self.dice.choices(kinds, [4, 2, 2, 1])[0]
        # Remembered first: whatever is told at once may take effect in any order.
        self.model.claims[one.id].append(claim)
        event = order(kind, one.checkout or "", (one.id,), started_us=NOW_US)
        await self.shop.tell(*[event] * self.dice.choice([1, 1, 2]), user=one.user_id)

    async def call(self) -> None:
        """A checkout releases what it has, or its time is up."""
        if not self.known:
            return
        one = self.dice.choice(list(self.known.values()))
        claim: Status = self.dice.choice(["released", "expired"])
        self.model.claims[one.id].append(claim)
        await self.shop.end(Claim(one.id, claim, due_at=one.expires_at if claim == "expired" else None))

    def step(self) -> Awaitable[None]:
        """Something."""
        return self.dice.choices([self.reserve, self.redeem, self.tell, self.call], [6, 3, 5, 1])[0]()

    async def run(self, steps: int) -> None:
        """So many steps, some of them at once, then the ledger's answers."""
        for begin in range(0, steps, AT_ONCE):
            await asyncio.gather(*[self.step() for _ in range(AT_ONCE)])
            if (begin // AT_ONCE) % 4 == 3:
                await self.shop.ledger_answers()
        await self.shop.ledger_answers()
        await self.shop.ledger_answers()


async def _open(shop: Shop) -> list[Code]:
    await shop.configure()
    budget = await shop.campaign("money", budget_minor=2_000, currency="USD")
    return [
        await shop.code("FEW", percent_off="10", max_uses=7, per_user_limit=3),
        await shop.code("BOTH", percent_off="20", amount="50", max_uses=12, per_user_limit=4),
        await shop.code("MONEY", amount_off_minor=130, currency="USD", per_user_limit=None, campaign_id=budget.id),
        await shop.code("GIFT", kind="gift", amount="100"),
        await shop.code("LATER", percent_off="5", amount="1", max_uses=4),
    ]


async def _trial(shop: Shop, seed: int, steps: int) -> None:
    codes = await _open(shop)
    trial = Trial(shop, random.Random(seed))  # noqa: S311
    await trial.run(steps)
    for redemption_id in trial.known:
        assert (await shop.find(redemption_id)).status == trial.model.ends(redemption_id), f"seed {seed}"
    assert await shop.differences() == [], f"seed {seed}"
    assert await shop.commands() == []
    for code in codes:
        now = await shop.now(code)
        late = await shop.core.pool.fetchval("SELECT count(*) FROM redemptions WHERE code_id = $1 AND late", code.id)
        assert now.max_uses is None or now.reserved + now.redeemed <= now.max_uses + late, f"seed {seed}: {code.text}"
    # What was granted for a checkout stands where it is confirmed, and was asked back where it was restored.
    rows = await shop.core.pool.fetch(
        "SELECT status, granted, revoke_id FROM redemptions WHERE checkout IS NOT NULL AND command_id IS NOT NULL"
    )
    for row in rows:
        assert (row["revoke_id"] is not None) == (row["status"] == "rolled_back"), f"seed {seed}"


async def test_random_mixes_end_as_the_model_says(shop: Shop) -> None:
    await _trial(shop, 7, 240)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(30))
async def test_random_mixes_end_as_the_model_says_at_length(shop: Shop, seed: int) -> None:
    await _trial(shop, seed, 1200)
