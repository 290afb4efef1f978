"""The measure measured: what it sends is what the ledger takes, and what it prints follows from what it saw."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import orjson
import pytest

from bench import kafka
from bench.__main__ import PARTS, parsed
from bench.http import CHARGES, GRANTS, batches
from bench.load import Plan, is_whole, requests_of
from bench.machine import Usage
from bench.report import Report, Target
from bench.rounds import Sample, Series, Side, cost_ratio, ratio, take_turns
from bench.world import CHARGE, CONFIG, GRANT, ROOT
from libs.events.contracts.ledger.commands import ChargeCredits, GrantCredits
from libs.events.envelope import Envelope, from_record, to_headers
from services.ledger.domain.config import ConfigDocument

CALM, BUSY = Usage(others=0.01, ours=0.9), Usage(others=0.5, ours=0.4)


def series(*rounds: tuple[float, Usage], **costs: float) -> Series:
    """A side's rounds at these rates."""
    return Series("side", [Sample(per_s, cost_us=costs) for per_s, _ in rounds], [usage for _, usage in rounds])


def plan(path: str, body: str, users: list[str]) -> Plan:
    return Plan(port=8001, path=path, token="secret", body=body, users=users, clients=1, run="run")


@pytest.mark.parametrize(("path", "body", "model"), [(CHARGES, CHARGE, ChargeCredits), (GRANTS, GRANT, GrantCredits)])
def test_requests_are_what_the_ledger_takes(
    path: str, body: str, model: type[ChargeCredits] | type[GrantCredits]
) -> None:
    sent = list(islice(requests_of(plan(path, body, ["ann", "ben"])), 4))
    users, keys = [], set()
    for request in sent:
        head, _, content = request.partition(b"\r\n\r\n")
        line, *fields = head.decode().split("\r\n")
        headers = dict(field.split(": ", 1) for field in fields)
        assert line == f"POST {path} HTTP/1.1"
        assert headers["Authorization"] == "Bearer secret"
        assert int(headers["Content-Length"]) == len(content)
        keys.add(headers["Idempotency-Key"])
        users.append(model.model_validate_json(content).user)
    assert sorted(users) == ["ann", "ann", "ben", "ben"]
    assert len(keys) == 4


def test_the_app_that_is_measured_is_one() -> None:
    ConfigDocument.model_validate(CONFIG)


def test_commands_over_kafka_are_what_the_ledger_takes() -> None:
    messages = kafka._messages(["ann", "ben"], 3, "run")
    assert len({message.id for message in messages} | {message.idempotency_key for message in messages}) == 6
    for message in messages:
        read = from_record(to_headers(message), message.data)
        assert isinstance(read, Envelope)
        assert ChargeCredits.model_validate(orjson.loads(read.data)).user == message.subject


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (b"HTTP/1.1 201 Created\r\ncontent-length: 4\r\n", False),
        (b"HTTP/1.1 201 Created\r\ncontent-length: 4\r\n\r\nabc", False),
        (b"HTTP/1.1 201 Created\r\ncontent-length: 4\r\n\r\nabcd", True),
        (b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", True),
    ],
)
def test_an_answer_is_whole_when_all_of_it_is_there(answer: bytes, whole: bool) -> None:
    assert is_whole(answer) is whole


