"""Every kind of answer and refusal, whole, as callers get it, the events behind it, and the accounts in the end.

A change of one of them is a change of what callers see, or of what the log means.
`answers.json` is what they are; `python -m services.ledger.domain.tests.test_answers` writes it anew.
"""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from services.ledger.domain.tests.scenes import SCENES

FILE = Path(__file__).with_name("answers.json")


@pytest.mark.parametrize("scene", SCENES)
def test_answers_are_what_they_were(scene: str) -> None:
    expected = orjson.loads(FILE.read_bytes())[scene]
    told = orjson.loads(orjson.dumps(SCENES[scene]()))
    for now, before in zip(told, expected, strict=True):
        assert now == before


def _text() -> bytes:
    """One answer a line, so that a change of one is one line's difference."""
    scenes = []
    for name, scene in SCENES.items():
        lines = b",\n".join(b"  " + orjson.dumps(one) for one in scene())
        scenes.append(b'"%s": [\n%s\n]' % (name.encode(), lines))
    return b"{%s}\n" % b",\n".join(scenes)


if __name__ == "__main__":
    FILE.write_bytes(_text())
