"""The one export of a batch as a sheet of cards."""

from __future__ import annotations

from decimal import Decimal
from zoneinfo import ZoneInfo

from libs.events.tasks import in_thread
from libs.service.clock import from_datetime, to_datetime
from libs.service.problems import Problem
from services.codes.core import Core
from services.codes.domain.specs import CodeSpec
from services.codes.handlers.batches import exported, peek, take_texts
from services.codes.sheets.sheet import GlyphMissing, Sheet, pdf
from services.codes.sheets.words import credits_promise, money_promise, percent_promise, until_note


class SheetTooLarge(Problem):
    """A PDF is made whole in memory."""

    status = 409
    code = "sheet_too_large"
    title = "The batch has too many codes for a sheet"
    next = "Export it as CSV, and let a printer make the cards; or make smaller batches."


class Unprintable(Problem):
    """The sheet would have empty boxes."""

    status = 409
    code = "glyph_missing"
    title = "No font here has a character of the sheet"
    next = (
        "Install a font that has it (for Chinese: fonts-wqy-microhei) or name its folder in TALLYSTICK_CODES_FONTS; "
        "or choose another language. Nothing was exported."
    )


async def print_sheet(core: Core, app: str, batch_id: str, lang: str) -> bytes:
    """The sheet as a PDF. It is made before the export is counted as done, so that what can't be made costs nothing."""
    batch, texts = await peek(core, app, batch_id)
    if batch.count > core.settings.sheet_codes_max:
        raise SheetTooLarge(f"{batch.count} codes are more than {core.settings.sheet_codes_max}.")
    document = core.configs.get(app).document
    spec = CodeSpec.model_validate({name: value for name, value in batch.spec.items() if name != "pattern"})
    sheet = sheet_of(spec, lang, ZoneInfo(document.zone), document.codes.link)
    codes = [text async for _, text in exported(core, batch, texts)]
    try:
        made = await in_thread(pdf, sheet, codes, core.settings.fonts)
    except GlyphMissing as missing:
        raise Unprintable(f"No font here has what '{missing.text}' needs.") from None
    await take_texts(core, app, batch_id)
    return made


def sheet_of(spec: CodeSpec, lang: str, zone: ZoneInfo, link: str | None) -> Sheet:
    """What stands on the cards of codes of this specification, in this language."""
    promises = []
    if spec.amount is not None:
        promises.append(credits_promise(lang, Decimal(spec.amount)))
    if spec.percent_off is not None:
        promises.append(percent_promise(lang, spec.percent_off, spec.service))
    if spec.amount_off is not None and spec.currency is not None:
        promises.append(money_promise(lang, spec.amount_off, spec.currency, spec.service))
    notes = []
    if spec.ends_at is not None:
        # The end itself is too late: what ends at midnight is good until the day before.
        last = to_datetime(from_datetime(spec.ends_at) - 1)
        notes.append(until_note(lang, last.astimezone(zone).date()))
    return Sheet(spec.name or "", tuple(promises), tuple(notes), lang, link)
