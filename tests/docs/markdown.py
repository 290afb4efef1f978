"""What the tests need to know of a Markdown page: its code blocks, headings, links, and words in backticks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```([\w-]*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
_SKIPPED = {".venv", ".git", ".cache", ".data", "build", "node_modules"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page: its language, its text, and where in the page it ends."""

    language: str
    text: str
    start: int
    end: int


def pages() -> list[Path]:
    """Every Markdown page of the repository."""
    found = (path for path in ROOT.rglob("*.md") if not _SKIPPED & set(path.relative_to(ROOT).parts))
    return sorted(path for path in found if not any(part.endswith("_cache") for part in path.parts))


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(found[1], found[2], found.start(), found.end()) for found in _FENCE.finditer(text)]


def prose(text: str) -> str:
    """The page without its fenced blocks and comments."""
    return _COMMENT.sub("", _FENCE.sub("", text))


def links(text: str) -> list[str]:
    """Where the page's links lead."""
    return _LINK.findall(_SPAN.sub("", prose(text)))


def spans(text: str) -> list[str]:
    """What stands in backticks."""
    return _SPAN.findall(prose(text))


def code(text: str) -> Iterator[str]:
    """Every line of code in a page: lines of its blocks, and what stands in backticks."""
    for block in blocks(text):
        yield from block.text.replace("\\\n", " ").splitlines()
    yield from spans(text)


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the page's headings."""
    found: set[str] = set()
    for title in _HEADING.findall(_FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "").lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 0
        while (numbered := f"{name}-{number}" if number else name) in found:
            number += 1
        found.add(numbered)
    return found


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its level or above."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found is not None, f"there is no heading {heading!r}"
    rest = text[found.end() :]
    following = re.search(
        rf"^#{{1,{len(found[1])}}} ", _FENCE.sub(lambda block: "`" * len(block[0]), rest), re.MULTILINE
    )
    return rest[: following.start()] if following else rest
