"""Logs are one object per line, carry the fields of the work, and never a secret."""

import json
import logging
from typing import Any

import pytest
from pydantic import SecretStr

from libs.service.logs import JsonFormatter, TextFormatter, configure_logging, log_fields, redact

SECRETS = [
    "postgresql://ledger:hunter2@localhost:8032/ledger",
    "could not connect: postgresql://ledger:hunter2@db/ledger?sslmode=disable (refused)",
    "host=db user=ledger password=hunter2 dbname=ledger",
    "host=db password='hunter2' dbname=ledger",
    "Authorization: Bearer hunter2",
    "authorization: bearer eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJodW50ZXIyIn0.hunter2",
    "the token was eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbm4ifQ.hunter2",
]


def record(message: str = "hello", *args: object, **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("ledger.writer", logging.INFO, __file__, 1, message, args, None)
    vars(made).update(fields)
    return made


def failure(message: str) -> logging.LogRecord:
    made = record("failed")
    error = ValueError(message)
    made.exc_info = (ValueError, error, None)
    return made


def as_json(made: logging.LogRecord) -> dict[str, Any]:
    text = JsonFormatter("ledger").format(made)
    assert "\n" not in text
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def test_a_line_says_when_who_and_what() -> None:
    line = as_json(record("took %d", 5, batch=7, nested={"a": [1, None]}))
    assert line["time"].endswith("Z")
    assert line | {"time": ""} == {
        "time": "",
        "level": "info",
        "service": "ledger",
        "logger": "ledger.writer",
        "message": "took 5",
        "batch": 7,
        "nested": {"a": [1, None]},
    }


def test_fields_of_the_work_are_on_every_line_inside_it() -> None:
    with log_fields(request_id="r1", app="coins"), log_fields(app="vpn"):
        line = as_json(record(app="studio"))
        assert (line["request_id"], line["app"]) == ("r1", "studio")
        assert as_json(record())["app"] == "vpn"
    assert "request_id" not in as_json(record())


@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_are_blotted_out_wherever_they_stand(secret: str) -> None:
    for formatter in (JsonFormatter("ledger"), TextFormatter("ledger")):
        shown = [
            formatter.format(record(secret)),
            formatter.format(record("%s", secret)),
            formatter.format(record(detail=secret)),
            formatter.format(record(detail={"of": [secret]})),
            formatter.format(record(dsn=SecretStr(secret))),
        ]
        shown.append(formatter.format(failure(secret)))
        for text in shown:
            assert "hunter2" not in text


def test_what_is_no_secret_stays() -> None:
    for text in ("took 5 ms at 12:30", "see http://127.0.0.1:8001/docs", "user:ann@coins", "the password was wrong"):
        assert redact(text) == text


def test_a_field_cannot_replace_our_own() -> None:
    assert as_json(record(service="edge"))["service"] == "ledger"


def test_text_cannot_be_forged_or_steer_the_terminal() -> None:
    text = TextFormatter("ledger").format(record("user \x1b[2Jx\n12:00:00 ledger error forged", user="a\rb"))
    assert "\n" not in text
    assert "\x1b" not in text
    assert "\r" not in text


def test_text_shows_the_traceback_below() -> None:
    lines = TextFormatter("ledger").format(failure("broken")).splitlines()
    assert "failed" in lines[0]
    assert lines[-1] == "ValueError: broken"


@pytest.fixture
def _root_as_it_was() -> Any:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("_root_as_it_was")
def test_configured_logs_go_to_stderr_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("ledger", "info", "auto")
    logging.getLogger("x").info("shown")
    logging.getLogger("x").debug("not shown")
    logging.getLogger("httpx").info("not shown")
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert json.loads(line)["message"] == "shown"


@pytest.mark.usefixtures("_root_as_it_was")
def test_text_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("ledger", "warning", "text")
    logging.getLogger("x").warning("mind this", extra={"lag": 3})
    (line,) = capsys.readouterr().err.splitlines()
    assert "ledger" in line
    assert line.endswith("mind this lag=3")
