"""C2: add, subtract (−1 when short, the balance untouched), balance, user with balance."""

from decimal import Decimal

import httpx
import pytest
from tallystick import AsyncClient
from tallystick.coins import Coins, UserWithCoins

from .ledger_peer import Ledger

pytestmark = pytest.mark.anyio


async def test_c2_add_subtract_balance_and_user(ledger: Ledger) -> None:
    async with AsyncClient(transport=httpx.MockTransport(ledger)) as client:
        coins = Coins(client)
        assert await coins.get_balance(42) == 0
        assert await coins.add_coins(42, 100, "start", "The first step") == 100
        assert await coins.subtract_coins(42, 30, "webinar") == 70
        assert await coins.subtract_coins(42, 71, "webinar") == -1
        assert await coins.get_balance("42") == 70
        assert await coins.get_user_with_coins(42) == UserWithCoins("42", Decimal(70))
