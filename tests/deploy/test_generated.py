"""Generated files: what is old is named, and writing makes it current."""

from pathlib import Path

from deploy.generated import stale, write


def test_a_file_is_stale_until_it_is_written_as_it_should_be(tmp_path: Path) -> None:
    pages = {"docs/one.md": "one\n", "docs/two.md": "two\n"}
    assert stale(tmp_path, pages) == ["docs/one.md", "docs/two.md"]
    write(tmp_path, pages)
    assert stale(tmp_path, pages) == []
    (tmp_path / "docs/two.md").write_text("changed by hand\n")
    assert stale(tmp_path, pages) == ["docs/two.md"]
