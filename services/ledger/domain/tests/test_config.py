"""An app's configuration: what it may say, what it comes to, and what may not change."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from services.ledger.domain.config import (
    AppConfig,
    ConfigDocument,
    canonical,
    check_successor,
    compile_config,
)
from services.ledger.domain.rejections import Rejected
from services.ledger.domain.state import Threshold

ASSETS: dict[str, Any] = {"assets": {"coins": {"scale": 0}}}
TWO: dict[str, Any] = {"assets": {"coins": {"scale": 0, "default": True}, "credits": {"scale": 2}}}


def document(**parts: Any) -> ConfigDocument:
    """A document with one asset, and these parts."""
    return ConfigDocument.model_validate({**ASSETS, **parts})


@pytest.mark.parametrize(
    "wrong",
    [
        {"assets": {}},
        {"assets": {"coins": {"scale": 10}}},
        {"assets": {"coins": {"scale": -1}}},
        {"assets": {"Coins!": {"scale": 0}}},
        {"assets": {"a": {"scale": 0}, "b": {"scale": 0}}},
        {"assets": {"a": {"scale": 0, "default": True}, "b": {"scale": 0, "default": True}}},
        {"earning_rules": {"start": {"amount": "1.5"}}},
        {"earning_rules": {"start": {"amount": "0"}}},
        {"earning_rules": {"start": {"amount": "1", "asset": "gold"}}},
        {"earning_rules": {"start": {"amount": "1", "expires_after_s": 0}}},
        {"earning_rules": {"start": {"amount": "1", "expires_after_s": 10**12}}},
        {"thresholds": [{"below": "10", "rearm_at": "9"}]},
        {"thresholds": [{"below": "x"}]},
        {"hold_limits": {"default_s": 10, "max_s": 5}},
        {"hold_limits": {"max_s": 10**12}},
        {"hold_limits": {"roles": {"service": {"default_s": 10, "max_s": 5}}}},
        {"policies": {"revoke": "forgive"}},
        {"policies": {"refund_grace_s": 10**12}},
        {"policies": {"top_up_url": "javascript:alert(1)"}},
        {"zone": "Mars/Olympus"},
        {"test_mode": {"clock_start": "2026-01-01T00:00:00"}},
        {"surprise": 1},
    ],
    ids=str,
)
def test_what_a_document_may_not_say(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        document(**wrong)


def test_the_only_asset_is_the_default_and_others_are_named() -> None:
    one = compile_config("coins", 1, document())
    assert one.asset(None) == one.asset("coins") == "coins"
    two = compile_config("coins", 1, ConfigDocument.model_validate(TWO))
    assert (two.asset(None), two.asset("credits"), two.scales) == ("coins", "credits", {"coins": 0, "credits": 2})
    with pytest.raises(Rejected) as refused:
        two.asset("gold")
    assert (refused.value.status, refused.value.code) == (404, "unknown_asset")


def test_amounts_are_read_by_the_scale_of_their_asset() -> None:
    parts = {
        "earning_rules": {"start": {"amount": "1.50", "asset": "credits", "group": "first", "expires_after_s": 60}},
        "thresholds": [{"below": "2.25", "rearm_at": "5", "asset": "credits"}, {"below": "10"}],
    }
    config = compile_config("coins", 3, ConfigDocument.model_validate({**TWO, **parts}))
    rule = config.rules["start"]
    assert (rule.asset, rule.amount, rule.remembered_as, rule.expires_after_us) == ("credits", 150, "first", 60_000_000)
    assert config.thresholds == {"credits": (Threshold(225, 500),), "coins": (Threshold(10, 10),)}


@pytest.mark.parametrize(
    ("role", "asked", "expected"),
    [("manager", None, (60, 100)), ("manager", 80, (80, 100)), ("service", None, (5, 10)), ("service", 99, (10, 10))],
)
def test_how_long_a_hold_lasts(role: str, asked: int | None, expected: tuple[int, int]) -> None:
    limits = {"default_s": 60, "max_s": 100, "roles": {"service": {"default_s": 5, "max_s": 10}}}
    assert compile_config("coins", 1, document(hold_limits=limits)).hold_seconds(role, asked) == expected


def test_what_is_recorded_reads_back_as_the_same_document() -> None:
    full = document(
        zone="Asia/Riyadh",
        earning_rules={"start": {"amount": "5"}},
        thresholds=[{"below": "1"}],
        test_mode={"clock_start": "2026-01-01T00:00:00Z"},
        switches={"holds": False},
    )
    text = canonical(full)
    assert ConfigDocument.model_validate_json(text) == full
    assert canonical(ConfigDocument.model_validate_json(text)) == text
    assert orjson.loads(canonical(document())) == ASSETS


@pytest.mark.parametrize(
    "successor",
    [
        {"assets": {"gems": {"scale": 0}}},
        {"assets": {"coins": {"scale": 2}}},
        {"test_mode": {"clock_start": "2026-01-01T00:00:00Z"}},
    ],
    ids=["removed", "rescaled", "test mode"],
)
def test_what_the_log_was_written_by_may_not_change(successor: dict[str, Any]) -> None:
    with pytest.raises(Rejected) as refused:
        check_successor(document(), document(**successor))
    assert (refused.value.status, refused.value.code) == (409, "config_conflict")


def test_anything_else_may_change() -> None:
    check_successor(None, document())
    check_successor(document(), ConfigDocument.model_validate({**TWO, "zone": "Asia/Riyadh"}))


def test_the_version_in_force_at_a_time() -> None:
    first = compile_config("coins", 1, document(), 100)
    second = compile_config("coins", 2, document(), 200, first)
    third = compile_config("coins", 3, document(), 300, second)

    assert [third.at(time_us).version for time_us in (50, 100, 199, 200, 250, 300, 400)] == [1, 1, 1, 2, 2, 3, 3]
    assert first.at(400).version == 1


def test_the_price_version_is_that_of_the_configuration_in_which_the_prices_first_stood() -> None:
    def then(earlier: AppConfig | None, version: int, price: str, zone: str) -> AppConfig:
        prices = {"operations": {"text": {"amount": price}}}
        document = ConfigDocument.model_validate({"assets": {"coins": {"scale": 0}}, "prices": prices, "zone": zone})
        return compile_config("coins", version, document, 0, earlier)

    first = then(None, 1, "1", "UTC")
    moved = then(first, 2, "1", "Europe/Berlin")
    dearer = then(moved, 3, "2", "Europe/Berlin")
    back = then(dearer, 4, "1", "Europe/Berlin")
    assert [config.book.version for config in (first, moved, dearer, back)] == [1, 1, 3, 4]
    assert moved.book.card("price", "text", "coins", None, 0).version == 1