def test_an_answer_without_a_length_is_an_error() -> None:
    with pytest.raises(ConnectionError, match="without a length"):
        is_whole(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabcd")


def test_a_rate_is_the_median_of_the_calm_rounds() -> None:
    assert series((100, CALM), (300, CALM), (900, BUSY)).per_s == 200
    assert series((100, BUSY), (300, BUSY), (500, BUSY)).per_s == 300
    assert series((100, CALM), (900, BUSY)).spread == (100, 900)


def test_ratios_are_of_neighbouring_rounds() -> None:
    """The machine was half as fast in the second round: both sides were."""
    assert ratio(series((100, CALM), (50, CALM)), series((200, CALM), (100, CALM))) == 0.5
    assert ratio(series((100, CALM), (90, CALM)), series((200, CALM), (100, BUSY))) == 0.5


def test_what_costs_half_does_twice_as_much() -> None:
    assert cost_ratio(series((1, CALM), ledger=30.0, postgres=20.0), series((1, CALM), postgres=100.0)) == 2.0
    assert cost_ratio(series((1, CALM)), series((1, CALM), postgres=100.0)) is None


def test_every_second_round_goes_backwards() -> None:
    order: list[str] = []

    def side(name: str) -> Side:
        def run() -> Sample:
            order.append(name)
            return Sample(1.0)

        return Side(name, run)

    found = take_turns([side("a"), side("b")], 2, lambda _line: None)
    assert order == ["a", "b", "b", "a"]
    assert [len(each.samples) for each in found.values()] == [2, 2]


@pytest.mark.parametrize(
    ("value", "must", "aim", "lower", "verdict"),
    [
        (1.3, 0.8, 1.2, False, "aim met"),
        (1.0, 0.8, 1.2, False, "met"),
        (0.7, 0.8, 1.2, False, "missed"),
        (None, 0.8, None, False, "missed"),
        (0.5, None, 1.0, False, "aim missed"),
        (None, None, 1.0, False, ""),
        (4.9, 5.0, None, True, "met"),
        (5.1, 5.0, None, True, "missed"),
    ],
)
def test_verdicts(value: float | None, must: float | None, aim: float | None, lower: bool, verdict: str) -> None:
    assert Target("target", value, must, aim, lower_is_better=lower).verdict == verdict


def test_batches_are_told_from_two_looks_at_the_metrics() -> None:
    before = {
        "ledger_batch_commands_count": 10.0,
        "ledger_batch_commands_sum": 100.0,
        "ledger_append_duration_seconds_count": 10.0,
        "ledger_append_duration_seconds_sum": 1.0,
        "process_cpu_seconds_total": 5.0,
    }
    after = {name: value * 2 for name, value in before.items()}
    told = "10 commands a batch, 100.0 ms an append, 5.0 s of its own processor time"
    assert batches(before, after) == told


def test_a_report_says_what_could_not_be_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(series={"side": series((100, BUSY), ledger=10.0)}, targets=[Target("target", None, 1.0, None)])
    report.failed("http", RuntimeError("no [luck]"))
    report.print()
    printed = capsys.readouterr().out
    assert "http was not measured: no [luck]" in printed
    assert "busy with other things in 1 of 1 rounds" in printed
    report.write(tmp_path / "report.json")
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["failures"] == {"http": "no [luck]"}
    assert written["series"]["side"]["per_s"] == 100
    assert written["targets"][0]["verdict"] == "missed"


def test_what_is_asked_for() -> None:
    usual, quick = parsed([]), parsed(["--quick"])
    assert (usual.parts, usual.rounds, usual.seconds) == (set(PARTS), 5, 4.0)
    assert (quick.parts, quick.rounds, quick.seconds) == ({"http", "kafka"}, 3, 2.0)
    assert parsed(["--only", "start,size", "--rounds", "1"]).parts == {"start", "size"}
    with pytest.raises(SystemExit):
        parsed(["--only", "luck"])


@pytest.mark.postgres
@pytest.mark.timeout(300)
def test_a_short_run_measures_something(tmp_path: Path) -> None:
    options = ["--quick", "--only", "http", "--rounds", "1", "--seconds", "0.5", "--accounts", "100"]
    command = [sys.executable, "-m", "bench", *options, "--data", str(tmp_path), "--json", str(tmp_path / "report")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report").read_text())
    assert report["failures"] == {}
    rates = {name: found["per_s"] for name, found in report["series"].items()}
    assert {"HTTP, 64 clients, spread", "pgbench, 64 clients, hot"} <= rates.keys()
    assert all(rate > 0 for rate in rates.values())
    assert {target["name"] for target in report["targets"]} >= {"HTTP spread / pgbench spread"}
    assert "Targets" in done.stdout
    assert list(tmp_path.iterdir()) == [tmp_path / "report"], "what was made for it is removed"
