"""A sheet as it is printed: rendered, its QR codes read module by module, its words found in the PDF."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pypdfium2
import pytest
import segno

from services.codes.sheets.sheet import GlyphMissing, Sheet, grouped, link_of, pdf
from services.codes.sheets.words import LANGUAGES, credits_promise, money_promise, percent_promise, until_note

LINK = "https://t.me/kernel_bot?start={code}"
CODES = ["NEW-XUEB-WEK5-TNA2H", "NEW-NGP5-VF5E-ZVR3L", "NEW-WBYV-SNBX-FZW7W"]
SCALE = 8.0
"""Pixels for each point of the page."""
MM = 72 / 25.4 * SCALE
CARD_MM, QR_MM = (85, 54), 34
FIRST_QR_MM = (20 + 85 - 5 - 34, 13.5 + 5)
"""Where the template puts the first card's QR code, from the page's upper left."""


def sheet(name: str = "Welcome", lang: str = "en", link: str | None = LINK) -> Sheet:
    promises = (credits_promise(lang, Decimal("1000.00")), percent_promise(lang, Decimal(20), "research"))
    return Sheet(name, promises, (until_note(lang, date(2026, 12, 31)),), lang, link)


def words_of(document: bytes) -> str:
    with pypdfium2.PdfDocument(document) as opened:
        return "\n".join(page.get_textpage().get_text_range() for page in opened)


def printed_modules(document: bytes, card: int, size: int) -> list[list[int]]:
    """The modules of a card's QR code on the first page, sampled at their centres; 1 is black."""
    with pypdfium2.PdfDocument(document) as opened:
        bitmap = opened[0].render(scale=SCALE, grayscale=True)
        pixels, stride = bytes(bitmap.buffer), bitmap.stride
    left, top = (at + CARD_MM[axis] * (card % 2, card // 2)[axis] for axis, at in enumerate(FIRST_QR_MM))
    module = QR_MM / (size + 8)

    def black(row: int, column: int) -> int:
        x, y = (int((at + (4 + index + 0.5) * module) * MM) for at, index in ((left, column), (top, row)))
        return int(pixels[y * stride + x] < 128)

    return [[black(row, column) for column in range(size)] for row in range(size)]


def test_each_cards_qr_is_its_codes_link() -> None:
    document = pdf(sheet(), CODES)
    for card, code in enumerate(CODES):
        expected = segno.make(f"https://t.me/kernel_bot?start={code.replace('-', '')}", error="m", boost_error=False)
        matrix = [list(row) for row in expected.matrix]
        assert printed_modules(document, card, len(matrix)) == matrix


def test_a_card_says_its_code_what_it_gives_and_until_when() -> None:
    said = words_of(pdf(sheet(), CODES))
    for word in ("Welcome", "1,000 credits", "20% off · research", "valid until 2026-12-31", *CODES):
        assert word in said


def test_ten_cards_stand_on_a_page() -> None:
    with pypdfium2.PdfDocument(pdf(sheet(), [f"AAAA-{at:04}" for at in range(21)])) as opened:
        assert len(opened) == 3


@pytest.mark.parametrize("lang", [lang for lang in LANGUAGES if lang != "zh"])
@pytest.mark.parametrize("name", ["کارت هدیهٔ نوروز ۱۴۰۵ VIP", "بطاقة هدية", "Новий рік"])
def test_languages_and_directions_print_with_the_fonts_that_every_machine_has(lang: str, name: str) -> None:
    assert pdf(sheet(name, lang), CODES).startswith(b"%PDF")


def test_chinese_prints_where_there_is_a_font_for_it_and_is_refused_where_not() -> None:
    try:
        said = words_of(pdf(sheet("新年快乐", "zh"), CODES))
    except GlyphMissing as refused:
        assert refused.text in "新年快乐积分"
    else:
        assert "新年快乐" in said


def test_what_no_font_has_is_named_instead_of_printed_as_boxes() -> None:
    with pytest.raises(GlyphMissing) as refused:
        pdf(sheet("Welcome \U0001378f"), CODES)
    assert refused.value.text == "\U0001378f"


INJECTION = '#panic("x") *bold* $x$ `raw` \\ \u201d ] } {{ #import "/etc/passwd" <label> @ref // end'


def test_a_name_is_printed_as_it_stands_whatever_is_in_it() -> None:
    said = " ".join(words_of(pdf(sheet(INJECTION), CODES[:1])).split())
    assert '#panic("x") *bold* $x$ `raw`' in said
    assert '"/etc/passwd" <label> @ref // end' in said


def test_a_code_in_a_link_is_quoted() -> None:
    assert link_of("https://example.com/r?c={code}&x={other}", "A B-C") == "https://example.com/r?c=ABC&x={other}"
    assert link_of("https://example.com/{code}", "نوروز").isascii()
    assert link_of(None, "ABCD-EFGH") == "ABCDEFGH"


def test_a_code_without_separators_is_read_in_groups_of_four() -> None:
    assert grouped("ABCDEFGHKLMNP") == "ABCD-EFGH-KLMN-P"
    assert grouped("NEW-ABCD-EFGHK") == "NEW-ABCD-EFGHK"


def test_words_in_the_six_languages() -> None:
    amount = Decimal("1234567.50")
    assert [credits_promise(lang, amount) for lang in ("en", "fa", "ru")] == [
        "1,234,567.5 credits",
        "۱٬۲۳۴٬۵۶۷.۵ اعتبار",
        "Кредитов: 1\u00a0234\u00a0567.5",
    ]
    assert credits_promise("en", Decimal(1000)) == "1,000 credits"
    assert money_promise("en", 500, "USD", None) == "5.00 USD off"
    assert money_promise("en", 500, "JPY", "research") == "500 JPY off · research"
    assert until_note("fa", date(2026, 12, 31)) == "معتبر تا ۲۰۲۶/۱۲/۳۱"
    assert len(LANGUAGES) == 6
