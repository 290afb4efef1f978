"""Sheets of cards to print and cut: a PDF with a QR of each code's link, the code, what it gives and until when."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import orjson
import segno
import typst

from services.codes.domain.texts import GROUP, normalise

TEMPLATE = Path(__file__).with_name("sheet.typ")
CODE = "{code}"
STANDARD: Final = "a-2u"
"""PDF/A-2u (ISO 19005-2): every glyph is embedded, and one that no font has is an error instead of an empty box."""
RTL_LANGUAGES = frozenset({"ar", "fa"})
_UNSHOWN = re.compile(r'the text `?"(?P<text>.+)"`? could not be displayed')


class GlyphMissing(Exception):
    """No font of this machine has what `text` needs."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, slots=True)
class Sheet:
    """What stands on every card: `promises` large (what the code gives), `notes` small (until when)."""

    name: str
    promises: tuple[str, ...]
    notes: tuple[str, ...]
    lang: str
    link: str | None
    """Template of the address in the QR, with `{code}`; None: the code itself."""


def pdf(sheet: Sheet, codes: Sequence[str], fonts: Path | None = None) -> bytes:
    """The sheet with a card for each code, ten to a page; :class:`GlyphMissing` when it cannot be printed whole.

    Besides those of the system and Typst's own, fonts are taken from the directory `fonts`.
    """
    data = orjson.dumps(sheet_data(sheet, codes)).decode()
    try:
        made = typst.compile(
            TEMPLATE,
            format="pdf",
            font_paths=[fonts] if fonts else [],
            sys_inputs={"sheet": data},
            pdf_standards=[STANDARD],
        )
    except typst.TypstError as error:
        unshown = _UNSHOWN.search(error.message)
        if unshown:
            raise GlyphMissing(unshown["text"]) from None
        raise
    if not isinstance(made, bytes):
        raise TypeError("a PDF is one file")
    return made


def sheet_data(sheet: Sheet, codes: Sequence[str]) -> dict[str, Any]:
    """What the template is given."""
    return {
        "title": f"{sheet.name} ({len(codes)})",
        "name": sheet.name,
        "name_rtl": is_rtl(sheet.name),
        "promises": sheet.promises,
        "notes": sheet.notes,
        "lang": sheet.lang,
        "rtl": sheet.lang in RTL_LANGUAGES,
        "codes": [{"text": grouped(code), "qr": qr_svg(link_of(sheet.link, code))} for code in codes],
    }


def link_of(template: str | None, code: str) -> str:
    """The address that a code is redeemed at; the code itself where the app has none."""
    plain = normalise(code)
    return plain if template is None else template.replace(CODE, quote(plain, safe=""))


def grouped(code: str) -> str:
    """A code in groups of four, as people read and type it; separators of its own stay."""
    if "-" in code:
        return code
    return "-".join(code[at : at + GROUP] for at in range(0, len(code), GROUP))


def qr_svg(content: str) -> str:
    """`content` as a QR code with its quiet zone of four modules; error correction M (15 %), for worn cards."""
    out = io.BytesIO()
    segno.make(content, error="m", micro=False, boost_error=False).save(out, kind="svg", border=4, xmldecl=False)
    return out.getvalue().decode()


def is_rtl(text: str) -> bool:
    """Whether the first character with a direction runs from right to left (Unicode bidirectional algorithm, P2)."""
    for character in text:
        direction = unicodedata.bidirectional(character)
        if direction in ("L", "R", "AL"):
            return direction != "L"
    return False
