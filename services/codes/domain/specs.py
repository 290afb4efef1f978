"""The service's part of an app file, as it is applied. It is strict: an unknown key is refused."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic_core import PydanticCustomError

from services.codes.domain import texts
from services.codes.domain.amounts import format_amount, parse_amount
from services.codes.domain.codes import Kind
from services.codes.domain.discounts import Stacking
from services.codes.domain.referrals.terms import ReferralTerms

DAY_S = 86_400
DURATION_S_MAX = 36_525 * DAY_S
"""A hundred years: longer times would lead beyond what a calendar can write."""


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name!r}") from error
    return name


def _amount(value: object) -> str:
    try:
        return format_amount(parse_amount(value))
    except ValueError as error:
        raise PydanticCustomError(str(error), "An amount is a decimal string above zero, such as '12.50'.") from None


def _chosen(text: str) -> str:
    try:
        return texts.chosen(text)
    except texts.TextError as error:
        raise fault(error.code, str(error)) from None


def fault(code: str, detail: str) -> PydanticCustomError:
    """A fault with a code of its own. Braces would be taken for places of a template."""
    return PydanticCustomError(code, "{detail}", {"detail": detail})


def _one_line(text: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        raise fault("control_character", "Control characters are not allowed.")
    return text


def _link(template: str) -> str:
    if "{code}" not in template or not re.match(r"[a-z][a-z0-9+.-]*://[^\s{}]", template):
        raise fault("invalid_link", "A link is an address with {code} in it, such as https://example.com/r/{code}.")
    return template


Amount = Annotated[str, BeforeValidator(_amount)]
"""Credits: a decimal string; the ledger checks its scale."""
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Minor = Annotated[int, Field(gt=0, le=10**15)]
Text = Annotated[str, Field(max_length=4 * texts.CHOSEN_MAX), AfterValidator(_chosen)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:/-]{1,64}$")]


class Strict(BaseModel):
    """A part in which an unknown key is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AudienceSpec(Strict):
    """Whom a code is for: everyone, new users of the last `days`, the `users` of a list, or one holder."""

    who: Literal["everyone", "new", "list", "holder"] = "everyone"
    users: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$")], ...] = Field(default=(), max_length=10_000)
    days: int = Field(default=30, ge=1, le=36_525)

    @model_validator(mode="after")
    def _users_where_needed(self) -> Self:
        if (self.who == "list" and not self.users) or (self.who == "holder" and len(self.users) != 1):
            raise fault("users_missing", "A list has users, and a holder is one.")
        if self.who in ("everyone", "new") and self.users:
            raise fault("users_not_wanted", "Users are for a list or a holder.")
        return self


class TermsSpec(Strict):
    """What a code promises: credits, a discount, or both. Money is in minor units of `currency`."""

    amount: Amount | None = None
    scope: tuple[Name, ...] = Field(default=(), max_length=20)
    source: Literal["promo", "code", "cashback", "referral"] | None = None
    expires_after_s: int | None = Field(default=None, gt=0, le=DURATION_S_MAX)
    percent_off: Decimal | None = Field(default=None, gt=0, le=100, max_digits=5, decimal_places=2)
    amount_off: Minor | None = None
    currency: Currency | None = None
    min_minor: int = Field(default=0, ge=0, le=10**15)
    max_off_minor: Minor | None = None
    service: Name | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.percent_off is not None and self.amount_off is not None:
            raise fault("not_together", "A code takes off percent_off or amount_off, not both.")
        discounted = self.percent_off is not None or self.amount_off is not None
        if self.amount is None and not discounted:
            raise fault("nothing_given", "A code gives an amount, a discount, or both.")
        if not discounted and (self.min_minor or self.max_off_minor is not None or self.service is not None):
            raise fault("discount_missing", "A minimum, a maximum and a service belong to a discount.")
        money = self.amount_off is not None or self.min_minor or self.max_off_minor is not None
        if money and self.currency is None:
            raise fault("currency_missing", "Minor units need their currency.")
        if self.amount is None and (self.scope or self.source is not None or self.expires_after_s is not None):
            raise fault("amount_missing", "Scope, source and expiry belong to an amount of credits.")
        return self


class LimitsSpec(Strict):
    """How often, when and by whom a code may be used; None: without a limit."""

    max_uses: int | None = Field(default=None, ge=1, le=1_000_000_000)
    per_user_limit: int | None = Field(default=1, ge=1, le=1_000_000)
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None
    audience: AudienceSpec = AudienceSpec()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.starts_at is not None and self.ends_at is not None and self.ends_at <= self.starts_at:
            raise fault("ends_before_start", "A code ends after it starts.")
        return self


