"""What the end user reads when a code is refused: one module per language, one text per code of a refusal."""

from __future__ import annotations

from collections.abc import Mapping

from libs.service.i18n.wording import fill
from services.codes.wording import ar, en, fa, ru, uk, zh
from services.codes.wording.text import Text

CATALOGUE: Mapping[str, Mapping[str, Text]] = {
    "en": en.REFUSALS,
    "ar": ar.REFUSALS,
    "fa": fa.REFUSALS,
    "zh": zh.REFUSALS,
    "ru": ru.REFUSALS,
    "uk": uk.REFUSALS,
}


def refusal_text(code: str, values: Mapping[str, str], language: str) -> Text:
    """The text of the refusal `code` in `language`, with `values` (written for that language) in their places."""
    text = CATALOGUE[language][code]
    return Text(
        title=fill(text.title, values, language),
        detail=fill(text.detail, values, language),
        next=fill(text.next, values, language),
    )
