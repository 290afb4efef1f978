"""The language of an answer, and how it writes numbers, money, times and waits."""

from __future__ import annotations

from datetime import date

import pytest
from starlette.requests import Request

from libs.service.clock import parse_time
from libs.service.i18n.formats import moment_text, money_text, number_text, solar_hijri, wait_text
from libs.service.i18n.negotiation import LANGUAGES, language_of, negotiate
from libs.service.i18n.wording import fill

NEW_YEAR = parse_time("2025-12-01T00:00:00Z")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("fa", "fa"),
        ("FA-ir", "fa"),
        ("zh-Hans-CN", "zh"),
        ("de, ru", "ru"),
        ("de;q=1, ru;q=0.2, uk;q=0.8", "uk"),
        ("ru;q=0.5, uk;q=0.5", "ru"),
        ("ar ; q=0.9 , en;q=0.8", "ar"),
        ("de, *;q=0.5", "en"),
        ("en;q=0, *", "ar"),
        ("en;q=0, en-GB", "en"),
        ("ru;q=x, uk;q=0.1", "uk"),
        ("ru;q=2, uk;q=0.1", "uk"),
        ("ru;q=nan, uk;q=0.1", "uk"),
        ("ru;v=1, uk;q=0.1", "uk"),
        (",;=;,, fa", "fa"),
        ("xx", "en"),
        ("ru" + "," * 2000, "en"),
    ],
)
def test_the_best_language_of_the_header(header: str, language: str) -> None:
    assert negotiate(header) == language


@pytest.mark.parametrize(
    ("query", "language"),
    [(b"", "ru"), (b"lang=fa", "fa"), (b"lang=zh-TW", "zh"), (b"lang=xx", "ru"), (b"lang=", "ru")],
)
def test_the_parameter_goes_before_the_header(query: bytes, language: str) -> None:
    scope = {"type": "http", "query_string": query, "headers": [(b"accept-language", b"ru")]}
    assert language_of(Request(scope)) == language


@pytest.mark.parametrize(
    ("language", "money", "moment", "wait"),
    [
        ("en", "1,234.50\u00a0USD", "1 December 2025, 03:30 (UTC+3:30)", "15 minutes"),
        ("ar", "1,234.50\u00a0USD", "1 ديسمبر 2025 الساعة 03:30 (UTC+3:30)", "15 دقيقة"),
        ("fa", "۱٬۲۳۴٫۵۰\u00a0USD", "۱۰ آذر ۱۴۰۴ ساعت ۰۳:۳۰ (UTC+3:30)", "۱۵ دقیقه"),
        ("zh", "1,234.50\u00a0USD", "2025年12月1日03:30（UTC+3:30）", "15 分钟"),
        ("ru", "1\u00a0234,50\u00a0USD", "1 декабря 2025 г., 03:30 (UTC+3:30)", "15 минут"),
        ("uk", "1\u00a0234,50\u00a0USD", "1 грудня 2025 р., 03:30 (UTC+3:30)", "15 хвилин"),
    ],
)
def test_each_language_writes_in_its_own_form(language: str, money: str, moment: str, wait: str) -> None:
    assert money_text(123_450, "USD", language) == money
    assert moment_text(NEW_YEAR, language, "Asia/Tehran") == moment
    assert wait_text(900, language) == wait


def test_a_time_says_its_distance_from_utc() -> None:
    assert moment_text(NEW_YEAR, "en") == "1 December 2025, 00:00 (UTC)"
    assert moment_text(NEW_YEAR, "en", "America/New_York") == "30 November 2025, 19:00 (UTC-5)"


def test_currencies_have_the_places_that_they_have() -> None:
    assert money_text(500, "JPY", "en") == "500\u00a0JPY"
    assert money_text(1_500, "KWD", "en") == "1.500\u00a0KWD"
    assert money_text(-5, "USD", "en") == "-0.05\u00a0USD"
    assert number_text("-1234567.80", "fa") == "-۱٬۲۳۴٬۵۶۷٫۸۰"


@pytest.mark.parametrize(
    ("language", "minutes", "text"),
    [
        ("en", 1, "1 minute"),
        ("ru", 1, "1 минуту"),
        ("ru", 3, "3 минуты"),
        ("ru", 11, "11 минут"),
        ("ru", 21, "21 минуту"),
        ("ru", 112, "112 минут"),
        ("uk", 22, "22 хвилини"),
        ("uk", 14, "14 хвилин"),
        ("ar", 1, "دقيقة واحدة"),
        ("ar", 2, "دقيقتين"),
        ("ar", 3, "3 دقائق"),
        ("ar", 11, "11 دقيقة"),
        ("ar", 103, "103 دقائق"),
        ("en", 119, "119 minutes"),
        ("en", 120, "2 hours"),
        ("ru", 121, "3 часа"),
    ],
)
def test_a_wait_has_the_form_that_its_number_asks_for(language: str, minutes: int, text: str) -> None:
    assert wait_text(minutes * 60, language) == text
    assert wait_text(minutes * 60 - 59, language) == text


def test_a_wait_is_never_nothing() -> None:
    assert wait_text(0, "en") == "1 minute"


@pytest.mark.parametrize(
    ("day", "hijri"),
    [
        (date(1979, 2, 11), (1357, 11, 22)),
        (date(2000, 1, 1), (1378, 10, 11)),
        (date(2016, 3, 20), (1395, 1, 1)),
        (date(2017, 3, 21), (1396, 1, 1)),
        (date(2020, 3, 20), (1399, 1, 1)),
        (date(2021, 3, 21), (1400, 1, 1)),
        (date(2025, 3, 20), (1403, 12, 30)),
        (date(2025, 3, 21), (1404, 1, 1)),
        (date(2025, 9, 22), (1404, 6, 31)),
        (date(2025, 9, 23), (1404, 7, 1)),
        (date(2029, 3, 20), (1408, 1, 1)),
    ],
)
def test_days_of_the_solar_hijri_calendar(day: date, hijri: tuple[int, int, int]) -> None:
    assert solar_hijri(day) == hijri


def test_every_language_has_a_form_for_everything() -> None:
    for language in LANGUAGES:
        for seconds in (60, 120, 300, 700, 6_600, 7_200, 10_000, 50_000, 90_000):
            assert "{" not in wait_text(seconds, language)
        assert fill("{a}", {"a": moment_text(NEW_YEAR, language)}, language)
