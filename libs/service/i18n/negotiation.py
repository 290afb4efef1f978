"""Which language an answer is in: `?lang=` first, then the header Accept-Language, then the default."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request

LANGUAGES = ("en", "ar", "fa", "zh", "ru", "uk")
"""What texts for people are written in; the first is the default."""
HEADER_LENGTH_MAX = 1024
"""A longer Accept-Language is not looked at: nobody reads that many languages."""


def language_of(request: Request, languages: Sequence[str] = LANGUAGES) -> str:
    """The language of the answer to `request`, one of `languages`; an unknown one is never an error."""
    wanted = request.query_params.get("lang")
    chosen = None if wanted is None else _lookup(wanted.strip().lower(), languages)
    return chosen or negotiate(request.headers.get("accept-language", ""), languages)


def negotiate(accept_language: str, languages: Sequence[str] = LANGUAGES) -> str:
    """The best of `languages` for the header Accept-Language (RFC 9110, 12.5.4), or the first of them.

    A range is shortened from its end until it names one of ours (RFC 4647, 3.4); `*` is any that no other range
    excludes with `q=0`. Of ranges with the same weight the first wins. What cannot be read is left out.
    """
    if len(accept_language) > HEADER_LENGTH_MAX:
        return languages[0]
    ranges = [_weighted(part) for part in accept_language.split(",")]
    refused = {name for name, weight in ranges if weight == 0}
    for name, weight in sorted(ranges, key=lambda pair: -pair[1]):
        if weight <= 0:
            continue
        allowed = [language for language in languages if language not in refused]
        found = _lookup(name, allowed) if name != "*" else next(iter(allowed), None)
        if found is not None:
            return found
    return languages[0]


def _weighted(part: str) -> tuple[str, float]:
    """A range and its weight; the weight -1 where it cannot be read."""
    name, _, parameter = part.partition(";")
    weight = 1.0
    if parameter:
        key, _, value = parameter.strip().partition("=")
        try:
            weight = float(value)
        except ValueError:
            weight = -1.0
        if key.strip().lower() != "q" or not 0 <= weight <= 1:
            weight = -1.0
    return name.strip().lower(), weight


def _lookup(name: str, languages: Sequence[str]) -> str | None:
    while name:
        if name in languages:
            return name
        name = name.rpartition("-")[0]
    return None
