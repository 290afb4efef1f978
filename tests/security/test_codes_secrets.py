"""The pepper, the texts of made codes and tokens are in no log, at debug level and on error paths too."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.admin import Admin
from deploy.embedded.ports import free_port
from services.codes.tests.guard.gate import made_text
from tests.security.secrets_world import Caller, Deployment, Secrets, assert_nothing_said, deployment, eventually

SERVICE = ("-m", "services.codes")
TERMS = {"kind": "recharge", "amount": "5"}


@pytest.fixture
def place(postgres_server: Admin, tmp_path: Path) -> Iterator[Deployment]:
    """A deployment of codes that has been migrated, with a pepper."""
    with deployment(postgres_server, tmp_path, "codes") as made:
        pepper = made.secrets.add("the pepper", secrets.token_hex(32))
        made.secrets.add("the pepper's bytes as hex", pepper.encode().hex())
        (tmp_path / "keys" / "codes.pepper").write_text(pepper)
        assert made.run("migrate", *SERVICE, "migrate") == 0, made.said
        yield made


class Office(Caller):
    """A caller who keeps the texts of codes that were made, and of guesses, beside what else is secret."""

    def __init__(self, place: Deployment, port: int) -> None:
        super().__init__(place, port)
        self.texts = Secrets()

    def read(self, method: str, path: str, body: object = None) -> Any:
        """The JSON of an answer to an admin."""
        headers = {"Authorization": f"Bearer {self.token()}", "Idempotency-Key": secrets.token_hex(8)}
        return self.http.request(method, path, json=body, headers=headers).json()

    def keep(self, text: str) -> str:
        """Keep a text, as it is shown and as it is looked up."""
        self.texts.add(f"a code {len(self.texts.texts)}", text)
        self.texts.add(f"a code {len(self.texts.texts)} in one", text.replace("-", ""))
        return text

    def make(self) -> list[str]:
        """Make a code, and a batch that is exported."""
        found = [self.read("POST", "/v1/codes", TERMS)["code"]]
        batch = self.read("POST", "/v1/batches", {**TERMS, "count": 3})["id"]
        eventually(lambda: self.read("GET", f"/v1/batches/{batch}")["status"] == "ready", "the batch is made")
        answer = self.http.get(f"/v1/batches/{batch}/export", headers={"Authorization": f"Bearer {self.token()}"})
        found += [row["code"] for row in csv.DictReader(io.StringIO(answer.text))]
        assert len(found) == 4
        return [self.keep(text) for text in found]


def go_wrong(caller: Office, place: Deployment) -> None:
    """What is done with codes, rightly and wrongly, and what can go wrong inside."""
    first, second, third, fourth = caller.make()
    service = f"Bearer {caller.token('service', 'shop')}"

    def redeem(text: str, **more: object) -> int:
        return caller.ask("POST", "/v1/redemptions", {"code": text, "user": "ann", **more}, service)

    assert redeem(first) == 202
    assert redeem(first) == 404
    assert redeem(second, amount=1.5) == 400
    assert redeem(second, extra=second) == 400
    assert redeem(second * 50) == 400
    assert caller.ask("GET", f"/v1/codes?text={second}") == 200
    assert caller.ask("POST", "/v1/validations", {"code": second, "user": "ann"}, service) == 200
    assert [redeem(caller.keep(made_text()), user="eve") for _ in range(6)] == [404] * 5 + [429]
    assert caller.ask("POST", "/v1/codes", {**TERMS, "pattern": third}) in (201, 400)
    caller.forge("/v1/codes")
    # A table that is away: an error that nobody foresaw, with its traceback.
    place.admin.sql("ALTER TABLE redemptions RENAME TO away", database=place.database)
    assert redeem(third) == 500
    place.admin.sql("ALTER TABLE away RENAME TO redemptions", database=place.database)
    place.set_password(place.runtime, "another")
    place.disconnect()
    eventually(lambda: not caller.ready(), "it notices that the database is away")
    assert redeem(fourth) in (0, 500, 503)
    place.set_password(place.runtime, place.runtime_password)
    eventually(caller.ready, "it comes back")
    assert caller.ask("GET", "/metrics") == 200


def test_processes_that_meet_every_error_say_no_secret(place: Deployment) -> None:
    port = free_port()
    settings = {"TALLYSTICK_CODES_PORT": str(port), "TALLYSTICK_CODES_ANSWER_S": "0.1"}
    with (
        place.process("serve", *SERVICE, "serve", **settings),
        place.process("worker", *SERVICE, "worker", **settings),
    ):
        caller = Office(place, port)
        with caller.http:
            eventually(caller.ready, "codes are ready")
            go_wrong(caller, place)
    assert "Traceback" in place.said["serve"], "an error was met that nobody foresaw"
    assert place.said["worker"]
    for name, said in place.said.items():
        assert caller.texts.found_in(said) == [], name
    place.said["answers"] = "\n".join(caller.answers)
    assert_nothing_said(place)
