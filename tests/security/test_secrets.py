"""No secret is ever said: by a process at debug level on its error paths, by `/metrics`, by `/readyz`, in a refusal."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.embedded.admin import Admin
from deploy.embedded.ports import free_port
from services.ledger.cli import cli
from tests.security.estate import MARK
from tests.security.secrets_world import (
    PASSWORD_SIGNS,
    Caller,
    Deployment,
    assert_nothing_said,
    deployment,
    eventually,
)

SERVE = ("-m", "services.ledger", "serve")
RELAY = ("-m", "services.ledger", "relay")
MIGRATE = ("-m", "services.ledger", "migrate")


@pytest.fixture
def place(postgres_server: Admin, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment that has been migrated, with a key that is a secret too."""
    with deployment(postgres_server, tmp_path) as made:
        assert made.run("migrate", *MIGRATE) == 0, made.said
        yield made


def go_wrong(caller: Caller, place: Deployment) -> None:
    """Everything that a caller can do wrong, and everything that can go wrong inside."""
    text = {"user": "ann", "amount": "5", "description": f"{MARK} confession", "metadata": {"note": f"{MARK} diary"}}
    place.secrets.add("erasable text", f"{MARK} confession")
    place.secrets.add("erasable metadata", f"{MARK} diary")
    assert caller.ask("PUT", "/v1/config", {"assets": {"coins": {"scale": 2}}}) == 200
    assert caller.ask("POST", "/v1/grants", text) == 201
    assert caller.ask("POST", "/v1/charges", {**text, "amount": "3"}) == 201
    assert caller.ask("POST", "/v1/charges", {**text, "amount": "300"}) == 402
    assert caller.ask("POST", "/v1/charges", {**text, "amount": 1.5}) == 400
    assert caller.ask("POST", "/v1/charges", {**text, "metadata": f"{MARK} diary"}) == 400
    assert caller.ask("POST", "/v1/charges", {**text, "description": "x" * 70_000}) == 413
    assert caller.ask("POST", "/v1/grants", {**text, "asset": "gold"}) == 404
    assert caller.ask("GET", "/v1/accounts/eve/state", None, f"Bearer {caller.token('user')}") == 403
    caller.forge("/v1/statistics")
    # A table that is away: an error that nobody foresaw, with its traceback.
    place.admin.sql("ALTER TABLE lots RENAME TO away", database=place.database)
    caller.ask("GET", "/v1/accounts/ann/lots")
    caller.ask("POST", "/v1/grants", text)
    place.admin.sql("ALTER TABLE away RENAME TO lots", database=place.database)
    place.disconnect()
    caller.ask("POST", "/v1/grants", text)
    # A password that is no longer good.
    place.set_password(place.runtime, "another")
    place.disconnect()
    eventually(lambda: not caller.ready(), "it notices that the database is away")
    for method, path in (("GET", "/v1/accounts/ann/state"), ("GET", "/v1/statistics"), ("GET", "/v1/config")):
        caller.ask(method, path)
    caller.ask("POST", "/v1/grants", text)
    place.set_password(place.runtime, place.runtime_password)
    eventually(caller.ready, "it comes back")
    for path in ("/metrics", "/readyz", "/livez", "/openapi.json", "/docs"):
        assert caller.ask("GET", path) == 200


def add_salts(place: Deployment) -> None:
    for number, line in enumerate(place.admin.sql("SELECT encode(salt, 'hex') FROM texts", database=place.database)):
        salt = bytes.fromhex(line)
        place.secrets.add(f"salt {number}", line)
        place.secrets.add(f"salt {number} as Python says it", repr(salt)[2:-1])


@pytest.mark.parametrize("log_format", ["json", pytest.param("text", marks=pytest.mark.campaign)])
def test_processes_that_meet_every_error_say_no_secret(place: Deployment, log_format: str) -> None:
    port = free_port()
    settings = {
        "TALLYSTICK_LOG_FORMAT": log_format,
        "TALLYSTICK_LEDGER_PORT": str(port),
        "TALLYSTICK_LEDGER_GRPC_PORT": "0",
        "TALLYSTICK_LEDGER_LEASE_RENEW_S": "0.2",
    }
    with (
        place.process("serve", *SERVE, **settings),
        place.process("relay", "-m", "services.ledger", "relay", **settings),
    ):
        caller = Caller(place, port)
        with caller.http:
            eventually(caller.ready, "the ledger is ready")
            go_wrong(caller, place)
    add_salts(place)
    assert len(place.secrets.texts) > 50
    place.said["answers"] = "\n".join(caller.answers)
    assert "Traceback" in place.said["serve"], "an error was met that nobody foresaw"
    assert "password authentication failed" in place.said["serve"]
    assert place.said["relay"]
    assert_nothing_said(place)


def test_processes_that_cannot_start_say_no_secret(place: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    good = place.dsn(place.runtime, place.runtime_password)
    unquoted = f"postgresql://{place.runtime}:{place.runtime_password}@127.0.0.1:{place.admin.port}/{place.database}"
    wrong = {
        "a wrong password": good.replace("@", "x@"),
        "no such database": good.replace(place.database + "?", "nothing?"),
        "a password that was not quoted": unquoted,
        "an unknown option": f"{good}&nonsense=1",
        "a port that is none": good.replace(f":{place.admin.port}/", ":x/"),
        "a scheme that is none": good.replace("postgresql:", "mysql:"),
        "keywords": f"host=127.0.0.1 user={place.runtime} password={place.runtime_password.split(PASSWORD_SIGNS)[0]}",
        "an unknown TLS mode": good.replace("sslmode=disable", "sslmode=nonsense"),
    }
    for what, dsn in wrong.items():
        monkeypatch.setenv("TALLYSTICK_LEDGER_DSN", dsn)
        result = CliRunner().invoke(cli, ["ledger", "verify"])
        assert result.exception is not None, what
        place.said[f"verify: {what}"] = result.output + "".join(traceback.format_exception(result.exception))
    for what in ("a password that was not quoted", "a wrong password"):
        assert place.run(f"migrate: {what}", *MIGRATE, TALLYSTICK_LEDGER_OWNER_DSN=wrong[what]) == 1, what
        assert "Traceback" in place.said[f"migrate: {what}"]
    faulty = {"TALLYSTICK_LEDGER_QUEUE_MAX": "many", "TALLYSTICK_LEDGER_POOL_MAX": "0"}
    assert place.run("bad settings", *SERVE, **faulty) == 2
    (place.data / "keys" / "jwks.json").write_text("{}")
    assert place.run("no keys", *SERVE) != 0
    assert_nothing_said(place)
