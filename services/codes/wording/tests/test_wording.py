"""Every refusal is said in every language, with the same values in it."""

from __future__ import annotations

import string
import unicodedata

import pytest

from libs.service.i18n.negotiation import LANGUAGES
from libs.service.i18n.wording import FIRST_STRONG_ISOLATE, POP_ISOLATE, RIGHT_TO_LEFT
from services.codes.wording import CATALOGUE, refusal_text
from services.codes.wording.text import Text

CODES = (
    "code_not_found",
    "code_inactive",
    "code_not_yet_valid",
    "code_expired",
    "code_used_up",
    "code_already_redeemed",
    "code_not_for_you",
    "below_minimum",
    "wrong_currency",
    "wrong_service",
    "codes_do_not_stack",
    "above_balance",
    "budget_spent",
    "locked_out",
)
VALUES = {
    "code": "WELCOME100",
    "starts_at": "1.12.",
    "ends_at": "31.12.",
    "minimum": "25.00 USD",
    "sum": "20.00 USD",
    "missing": "5.00 USD",
    "service": "research",
    "wait": "15",
    "currency": "USD",
    "balance": "250.00",
}
EACH = [(language, code) for language in LANGUAGES for code in CODES]


def _parts(text: Text) -> tuple[str, str, str]:
    return text.title, text.detail, text.next


def _names(text: Text) -> list[list[str]]:
    return [sorted(name for _, name, _, _ in string.Formatter().parse(part) if name) for part in _parts(text)]


def test_the_catalogue_has_every_language_and_every_code() -> None:
    assert set(CATALOGUE) == set(LANGUAGES)
    for texts in CATALOGUE.values():
        assert tuple(texts) == CODES


@pytest.mark.parametrize(("language", "code"), EACH)
def test_a_text_says_what_the_english_one_says_and_is_a_sentence(language: str, code: str) -> None:
    text = CATALOGUE[language][code]
    assert _names(text) == _names(CATALOGUE["en"][code])
    assert text.title[-1] not in ".。"
    assert text.detail.endswith((".", "。"))
    assert text.next.endswith((".", "。"))


@pytest.mark.parametrize("code", CODES)
def test_no_language_was_left_in_english(code: str) -> None:
    for place in range(3):
        said = {_parts(CATALOGUE[language][code])[place] for language in LANGUAGES}
        assert len(said) == len(LANGUAGES)


@pytest.mark.parametrize(("language", "code"), EACH)
def test_values_are_isolated_where_the_text_runs_the_other_way(language: str, code: str) -> None:
    text = refusal_text(code, VALUES, language)
    for part, template in zip(_parts(text), _parts(CATALOGUE[language][code]), strict=True):
        for _, name, _, _ in string.Formatter().parse(template):
            if name and language in RIGHT_TO_LEFT:
                assert f"{FIRST_STRONG_ISOLATE}{VALUES[name]}{POP_ISOLATE}" in part
            elif name:
                assert VALUES[name] in part
        assert part.count(FIRST_STRONG_ISOLATE) == part.count(POP_ISOLATE)
        bare = part
        for value in VALUES.values():
            bare = bare.replace(f"{FIRST_STRONG_ISOLATE}{value}{POP_ISOLATE}", "")
        if language in RIGHT_TO_LEFT:
            left = [character for character in bare if unicodedata.bidirectional(character) in ("L", "EN")]
            assert not left, "a Latin letter or a digit stands in the text without an isolate"


def test_a_name_from_right_to_left_is_isolated_in_a_text_from_left_to_right() -> None:
    text = refusal_text("wrong_service", {"code": "VIP1000", "service": "بحث"}, "en")
    assert text.detail == "The code VIP1000 applies to \u2068بحث\u2069 only."


def test_k3_the_arabic_texts_are_the_ones_that_users_know() -> None:
    assert refusal_text("code_not_found", {}, "ar").title == "كود الشحن غير موجود"
    assert "الحد الأقصى للاستخدام" in refusal_text("code_used_up", VALUES, "ar").detail
