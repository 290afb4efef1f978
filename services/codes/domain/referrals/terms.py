"""The section `referrals` of an app's file: what a referral earns, when, and how much at most."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

DECIMALS_MAX = 9
_CODE_IN_LINK = "{code}"
_LINK = re.compile(r"[a-z][a-z0-9+.-]*://[^\s{}]*\{code\}[^\s{}]*")

Credits = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,15}(\.[0-9]{1,9})?$")]
"""Credits as a decimal string, not negative."""
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Service = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:/-]{1,64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class RewardTerms(_Strict):
    """What one of the earners gets: fixed credits, or per cent of the order that was paid first."""

    amount: Credits | None = None
    order_percent: int | None = Field(default=None, ge=1, le=100)

    @model_validator(mode="after")
    def _one_of_both(self) -> RewardTerms:
        if (self.amount is None) == (self.order_percent is None):
            raise ValueError("a reward has either amount or order_percent")
        if self.amount is not None and not Decimal(self.amount):
            raise ValueError("a reward of nothing is left out")
        return self


class FlagTerms(_Strict):
    """What makes a referral wait for somebody's eyes: `signals_min` of the soft signals together.

    They are an address, a device or a name that is shared with the referrer or with somebody else whom they brought,
    more than `day_max` referrals of one referrer within 24 hours, and an account younger than `account_hours_min`.
    """

    signals_min: int = Field(default=2, ge=1, le=5)
    day_max: int = Field(default=5, ge=1, le=1_000_000)
    account_hours_min: int = Field(default=24, ge=0, le=8760)


class ReferralTerms(_Strict):
    """A referral programme.

    `referrer`, `referee` and `second_level` (the referrer's own referrer) are who earns; `hold_days` pass between the
    first payment and the reward; `month_max_credits` is what a referrer earns at most in a calendar month of the app's
    zone, on both levels together. Per cent of an order need `credits_per_minor`: how many credits a minor unit of each
    currency is worth; they are rounded to `decimals`. `after_refund` says what becomes of rewards whose order is
    refunded in full after they were paid; `own_text` lets users choose the text of their code.
    """

    referrer: RewardTerms
    referee: RewardTerms | None = None
    second_level: RewardTerms | None = None
    month_max_credits: Credits
    hold_days: int = Field(default=14, ge=0, le=365)
    credits_per_minor: dict[Currency, Credits] = Field(default_factory=dict, max_length=50)
    decimals: int = Field(default=0, ge=0, le=DECIMALS_MAX)
    scope: list[Service] = Field(default_factory=list, max_length=20)
    expires_after_days: int | None = Field(default=None, ge=1, le=3660)
    after_refund: Literal["keep", "revoke"] = "keep"
    own_text: bool = False
    link: str | None = Field(default=None, max_length=500)
    flags: FlagTerms = FlagTerms()

    @model_validator(mode="after")
    def _whole(self) -> ReferralTerms:
        rewards = [self.referrer, self.referee, self.second_level]
        if any(one is not None and one.order_percent is not None for one in rewards) and not self.credits_per_minor:
            raise ValueError("order_percent needs credits_per_minor")
        if self.link is not None and _LINK.fullmatch(self.link) is None:
            raise ValueError("link is an address with {code} in it, once")
        return self

    @property
    def limit(self) -> Decimal:
        """What a referrer earns at most in a month."""
        return Decimal(self.month_max_credits)

    def link_of(self, text: str) -> str | None:
        """The deep link of a code, if the app has any."""
        return None if self.link is None else self.link.replace(_CODE_IN_LINK, text)
