"""Texts of codes: the check character, what counts as the same text, patterns, digests."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.codes.domain.texts import (
    ALPHABET,
    RANDOM_MAX,
    RANDOM_MIN,
    Pattern,
    TextError,
    check_character,
    chosen,
    digest,
    is_well_formed,
    normalise,
    random_of,
)

PEPPER = b"p" * 32
BODIES = st.text(ALPHABET, min_size=RANDOM_MIN, max_size=70)
"""Longer than any pattern, so that the weights come round twice."""


@given(BODIES)
def test_every_single_error_at_every_place_is_caught(body: str) -> None:
    text = body + check_character(body)
    assert is_well_formed(text)
    for place, right in enumerate(text):
        for wrong in ALPHABET:
            if wrong != right:
                assert not is_well_formed(text[:place] + wrong + text[place + 1 :])


@given(BODIES)
def test_every_swap_of_neighbours_is_caught(body: str) -> None:
    text = body + check_character(body)
    for place in range(len(text) - 1):
        one, two = text[place], text[place + 1]
        if one != two:
            assert not is_well_formed(text[:place] + two + one + text[place + 2 :])


def test_the_alphabet_has_31_characters_and_no_look_alikes() -> None:
    assert len(set(ALPHABET)) == len(ALPHABET) == 31
    assert not set(ALPHABET) & set("IJO01")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("welcome100", "WELCOME100"),
        (" Welcome-100 ", "WELCOME100"),
        ("WELCOME۱۰۰", "WELCOME100"),  # Persian digits
        ("WELCOME١٠٠", "WELCOME100"),  # Arabic digits
        ("ＷＥＬＣＯＭＥ１００", "WELCOME100"),  # full width
        ("WEL\u200cCOME\u200d100\u200f", "WELCOME100"),  # ZWNJ, ZWJ, a direction mark
        ("WELCOME\u2013100", "WELCOME100"),  # an en dash
        ("WELCOME\u2212100", "WELCOME100"),  # a minus sign
        ("WELCOME_100", "WELCOME100"),
        ("WELCOME\u00a0\u2009100\t", "WELCOME100"),
        ("يكي", "یکی"),  # Arabic letters for Persian ones
        ("نـوروز", "نوروز"),  # stretched
        ("été", "ETE"),
        ("Straße", "STRASSE"),
        ("新年快乐", "新年快乐"),
    ],
)
def test_what_is_typed_is_found(typed: str, meant: str) -> None:
    assert normalise(typed) == meant
    assert digest(PEPPER, "kernel", typed) == digest(PEPPER, "kernel", meant)


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


def test_every_character_there_is_normalises_to_one_form() -> None:
    for point in range(sys.maxunicode + 1):
        once = normalise(chr(point))
        assert normalise(once) == once, hex(point)
        once.encode()
        if unicodedata.category(chr(point)) == "Nd":
            assert once == str(unicodedata.decimal(chr(point)))


@given(BODIES, st.data())
def test_dashes_and_spaces_anywhere_leave_a_text_well_formed(body: str, data: st.DataObject) -> None:
    text = body + check_character(body)
    for _ in range(3):
        place = data.draw(st.integers(0, len(text)))
        text = text[:place] + data.draw(st.sampled_from("- \u200c\u2011\u00ad")) + text[place:]
    assert is_well_formed(text.lower())


@pytest.mark.parametrize("text", ["", "A", "WELCOME100", "ABCDEFGH", "نوروز", "0" * 13])
def test_what_was_not_made_is_not_well_formed(text: str) -> None:
    assert not is_well_formed(text)


def test_a_digest_differs_by_app_and_by_pepper() -> None:
    digests = {digest(PEPPER, "kernel", "A"), digest(PEPPER, "coins", "A"), digest(b"q" * 32, "kernel", "A")}
    assert len(digests) == 3
    assert {len(one) for one in digests} == {32}


@pytest.mark.parametrize("text", ["", "AB", "--", "A B", "WELCOME!", "50%OFF", "A" * 65, "<script>", "a/b/c"])
def test_a_text_that_cannot_be_chosen(text: str) -> None:
    with pytest.raises(TextError) as refused:
        chosen(text)
    assert refused.value.code == "invalid_code"


@pytest.mark.parametrize(("text", "kept"), [("welcome-100", "WELCOME100"), ("نوروز ۱۴۰۵", "نوروز1405")])
def test_a_chosen_text_is_kept_normalised(text: str, kept: str) -> None:
    assert chosen(text) == kept


@given(st.binary(min_size=32, max_size=32), st.sampled_from(["", "NEW", "k-25"]), st.integers(RANDOM_MIN, RANDOM_MAX))
def test_a_made_text_is_well_formed_and_follows_its_pattern(random: bytes, prefix: str, length: int) -> None:
    pattern = Pattern.of(prefix, length)
    text = pattern.text_of(random)
    assert is_well_formed(text)
    assert text == pattern.text_of(random)
    assert len(text) == len(pattern.template)
    assert all(shape in ("#", made) for shape, made in zip(pattern.template, text, strict=True))


def test_the_usual_pattern() -> None:
    assert Pattern.of("new").template == "NEW-####-####-#####"
    assert Pattern.of("", 11).template == "####-####-####"


@pytest.mark.parametrize(
    ("template", "code"),
    [
        ("GIFT-####-####-####", "look_alike"),
        ("NEW ####-####-####", "look_alike"),
        ("نو-####-####-####", "look_alike"),
        ("####-####-####-A", "pattern_without_check"),
        ("", "pattern_without_check"),
        ("####-####", "pattern_length"),
        ("#" * 34, "pattern_length"),
        ("A" * 60 + "#####", "pattern_too_long"),
    ],
)
def test_a_pattern_that_cannot_be(template: str, code: str) -> None:
    with pytest.raises(TextError) as refused:
        Pattern.parse(template)
    assert refused.value.code == code


def test_texts_of_a_secret_are_the_same_again_and_spread_over_the_alphabet() -> None:
    pattern = Pattern.of("", 8)
    texts = [pattern.text_of(random_of(b"s" * 32, index)) for index in range(5000)]
    assert texts == [pattern.text_of(random_of(b"s" * 32, index)) for index in range(5000)]
    assert len(set(texts)) == len(texts)
    for place in range(8):
        assert {text.replace("-", "")[place] for text in texts} == set(ALPHABET)
    assert texts[0] != pattern.text_of(random_of(b"t" * 32, 0))
