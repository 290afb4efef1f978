"""What the pages name is there: pages and headings, files, commands and their options, settings, codes."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from libs.service.cli import root
from services.ledger.refusals import NEXT
from tests.docs.markdown import ROOT, anchors, blocks, code, links, pages, spans

PAGES = pages()
LEDGER = ROOT / "services/ledger"
_MAKE = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*make ([a-z][a-z-]*)")
_TALLYSTICK = re.compile(r"(?:^|\$\(|^(?:[A-Z_]+=\S+ )+)(?:\.venv/bin/)?tallystick ([^)#|…]+)")
_COMPOSE = re.compile(
    r"docker compose (?:run --rm cli|exec ledger tallystick|run --rm --entrypoint tallystick \S+) ([^)#|…]+)"
)
_SETTING = re.compile(r"\bTALLYSTICK_[A-Z][A-Z_]*[A-Z]\b")
_ROOMS = sorted(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))
_FILE = re.compile(rf"^(?:(?:{'|'.join(_ROOMS)})/[\w./*-]*|[\w.-]+(?:/[\w.*-]+)+\.(?:py|sql|ya?ml|toml|md|sh))$")
_CODE = re.compile(r"`([a-z_]+)`")
_OF_OTHERS = {
    # The client's own, which docs/client.md explains; the tests'; an example's.
    "TALLYSTICK_URL",
    "TALLYSTICK_TOKEN",
    "TALLYSTICK_APP",
    "TALLYSTICK_TEST_CONTAINERS",
    "TALLYSTICK_DEMO_DSN",
}


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_all_pages_are_looked_at() -> None:
    """Those that everybody starts from are among them, and nobody else's."""
    names = {_name(page) for page in PAGES}
    assert {
        "README.md",
        "CHANGELOG.md",
        "docs/README.md",
        "docs/runbooks/README.md",
        "services/ledger/README.md",
    } <= names
    assert not [name for name in names if name.startswith(".")]


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    """To files and headings of the repository; what lies elsewhere is not asked."""
    broken = []
    for link in links(page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page if not path else (page.parent / path).resolve()
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_named_files_exist(page: Path) -> None:
    """From the root, from where the page lies, or from the ledger's rooms, as the decisions name them."""
    named = [span for span in spans(page.read_text()) if _FILE.match(span)]
    missing = [path for path in named if not any(_found(place, path) for place in (ROOT, page.parent, LEDGER))]
    assert not missing


def test_places_of_the_readme_exist() -> None:
    """Each line of its tree."""
    tree = next(block.text for block in blocks((ROOT / "README.md").read_text()) if "libs/events/" in block.text)
    places = [line.split()[0] for line in tree.splitlines()]
    assert len(places) == 16
    assert not [place for place in places if not (ROOT / place).exists()]


def _found(place: Path, path: str) -> bool:
    return any(place.glob(path)) if "*" in path else (place / path).exists()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_make_targets_exist(page: Path) -> None:
    """Of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {found[1] for line in code(page.read_text()) if (found := _MAKE.match(line.strip()))}
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands_exist(page: Path) -> None:
    """Every `tallystick …`, and its options."""
    text = page.read_text()
    unknown = [line for line in _commands(text) if not _is_known(shlex.split(line))]
    assert not unknown


def _commands(text: str) -> Iterator[str]:
    for line in code(text):
        for pattern in (_TALLYSTICK, _COMPOSE):
            yield from pattern.findall(line.strip())


def _is_known(words: list[str]) -> bool:
    command = get_command(root())
    while words and (children := getattr(command, "commands", None)) and not words[0].startswith("-"):
        if words[0] not in children:
            return False
        command = children[words.pop(0)]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    return {word.partition("=")[0] for word in words if word.startswith("-")} <= options | {"--help"}


def test_unknown_commands_are_noticed() -> None:
    """A sub-command and an option that are not there."""
    assert _is_known(["ledger", "verify", "--jobs", "2"])
    assert not _is_known(["ledger", "prove"])
    assert not _is_known(["ledger", "verify", "--quickly"])
    assert list(_commands("Do `tallystick ledger prove` now.")) == ["ledger prove"]


def test_every_command_is_described() -> None:
    """In the table of operations."""
    said = set(_commands((ROOT / "docs/operations.md").read_text()))
    assert {" ".join(path) for path in _leaves(get_command(root()))} <= said


def _leaves(command: object, *path: str) -> Iterator[tuple[str, ...]]:
    children = getattr(command, "commands", None)
    if not children:
        yield path
        return
    for name, child in children.items():
        yield from _leaves(child, *path, name)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_settings_exist(page: Path) -> None:
    """In the page that is made from the settings themselves."""
    known = set(_SETTING.findall((ROOT / "docs/settings.md").read_text()))
    assert set(_SETTING.findall(page.read_text())) <= known | _OF_OTHERS


def test_every_code_is_in_the_guide() -> None:
    """What the routes say that they may refuse with, under its status; and every refusal that has an advice."""
    contract = json.loads((ROOT / "docs/contracts/ledger/openapi.json").read_text())
    routes = {
        (status, code)
        for route in contract["paths"].values()
        for method in route.values()
        for status, answer in method["responses"].items()
        for code in _CODE.findall(answer["description"])
    }
    guide = (ROOT / "docs/api-guide.md").read_text()
    table = re.findall(r"^\| (\d{3}) \| (.+?) \|", guide, re.MULTILINE)
    said = {(status, code) for status, codes in table for code in _CODE.findall(codes)}
    assert routes <= said
    assert NEXT.keys() <= set(_CODE.findall(guide))
