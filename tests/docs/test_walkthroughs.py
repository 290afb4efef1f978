"""The pages' examples do what the pages say, word for word but for ports and the data directory."""

from __future__ import annotations

import re

import pytest

from tests.docs.markdown import ROOT, blocks, section
from tests.docs.walkthrough import Reader


@pytest.mark.postgres
@pytest.mark.timeout(600)
def test_examples(at_a_new_suite: Reader) -> None:
    """README's first, since it shows positions of a log in which nothing else has happened."""
    readme = section((ROOT / "README.md").read_text(), "From clone to a refused charge")
    without_start = readme[blocks(readme)[0].end :]
    assert at_a_new_suite.follow(without_start) == 4
    guide = (ROOT / "docs/api-guide.md").read_text()
    assert at_a_new_suite.follow(guide) >= 10
    assert at_a_new_suite.follow((ROOT / "docs/budgets.md").read_text()) >= 7
    assert at_a_new_suite.follow((ROOT / "docs/allowances.md").read_text()) == 4
    assert at_a_new_suite.follow((ROOT / "docs/doors.md").read_text()) == 2
    assert at_a_new_suite.follow((ROOT / "docs/pricing.md").read_text()) >= 5
    assert at_a_new_suite.follow((ROOT / "docs/streams.md").read_text()) == 2
    assert at_a_new_suite.follow((ROOT / "docs/codes.md").read_text()) == 4
    assert at_a_new_suite.follow((ROOT / "docs/referrals.md").read_text()) == 6


def test_a_wrong_page_is_noticed() -> None:
    """Another status, another member, another value, one that is missing, an id that changed."""
    answer = '{"id":"hold_0b01M7Z4J0447HSFGJVPQQ0E3DM3","amount":"4","position":9}\n201'
    somebody = Reader({}, {})
    somebody.compare('{"id":"hold_0001M7Z4J04P8Y55SJWFDHF6EQN4",\n "amount":"4","position":1}\n201', answer, "")
    somebody.compare('{"amount":"4", …}\n201', answer, "")
    somebody.compare("3 events in 1.2 s.", "14 events in 0.9 s.\n", "")
    for wrong in (
        '{"amount":"4", …}\n200',
        '{"amount":"5", …}\n201',
        '{"amount":"4"}\n201',
        '{"amount":"4","user":"ada", …}\n201',
        '{"id":"hold_0001M7Z4J04P8Y55SJWFDHF6EQN5", …}\n201'.replace("hold", "charge"),
    ):
        with pytest.raises(AssertionError):
            somebody.compare(wrong, answer, "")
    with pytest.raises(AssertionError):
        somebody.compare("3 events in 1.2 s.", "3 events are missing.", "")
    other = re.sub("DM3", "DM4", answer)
    with pytest.raises(AssertionError):
        somebody.compare('{"id":"hold_0001M7Z4J04P8Y55SJWFDHF6EQN4", …}\n201', other, "")
