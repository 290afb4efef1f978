"""Numbers, money, times and durations as each language writes them.

Arabic is written with the digits 0-9, as apps do from Morocco to the Gulf; Persian with its own digits and the Solar
Hijri calendar, which is the one that people in Iran and Afghanistan live by.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from libs.service.clock import to_datetime

_NBSP = "\u00a0"
_PERSIAN = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")
# Sign between thousands, sign of the fraction.
_SIGNS = {
    "en": (",", "."),
    "ar": (",", "."),
    "fa": ("٬", "٫"),
    "zh": (",", "."),
    "ru": (_NBSP, ","),
    "uk": (_NBSP, ","),
}
_NO_FRACTION = frozenset(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
_THOUSANDTHS = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])

_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "ar": "يناير فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر",
    "fa": "فروردین اردیبهشت خرداد تیر مرداد شهریور مهر آبان آذر دی بهمن اسفند",
    "ru": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "uk": "січня лютого березня квітня травня червня липня серпня вересня жовтня листопада грудня",
}
_MOMENTS = {
    "en": "{day} {month} {year}, {clock} ({zone})",
    "ar": "{day} {month} {year} الساعة {clock} ({zone})",
    "fa": "{day} {month} {year} ساعت {clock} ({zone})",
    "zh": "{year}年{month}月{day}日{clock}（{zone}）",
    "ru": "{day} {month} {year} г., {clock} ({zone})",
    "uk": "{day} {month} {year} р., {clock} ({zone})",
}
# By the forms that the language has for a number: see `_form`. They follow "in", "через", "بعد".
_MINUTES = {
    "en": ("{n} minute", "{n} minutes"),
    "ar": ("دقيقة واحدة", "دقيقتين", "{n} دقائق", "{n} دقيقة"),
    "fa": ("{n} دقیقه",),
    "zh": ("{n} 分钟",),
    "ru": ("{n} минуту", "{n} минуты", "{n} минут"),
    "uk": ("{n} хвилину", "{n} хвилини", "{n} хвилин"),
}
_HOURS = {
    "en": ("{n} hour", "{n} hours"),
    "ar": ("ساعة واحدة", "ساعتين", "{n} ساعات", "{n} ساعة"),
    "fa": ("{n} ساعت",),
    "zh": ("{n} 小时",),
    "ru": ("{n} час", "{n} часа", "{n} часов"),
    "uk": ("{n} годину", "{n} години", "{n} годин"),
}
_HOURS_FROM_MINUTES = 120


def number_text(text: str, language: str) -> str:
    """A decimal number such as `-1234.50`, with the language's digits and signs; zeros at its end are kept."""
    thousands, point = _SIGNS[language]
    whole, _, fraction = text.partition(".")
    shown = f"{int(whole):,}".replace(",", thousands)
    if whole.startswith("-") and not shown.startswith("-"):
        shown = f"-{shown}"
    return _digits(shown + (point + fraction if fraction else ""), language)


def money_text(minor: int, currency: str, language: str) -> str:
    """Minor units of an ISO 4217 currency, its code after the number."""
    places = 0 if currency in _NO_FRACTION else 3 if currency in _THOUSANDTHS else 2
    whole, fraction = divmod(abs(minor), 10**places)
    number = f"{'-' if minor < 0 else ''}{whole}" + (f".{fraction:0{places}d}" if places else "")
    return f"{number_text(number, language)}{_NBSP}{currency}"


def moment_text(time_us: int, language: str, zone: str = "UTC") -> str:
    """Day and time of the clock in `zone` (an IANA name), to the minute, with the zone's distance from UTC."""
    moment = to_datetime(time_us).astimezone(ZoneInfo(zone))
    year, month, day = solar_hijri(moment.date()) if language == "fa" else (moment.year, moment.month, moment.day)
    name = str(month) if language == "zh" else _MONTHS[language].split()[month - 1]
    shown = _MOMENTS[language].format(day=day, month=name, year=year, clock=f"{moment:%H:%M}", zone="{zone}")
    return _digits(shown, language).replace("{zone}", _distance(moment))


def wait_text(seconds: int, language: str) -> str:
    """How long to wait, rounded up: minutes below two hours, then hours."""
    minutes = max(1, -(-seconds // 60))
    number, forms = (
        (minutes, _MINUTES[language]) if minutes < _HOURS_FROM_MINUTES else (-(-minutes // 60), _HOURS[language])
    )
    return forms[_form(number, language)].format(n=number_text(str(number), language))


def solar_hijri(day: date) -> tuple[int, int, int]:
    """Year, month and day in the Solar Hijri calendar, by the cycle of 33 years that is exact from 1799 to 2256."""
    year = day.year - 621
    if day < _new_year(year):
        year -= 1
    passed = (day - _new_year(year)).days
    if passed < 186:
        return year, passed // 31 + 1, passed % 31 + 1
    return year, (passed - 186) // 30 + 7, (passed - 186) % 30 + 1


def _new_year(year: int) -> date:
    """The first day of a Solar Hijri year; 1403 began on 20 March 2024, and 8 of 33 years have a day more."""
    return date(2024, 3, 20) + timedelta(days=365 * (year - 1403) + _leap_days(year) - _leap_days(1403))


def _leap_days(year: int) -> int:
    """Days more than 365 a year before `year` in its cycles: a whole one has eight, in fixed years."""
    cycles, within = divmod(year, 33)
    return 8 * cycles + sum(leap < within for leap in (1, 5, 9, 13, 17, 22, 26, 30))


def _digits(text: str, language: str) -> str:
    return text.translate(_PERSIAN) if language == "fa" else text


def _distance(moment: datetime) -> str:
    minutes = round((moment.utcoffset() or timedelta()).total_seconds() / 60)
    if not minutes:
        return "UTC"
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'+' if minutes > 0 else '-'}{hours}" + (f":{rest:02d}" if rest else "")


def _form(number: int, language: str) -> int:
    """Which form of a noun follows a whole number, by CLDR's rules for plurals."""
    if language == "en":
        return 0 if number == 1 else 1
    if language in ("ru", "uk"):
        tens, ones = number % 100, number % 10
        if ones == 1 and tens != 11:
            return 0
        return 1 if 2 <= ones <= 4 and not 12 <= tens <= 14 else 2
    if language == "ar":
        # Without the form for zero, which no wait has; that for hundreds is written as that from 11 on.
        return number - 1 if number <= 2 else 2 if 3 <= number % 100 <= 10 else 3
    return 0
