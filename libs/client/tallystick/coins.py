"""Four calls that a bot needs, for those who want no more: add, subtract, balance, user with balance."""

from dataclasses import dataclass
from decimal import Decimal

from ._async_client import AsyncClient
from .errors import InsufficientCredits, NotFound
from .values import Amount

SHORT = Decimal(-1)
"""What `subtract_coins` returns when the user has too few."""


@dataclass(frozen=True, slots=True)
class UserWithCoins:
    """A user and what they can spend."""

    user: str
    coins: Decimal


class Coins:
    """Coins of an app's users. User ids may be numbers, as Telegram's are."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def add_coins(
        self,
        user: str | int,
        amount: Amount,
        reason: str,
        description: str | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Decimal:
        """Give coins; returns the new balance. `reason` is a short code, `description` free text."""
        grant = await self._client.grant(
            str(user), amount, reason=reason, description=description, idempotency_key=idempotency_key
        )
        return grant.available

    async def subtract_coins(
        self,
        user: str | int,
        amount: Amount,
        reason: str,
        description: str | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Decimal:
        """Take coins; returns the new balance, or −1 when there are too few, and then took none."""
        try:
            charge = await self._client.charge(
                str(user), amount, reason=reason, description=description, idempotency_key=idempotency_key
            )
        except InsufficientCredits:
            return SHORT
        return charge.available

    async def get_balance(self, user: str | int) -> Decimal:
        """What the user can spend; 0 for one that never had anything."""
        try:
            return (await self._client.state(str(user))).available
        except NotFound:
            return Decimal(0)

    async def get_user_with_coins(self, user: str | int) -> UserWithCoins:
        """The user with their balance."""
        return UserWithCoins(str(user), await self.get_balance(user))
