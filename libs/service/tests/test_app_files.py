"""App files are read with few surprises and split by owner."""

from pathlib import Path

import pytest

from libs.service.app_files import OWNERS, SHARED_KEYS, AppFileError, read_app_file


def write(directory: Path, text: str) -> Path:
    path = directory / "app.yaml"
    path.write_text(text)
    return path


def test_each_owner_gets_its_keys_and_the_shared_ones(tmp_path: Path) -> None:
    text = "app: coins\nzone: UTC\nassets: {credit: {scale: 2}}\ncodes: {}\nplans: {}\ntax: {}\nsegments: []\n"
    file = read_app_file(write(tmp_path, text))
    assert file.app == "coins"
    assert file.parts == {
        "ledger": {"zone": "UTC", "assets": {"credit": {"scale": 2}}},
        "codes": {"zone": "UTC", "codes": {}},
    }
    assert file.passed_over == {"payments": ["plans", "tax"], "crm": ["segments"]}


def test_a_key_has_one_owner() -> None:
    keys = [key for owned in OWNERS.values() for key in owned] + list(SHARED_KEYS)
    assert len(keys) == len(set(keys))


def test_scalars_mean_what_they_look_like(tmp_path: Path) -> None:
    text = (
        "app: coins\nswitches:\n"
        "  yes_word: yes\n  language: no\n  on_word: on\n  truth: true\n  lie: false\n"
        "  time: 22:00\n  date: 2026-01-31\n  moment: 2026-01-31T00:00:00Z\n"
        "  octal: 010\n  whole: 10\n  minus: -3\n  part: 1.50\n  big: 1_000\n  nothing: null\n  empty:\n  quoted: '5'\n"
    )
    assert read_app_file(write(tmp_path, text)).parts["ledger"]["switches"] == {
        "yes_word": "yes",
        "language": "no",
        "on_word": "on",
        "truth": True,
        "lie": False,
        "time": "22:00",
        "date": "2026-01-31",
        "moment": "2026-01-31T00:00:00Z",
        "octal": "010",
        "whole": 10,
        "minus": -3,
        "part": 1.5,
        "big": "1_000",
        "nothing": None,
        "empty": None,
        "quoted": "5",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an app file is a mapping"),
        ("- a\n", "an app file is a mapping"),
        ("zone: UTC\n", "`app` must be"),
        ("app: 7\n", "`app` must be"),
        ("app: Coins\n", "`app` must be"),
        ("app: coins\nasets: {}\n", "unknown key `asets`; did you mean `assets`"),
        ("app: coins\nxyzzy: {}\n", "unknown key `xyzzy`$"),
        ("app: coins\nassets: {a: 1, a: 2}\n", "`a` stands twice"),
        ("app: coins\nassets: {1: 2}\n", "the key 1 is not text"),
        ("app: coins\nassets: {[1]: 2}\n", "is not text"),
        ("app: coins\nassets: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        ("app: [coins\n", "line 2"),
        ("app: \x00\n", "special characters"),
        ("app: coins\nassets: " + "[" * 5000, "app.yaml: "),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(AppFileError, match=message):
        read_app_file(write(tmp_path, text))


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(AppFileError, match="No such file"):
        read_app_file(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(AppFileError):
        read_app_file(tmp_path / "binary.yaml")
