"""Files that are generated and committed: ``python -m deploy.generated write|check``, by ``make generate|check``.

The contracts of events have their own generator, which also refuses what would break their readers.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deploy import stubs, typescript
from libs.events import schemas
from libs.service.settings import settings_markdown
from services.codes.settings import CodesSettings
from services.ledger.settings import LedgerSettings
from services.meter.settings import MeterSettings

ROOT = Path(__file__).parents[1]


def settings_page() -> str:
    """Every setting of every service."""
    return settings_markdown([LedgerSettings, CodesSettings, MeterSettings])


PAGES: Mapping[str, Callable[[], str]] = {"docs/settings.md": settings_page, **typescript.PAGES}


def stale(root: Path, pages: Mapping[str, str]) -> list[str]:
    """The files that are not as they would be written now."""
    return [name for name, text in pages.items() if not (root / name).exists() or (root / name).read_text() != text]


def write(root: Path, pages: Mapping[str, str]) -> None:
    """Writes the files."""
    for name, text in pages.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def main(arguments: Sequence[str]) -> int:
    """Writes the files, or names those that are not current; the exit code is 0 or 1."""
    if list(arguments) not in (["write"], ["check"]):
        sys.exit("usage: python -m deploy.generated write|check")
    pages = {**{name: make() for name, make in PAGES.items()}, **stubs.pages(ROOT)}
    code = schemas.main(arguments)
    if arguments[0] == "write":
        write(ROOT, pages)
        return code
    old = stale(ROOT, pages)
    for name in old:
        sys.stderr.write(f"{name} is not current: make generate\n")
    return 1 if old else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
