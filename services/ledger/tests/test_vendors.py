"""Vendors' list prices as a price book: exact, dated, with long prompts; what cannot be said is listed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from pydantic import ValidationError
from typer.testing import CliRunner

from libs.service.app_files import read_app_file
from services.ledger import vendors
from services.ledger.cli import ledger_cli
from services.ledger.cli.prices import with_models
from services.ledger.domain.config import ConfigDocument
from services.ledger.domain.pricing.book import compile_book
from services.ledger.domain.pricing.cost import ONE, cost
from services.ledger.domain.specs.prices import PricesSpec
from services.ledger.vendors import Terms, convert

NOW = datetime(2026, 6, 15, tzinfo=UTC)
TERMS = Terms(Decimal(100), "20")


def model(name: str, prices: ModelPrice | list[ConditionalPrice]) -> ModelInfo:
    """A model of a vendor's list."""
    return ModelInfo(id=name, match=ClauseEquals(equals=name), prices=prices)


def usd(**prices: str | TieredPrices) -> ModelPrice:
    """Dollars for a million of each."""
    return ModelPrice(**{key: Decimal(p) if isinstance(p, str) else p for key, p in prices.items()})


@pytest.fixture
def _lists(monkeypatch: pytest.MonkeyPatch) -> None:
    long = TieredPrices(base=Decimal("1.25"), tiers=[Tier(start=200_000, price=Decimal("2.5"))])
    earlier = ConditionalPrice(prices=usd(input_mtok="9"))
    dated = [
        earlier,
        ConditionalPrice(StartDateConstraint(date(2026, 1, 1)), prices=usd(input_mtok="3")),
        ConditionalPrice(StartDateConstraint(date(2026, 9, 1)), prices=usd(input_mtok="2")),
    ]
    off_peak = TimeOfDateConstraint(datetime.min.time(), datetime.min.time().replace(hour=8))
    models = [
        model("plain", usd(input_mtok="0.15", cache_read_mtok="0.075", output_mtok="0.6")),
        model("long", usd(input_mtok=long, output_mtok="10")),
        model("dated", dated),
        model("nightly", [earlier, ConditionalPrice(off_peak, prices=usd(input_mtok="1"))]),
        model("by request", usd(requests_kcount="5")),
        model("spoken", usd(input_mtok="1", input_audio_mtok="40")),
    ]
    provider = Provider(id="acme", name="Acme", api_pattern="acme", models=models)
    snapshot = type("Snapshot", (), {"providers": [provider]})
    monkeypatch.setattr(vendors, "get_snapshot", lambda: snapshot)


@pytest.mark.usefixtures("_lists")
def test_lists_become_credits_and_what_cannot_be_said_is_listed() -> None:
    found = convert(["acme"], [], TERMS, NOW)
    assert found.models == {
        "acme/plain": [{"input": "15", "cached": "7.5", "output": "60", "markup_percent": "20"}],
        "acme/long": [
            {
                "input": "125",
                "output": "1000",
                "long_input": [{"over": 200_000, "input": "250"}],
                "markup_percent": "20",
            }
        ],
        "acme/dated": [
            {"input": "300", "markup_percent": "20"},
            {"from": "2026-09-01T00:00:00Z", "input": "200", "markup_percent": "20"},
        ],
        "acme/spoken": [{"input": "100", "markup_percent": "20"}],
    }
    assert found.skipped == [
        ("acme/nightly", "its price depends on the time of day"),
        ("acme/by request", "it has no price for tokens"),
        ("acme/spoken", "without input_audio_mtok: the price book has no such unit"),
    ]
    assert set(convert([], ["plain", "acme/dated"], TERMS, NOW).models) == {"acme/plain", "acme/dated"}


def test_what_the_package_itself_works_out_is_what_a_charge_costs() -> None:
    from genai_prices.data_snapshot import get_snapshot

    found = convert(["openai", "google"], [], Terms(Decimal(100)), NOW)
    assert len(found.models) > 50
    spec = PricesSpec.model_validate({"models": found.models})
    book = compile_book(spec, 1, {"credits": 9}, "credits")
    used = {"input": 300_000, "cached": 100_000, "output": 2_000}
    for provider in get_snapshot().providers:
        for each in provider.models:
            name = f"{provider.id}/{each.id}"
            rates = {unit for unit, _ in spec.models[name][0].by_unit()} if name in found.models else set()
            if not {"input", "cached", "output"} <= rates:
                continue
            usage = vendors_usage(used)
            theirs = each.get_prices(NOW).calc_price(usage)["total_price"]
            card = book.card("model", name, "credits", None, int(NOW.timestamp() * 1_000_000))
            ours = cost(card, {unit: count * ONE for unit, count in used.items()}, 9).amount
            assert ours == theirs * 100 * 10**9, name


def vendors_usage(used: dict[str, int]) -> object:
    """The same use in the package's words."""
    from genai_prices import Usage

    return Usage(input_tokens=used["input"], cache_read_tokens=used["cached"], output_tokens=used["output"])


FILE = """app: studio
# What credits are.
assets:
  credits: {scale: 2}
prices:
  operations:
    text: {amount: "1"}   # a text
  # What models cost.
  models:
    old/one: {input: "1"}

policies: {revoke: absorb}
"""


def test_an_app_file_keeps_every_line_outside_of_its_models(tmp_path: Path) -> None:
    written = with_models(FILE, {"old/one": {"input": "1"}, "acme/plain": [{"input": "15"}]})
    added = '    acme/plain: {"input":"15"}\n    old/one: {"input":"1"}\n'
    assert written == FILE.replace('    old/one: {input: "1"}\n', added)
    without = FILE.replace('  # What models cost.\n  models:\n    old/one: {input: "1"}\n', "")
    bare = "app: studio\nassets: {credits: {scale: 2}}\n"
    for text in (without, bare):
        path = tmp_path / "studio.yaml"
        path.write_text(with_models(text, {"acme/plain": [{"input": "15"}]}))
        ConfigDocument.model_validate(read_app_file(path).parts["ledger"])
        assert list(read_app_file(path).parts["ledger"]["prices"]["models"]) == ["acme/plain"]


@pytest.mark.usefixtures("_lists")
def test_the_command_shows_the_difference_and_writes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "studio.yaml"
    path.write_text(FILE)
    arguments = ["prices", "import", "--app", "studio", "--credits-per-usd", "100", "--model", "plain"]
    shown = CliRunner().invoke(ledger_cli, [*arguments, "--file", str(path), "--dry-run"])
    assert shown.exit_code == 0
    assert "acme/plain" in shown.output
    assert path.read_text() == FILE
    CliRunner().invoke(ledger_cli, [*arguments, "--file", str(path)])
    assert "acme/plain: " in path.read_text()
    again = CliRunner().invoke(ledger_cli, [*arguments, "--file", str(path), "--dry-run"])
    assert "0 to change, 1 as they are" in again.output


def test_a_document_says_what_is_wrong_with_a_name() -> None:
    with pytest.raises(ValidationError):
        PricesSpec.model_validate({"models": {"by request": {"input": "1"}}})
