"""Settings come from the environment when they are built, say what is wrong by name, and keep secrets."""

from pathlib import Path

import pytest
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from libs.service.settings import ServiceSettings, load_settings, settings_markdown


class LedgerLike(ServiceSettings):
    """Settings as a service has them."""

    model_config = SettingsConfigDict(env_prefix="TALLYSTICK_LEDGER_")

    dsn: SecretStr = Field(description="The runtime role's database.")
    queue_max: int = Field(1000, ge=1, description="Commands that may wait.")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENV", "DATA", "PORT_BASE", "KAFKA", "JWKS_FILE", "LOG_LEVEL", "OTEL_ENDPOINT", "LEDGER_DSN"):
        monkeypatch.delenv(f"TALLYSTICK_{name}", raising=False)


def test_shared_and_own_variables_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TALLYSTICK_DATA", str(tmp_path))
    monkeypatch.setenv("TALLYSTICK_PORT_BASE", "9000")
    monkeypatch.setenv("TALLYSTICK_LEDGER_DSN", "postgresql://ledger:pw@localhost/ledger")
    settings = load_settings(LedgerLike)
    assert settings.service == "ledger"
    assert settings.port == 9001
    assert settings.kafka == f"file:{tmp_path}/broker.json"
    assert settings.jwks_file == tmp_path / "keys" / "jwks.json"
    assert settings.dsn.get_secret_value().endswith("@localhost/ledger")


def test_an_own_variable_is_not_read_without_the_services_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_QUEUE_MAX", "5")
    assert LedgerLike(dsn=SecretStr("x")).queue_max == 1000


def test_what_is_passed_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TALLYSTICK_KAFKA", "elsewhere:9092")
    monkeypatch.setenv("TALLYSTICK_DATA", "/nowhere")
    settings = LedgerLike(dsn=SecretStr("x"), kafka="here:9092", data=tmp_path)
    assert (settings.kafka, settings.data) == ("here:9092", tmp_path)
    assert settings.jwks_file == tmp_path / "keys" / "jwks.json"


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_OTEL_ENDPOINT", "")
    assert LedgerLike(dsn=SecretStr("x")).otel_endpoint is None


def test_nothing_embedded_in_production(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TALLYSTICK_ENV", "production")
    monkeypatch.setenv("TALLYSTICK_LEDGER_DSN", "postgresql://ledger:hunter2@localhost/ledger")
    with pytest.raises(SystemExit):
        load_settings(LedgerLike)
    said = capsys.readouterr().err
    assert "TALLYSTICK_KAFKA must name a real cluster" in said
    assert "hunter2" not in said
    monkeypatch.setenv("TALLYSTICK_KAFKA", "kafka:9092")
    assert load_settings(LedgerLike).env == "production"


def test_faults_are_said_by_the_variables_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TALLYSTICK_PORT_BASE", "secret-looking")
    monkeypatch.setenv("TALLYSTICK_LEDGER_QUEUE_MAX", "0")
    with pytest.raises(SystemExit) as ended:
        load_settings(LedgerLike)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    for variable in ("TALLYSTICK_PORT_BASE:", "TALLYSTICK_LEDGER_QUEUE_MAX:", "TALLYSTICK_LEDGER_DSN:"):
        assert variable in said
    assert "secret-looking" not in said


def test_a_refused_value_is_not_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLYSTICK_PORT_BASE", "hunter2")
    with pytest.raises(ValidationError) as refused:
        LedgerLike(dsn=SecretStr("x"))
    assert "hunter2" not in str(refused.value)


def test_a_secret_is_not_in_any_text_of_the_settings() -> None:
    settings = LedgerLike(dsn=SecretStr("postgresql://ledger:hunter2@localhost/ledger"))
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_the_page_lists_every_setting_with_its_meaning() -> None:
    page = settings_markdown([LedgerLike])
    assert "| `TALLYSTICK_LEDGER_DSN` | required | The runtime role's database. Secret. |" in page
    assert "| `TALLYSTICK_LEDGER_QUEUE_MAX` | `1000` | Commands that may wait. |" in page
    for name in ServiceSettings.model_fields:
        assert page.count(f"| `TALLYSTICK_{name.upper()}` |") == 1


def test_a_setting_without_a_meaning_is_refused_on_the_page() -> None:
    class Silent(ServiceSettings):
        model_config = SettingsConfigDict(env_prefix="TALLYSTICK_SILENT_")
        speed: int = 1

    with pytest.raises(ValueError, match=r"Silent\.speed has no description"):
        settings_markdown([Silent])
