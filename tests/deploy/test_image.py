"""The image: what it copies exists, and it holds the runtime's packages only."""

import re

from tests.deploy.compose import ROOT

DOCKERFILE = (ROOT / "deploy/Dockerfile").read_text()
ALLOWED = {
    line.removeprefix("!")
    for line in (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines()
    if line.startswith("!")
}


def test_what_it_copies_exists_and_is_not_ignored() -> None:
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert copied == ALLOWED
    assert all((ROOT / source).exists() for source in copied)


def test_it_installs_by_hash_and_not_what_only_developers_need() -> None:
    assert "--require-hashes -r requirements.lock" in DOCKERFILE
    assert "requirements-dev.lock" not in DOCKERFILE


def test_it_does_not_run_as_root() -> None:
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    users = re.findall(r"^USER (\S+)$", final, re.MULTILINE)
    assert users == ["10001:10001"]
