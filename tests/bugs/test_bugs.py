"""The short form of `python -m tests.bugs`: every bug still has its place in the product, and some are tried."""

from __future__ import annotations

import pytest

from tests.bugs.bug import ROOT, Bug, BugGoneError, Edit
from tests.bugs.catalogue import ALL, BY_NAME
from tests.bugs.trial import try_bug

TRIED = ("expiry-by-job-only", "no-position-check", "relay-checkpoint-before-acknowledgement")
"""One of the rules, one of the database, one of messaging."""


@pytest.mark.parametrize("bug", ALL, ids=lambda bug: bug.name)
def test_a_bug_has_its_place_in_the_product(bug: Bug) -> None:
    """When the code that a bug changes is rewritten, the bug is rewritten too; it never just vanishes."""
    for path in bug.paths:
        text = bug.text(path)
        assert text != (ROOT / path).read_text(encoding="utf-8")
        if path.endswith(".py"):
            compile(text, path, "exec")
    for test in bug.tests:
        assert (ROOT / test.split("::")[0]).exists(), test


def test_names_are_used_once() -> None:
    assert len(BY_NAME) == len(ALL)


def test_a_bug_whose_place_is_gone_is_told() -> None:
    with pytest.raises(BugGoneError, match="0 times, not 1"):
        Edit("libs/events/partition.py", "what is not there", "anything").apply("a text")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", TRIED)
def test_the_tests_catch_it(name: str) -> None:
    verdict = try_bug(BY_NAME[name])
    assert verdict.caught, verdict


@pytest.mark.timeout(300)
def test_a_trial_that_never_meets_its_bug_is_none() -> None:
    """A test that fails for another reason, or does not read what was changed, has not caught the bug."""
    bug = BY_NAME["partition-by-python-hash"]
    blind = Bug(bug.name, bug.wrong, bug.violates, bug.edits, ("services/ledger/domain/tests/test_chain.py",))
    verdict = try_bug(blind)
    assert not verdict.caught
    gone = Bug(bug.name, bug.wrong, bug.violates, bug.edits, ("libs/events/tests/test_partition.py::test_gone",))
    assert "pytest ended with 4" in try_bug(gone).problem