class CodeSpec(TermsSpec, LimitsSpec):
    """All that a code is, but its text."""

    kind: Kind = "recharge"
    name: Annotated[str, Field(max_length=200), AfterValidator(_one_line)] | None = None

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        discounted = self.percent_off is not None or self.amount_off is not None
        if self.kind in ("recharge", "bonus", "gift") and self.amount is None:
            raise fault("amount_missing", f"A {self.kind} code gives an amount of credits.")
        if self.kind == "discount" and not discounted:
            raise fault("discount_missing", "A discount code has percent_off or amount_off.")
        if self.kind == "gift" and discounted:
            raise fault("not_together", "A gift code is a balance: it takes nothing off.")
        if self.amount_off is not None and self.max_off_minor is not None:
            raise fault("not_together", "max_off_minor limits percent_off; amount_off is its own limit.")
        return self


class SampleSpec(CodeSpec):
    """A public code that comes with the app. `used`: uses that it had before, for apps that move here."""

    used: int = Field(default=0, ge=0, le=1_000_000_000)

    @model_validator(mode="after")
    def _within_its_limit(self) -> Self:
        if self.max_uses is not None and self.used > self.max_uses:
            raise fault("used_above_max_uses", "It cannot have been used more often than max_uses.")
        return self


class GuesserSpec(Strict):
    """When one guesser is locked out: after `misses` wrong codes in `window_s`, for `lock_s`, each further time for
    twice as long up to `lock_s_max`. That is forgotten after `quiet_s` without a wrong code or a lock.
    """

    misses: int = Field(default=5, ge=1, le=1000)
    window_s: int = Field(default=600, ge=1, le=DAY_S)
    lock_s: int = Field(default=900, ge=1, le=30 * DAY_S)
    lock_s_max: int = Field(default=DAY_S, ge=1, le=30 * DAY_S)
    quiet_s: int = Field(default=2 * DAY_S, ge=1, le=365 * DAY_S)


class AlarmSpec(Strict):
    """When guessing is suspected: after `misses` wrong codes of the whole app in one window of `window_s`."""

    misses: int = Field(default=200, ge=1, le=1_000_000_000)
    window_s: int = Field(default=600, ge=1, le=DAY_S)


class GuessingSpec(Strict):
    """What guessers may do: by user, and by address (`client_ip`, for IPv6 its first 64 bits)."""

    user: GuesserSpec = GuesserSpec()
    address: GuesserSpec = GuesserSpec(misses=20)
    alarm: AlarmSpec = AlarmSpec()


class CodesSpec(Strict):
    """How the app uses codes. Seconds of reservations: of a checkout, and of one that is paid by a manual transfer.

    `stacking`: which codes may stand on one checkout. `entitlement_days`: how long a discount can be taken that a code
    left which was redeemed without a checkout. `refund_policy`: what becomes of a code's credits that were spent before
    the whole payment goes back.

    Refusals are kept for `refusal_days`, so that somebody can be told why a code did not work.
    """

    samples: dict[Text, SampleSpec] = Field(default={}, max_length=1000)
    link: Annotated[str, Field(max_length=500), AfterValidator(_link)] | None = Field(
        default=None, description="Where a printed code leads, for example `https://t.me/kernel_bot?start={code}`."
    )
    reservation_s: int = Field(default=900, ge=1, le=30 * DAY_S)
    manual_reservation_s: int = Field(default=2 * DAY_S, ge=1, le=30 * DAY_S)
    stacking: Stacking = Stacking.NONE
    entitlement_days: int = Field(default=30, ge=1, le=36_525)
    refund_policy: Literal["absorb", "debt", "block"] = "absorb"
    guessing: GuessingSpec = GuessingSpec()
    refusal_days: int = Field(default=90, ge=1, le=3650)


class SwitchesSpec(BaseModel):
    """Features of the service that an app may switch off. Every service gets all switches and reads its own."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    codes: bool = True
    referrals: bool = True


class TestModeSpec(Strict):
    """An app in test mode has a clock of its own that starts here and moves forward by hand."""

    clock_start: AwareDatetime


class ConfigDocument(Strict):
    """What `PUT /v1/config` takes."""

    zone: Annotated[str, Field(max_length=64), AfterValidator(_zone)] = "UTC"
    codes: CodesSpec = CodesSpec()
    referrals: ReferralTerms | None = None
    switches: SwitchesSpec = SwitchesSpec()
    test_mode: TestModeSpec | None = None
