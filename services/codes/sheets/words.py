"""What a card says of its code, in the six languages of the suite."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

_PERSIAN_DIGITS = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")
_MINOR_DIGITS = {"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3} | dict.fromkeys(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0
)
"""Decimals of the currencies that have other than two (ISO 4217, list one)."""


@dataclass(frozen=True, slots=True)
class Words:
    """Phrases of one language; `{}` is where the number or the date stands."""

    credits: str
    off: str
    until: str
    thousands: str = ","
    date_format: str = "%Y-%m-%d"
    persian_digits: bool = False


WORDS = {
    "en": Words("{} credits", "{} off", "valid until {}"),
    # Between numbers in Arabic script a slash keeps their order, a hyphen does not (Unicode bidi, rules W2 and W4).
    "ar": Words("{} رصيد", "خصم {}", "صالح حتى {}", date_format="%Y/%m/%d"),
    "fa": Words("{} اعتبار", "{} تخفیف", "معتبر تا {}", "٬", "%Y/%m/%d", persian_digits=True),
    "zh": Words("{} 积分", "优惠 {}", "有效期至 {}"),
    "ru": Words("Кредитов: {}", "Скидка {}", "действует по {}", "\u00a0"),
    "uk": Words("Кредитів: {}", "Знижка {}", "діє по {}", "\u00a0"),
}
LANGUAGES = tuple(WORDS)


def credits_promise(lang: str, amount: Decimal) -> str:
    """`1,000 credits`; zeros behind the point are left out."""
    return WORDS[lang].credits.format(_number(lang, amount.normalize()))


def percent_promise(lang: str, percent: Decimal, service: str | None) -> str:
    """`20% off · research`."""
    sign = "٪" if WORDS[lang].persian_digits else "%"
    return _of(service, WORDS[lang].off.format(_number(lang, percent.normalize()) + sign))


def money_promise(lang: str, amount_minor: int, currency: str, service: str | None) -> str:
    """`5.00 USD off · research`."""
    amount = Decimal(amount_minor).scaleb(-_MINOR_DIGITS.get(currency, 2))
    return _of(service, WORDS[lang].off.format(f"{_number(lang, amount)} {currency}"))


def until_note(lang: str, last_day: date) -> str:
    """`valid until 2026-12-31`."""
    return WORDS[lang].until.format(_digits(lang, last_day.strftime(WORDS[lang].date_format)))


def _of(service: str | None, promise: str) -> str:
    return promise if service is None else f"{promise} · {service}"


def _number(lang: str, value: Decimal) -> str:
    return _digits(lang, f"{value:,f}".replace(",", WORDS[lang].thousands))


def _digits(lang: str, text: str) -> str:
    return text.translate(_PERSIAN_DIGITS) if WORDS[lang].persian_digits else text
