"""The root command, run as its users run it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jwt
import orjson
import pytest

from libs.service.auth import ROLE_SCOPES, Authenticator
from libs.service.clock import SystemClock
from libs.service.keys import ensure_keys
from libs.service.tests.config_server import ConfigServer

Run = Callable[..., "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).parents[3]

COINS = """
app: coins
zone: Asia/Baku
test_mode: {clock_start: 2026-01-01T00:00:00Z}
assets:
  credit: {scale: 2}
thresholds: [{at: "5"}]
packages:
  small: {price_minor: 500}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    ensure_keys(tmp_path / ".data" / "keys", tmp_path / ".data" / "keys" / "jwks.json")
    return tmp_path


@pytest.fixture
def server(home: Path) -> Iterator[ConfigServer]:
    with ConfigServer(Authenticator(home / ".data" / "keys" / "jwks.json", "ledger", SystemClock())) as running:
        yield running


@pytest.fixture
def codes(home: Path) -> Iterator[ConfigServer]:
    authenticator = Authenticator(home / ".data" / "keys" / "jwks.json", "codes", SystemClock())
    with ConfigServer(authenticator, "codes") as running:
        yield running


@pytest.fixture
def run(home: Path) -> Run:
    def call(*arguments: str, cwd: Path | None = None, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
        return subprocess.run(
            [sys.executable, "-m", "libs.service.cli", *arguments],
            cwd=cwd or home,
            env=environment | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"} | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def principal(home: Path, token: str, audience: str = "ledger", app: str | None = None) -> object:
    authenticator = Authenticator(home / ".data" / "keys" / "jwks.json", audience, SystemClock())
    return authenticator.authenticate(f"Bearer {token}", app)


def claims(token: str) -> dict[str, object]:
    read: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    return read


def test_a_token_is_all_that_is_printed(run: Run, home: Path) -> None:
    done = run("token", "--app", "coins", "--role", "service")
    assert done.returncode == 0, done.stderr
    token = done.stdout.strip()
    assert done.stdout == token + "\n"
    assert set(claims(token)["scopes"]) == ROLE_SCOPES["service"]  # type: ignore[call-overload]
    for audience in ("ledger", "payments", "edge", "notifier"):
        principal(home, token, audience)


def test_the_data_directory_is_found_from_below(run: Run, home: Path) -> None:
    below = home / "deep" / "down"
    below.mkdir(parents=True)
    assert run("token", "--app", "coins", cwd=below).returncode == 0


def test_the_data_directory_is_named_by_its_setting(
    run: Run, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    refused = run("token", "--app", "coins", cwd=elsewhere)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "there is no key" in refused.stderr
    assert run("token", "--app", "coins", cwd=elsewhere, TALLYSTICK_DATA=str(home / ".data")).returncode == 0


def test_a_token_as_it_was_asked_for(run: Run) -> None:
    asked = ["--sub", "shop", "--scopes", "ledger:read", "--audience", "ledger", "--ttl", "60"]
    token = claims(run("token", "--app", "coins", *asked).stdout.strip())
    assert (token["sub"], token["scopes"], token["aud"]) == ("shop", ["ledger:read"], ["ledger"])
    assert int(str(token["exp"])) - int(str(token["iat"])) == 60
    user = claims(run("token", "--app", "coins", "--role", "user", "--user", "ann").stdout.strip())
    assert (user["sub"], user["role"]) == ("ann", "user")
    assert int(str(user["exp"])) - int(str(user["iat"])) == 600
    assert claims(run("token", "--app", "*").stdout.strip())["apps"] == ["*"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--app", "coins", "--role", "king"],
        ["--app", "coins", "--role", "user"],
        ["--app", "coins", "--user", "ann"],
        ["--app", "*", "--role", "admin"],
        ["--app", "coins", "--role", "admin", "--ttl", "601"],
        ["--app", "coins", "--ttl", "0"],
        ["--app", "coins", "--scopes", "ledger:config"],
        ["--app", "coins", "--no-such"],
    ],
)
def test_wrong_use_ends_with_2_and_prints_no_token(run: Run, arguments: list[str]) -> None:
    done = run("token", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


def test_help_lists_the_commands(run: Run) -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "token" in done.stdout
    assert "app" in done.stdout


def test_plan_shows_and_apply_does_it_once(run: Run, home: Path, server: ConfigServer, codes: ConfigServer) -> None:
    (home / "coins.yaml").write_text(COINS)
    address = {"TALLYSTICK_LEDGER_URL": server.url, "TALLYSTICK_CODES_URL": codes.url}

    planned = run("app", "plan", "coins.yaml", **address)
    assert planned.returncode == 0, planned.stderr
    assert '  + assets: {"credit":{"scale":2}}' in planned.stdout
    assert "packages passed over: there is no payments yet" in planned.stderr
    assert server.versions == {}

    applied = run("app", "apply", "coins.yaml", **address)
    assert applied.returncode == 0, applied.stderr
    assert "coins: ledger is now at version 1" in applied.stdout
    stored = server.configs["coins"]
    assert set(stored) == {"zone", "test_mode", "assets", "thresholds"}
    assert stored["test_mode"] == {"clock_start": "2026-01-01T00:00:00Z"}

    again = run("app", "apply", "coins.yaml", **address)
    assert again.returncode == 0
    assert again.stdout == "coins: ledger is up to date at version 1\ncoins: codes is up to date at version 1\n"
    assert server.versions == codes.versions == {"coins": 1}
    assert set(codes.configs["coins"]) == {"zone", "test_mode"}

    (home / "coins.yaml").write_text(COINS.replace("Asia/Baku", "UTC").replace('thresholds: [{at: "5"}]', ""))
    changed = run("app", "apply", "coins.yaml", **address)
    assert "  ~ zone: Asia/Baku → UTC" in changed.stdout
    assert '  - thresholds: [{"at":"5"}]' in changed.stdout
    assert server.versions == {"coins": 2}


def test_a_change_by_somebody_else_in_between_is_not_overwritten(run: Run, home: Path, server: ConfigServer) -> None:
    (home / "coins.yaml").write_text(COINS)
    server.change_after_dry_run = True
    done = run("app", "apply", "coins.yaml", TALLYSTICK_LEDGER_URL=server.url)
    assert done.returncode == 1
    assert "somebody else changed ledger" in done.stderr
    assert server.versions == {"coins": 1}


def test_a_refused_file_says_where(run: Run, home: Path, server: ConfigServer) -> None:
    (home / "coins.yaml").write_text(COINS.replace("scale: 2", "scale: 99"))
    done = run("app", "apply", "coins.yaml", TALLYSTICK_LEDGER_URL=server.url)
    assert done.returncode == 1
    assert "assets.credit.scale: out_of_range" in done.stderr
    assert server.versions == {}


@pytest.mark.parametrize(
    "arguments", [["app", "plan", "coins.yaml"], ["app", "clock", "coins", "2026-02-01T00:00:00Z"]]
)
def test_a_service_that_is_not_running_ends_with_3(run: Run, home: Path, arguments: list[str]) -> None:
    (home / "coins.yaml").write_text(COINS)
    # Port 1 of the loopback interface: nobody listens there.
    done = run(*arguments, TALLYSTICK_LEDGER_URL="http://127.0.0.1:1")
    assert done.returncode == 3
    assert "ledger does not answer at http://127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_test_clock_is_put_forward_in_every_service(run: Run, server: ConfigServer, codes: ConfigServer) -> None:
    address = {"TALLYSTICK_LEDGER_URL": server.url, "TALLYSTICK_CODES_URL": codes.url}
    done = run("app", "clock", "coins", "2026-02-01T02:00:00+02:00", **address)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "coins: the clock of ledger stands at 2026-02-01T00:00:00Z",
        "coins: the clock of codes stands at 2026-02-01T00:00:00Z",
    ]
    assert server.clocks == codes.clocks == {"coins": "2026-02-01T00:00:00Z"}


@pytest.mark.parametrize("arguments", [["Coins!", "2026-02-01T00:00:00Z"], ["coins", "tomorrow"]])
def test_a_wrong_clock_ends_with_2(run: Run, arguments: list[str]) -> None:
    assert run("app", "clock", *arguments).returncode == 2


def test_an_unusable_file_ends_with_2_before_anything_is_sent(run: Run, home: Path, server: ConfigServer) -> None:
    (home / "coins.yaml").write_text(COINS)
    (home / "bad.yaml").write_text("app: vpn\nasets: {}\n")
    done = run("app", "apply", "coins.yaml", "bad.yaml", TALLYSTICK_LEDGER_URL=server.url)
    assert done.returncode == 2
    assert "did you mean `assets`?" in done.stderr
    assert server.versions == {}


def test_commands_of_services_join_and_a_broken_one_does_not_take_the_rest(run: Run, home: Path) -> None:
    parts = home / "parts"
    (parts / "demo.dist-info").mkdir(parents=True)
    (parts / "demo.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: demo\nVersion: 1\n")
    (parts / "demo.dist-info" / "entry_points.txt").write_text(
        "[tallystick.cli]\nnamed = demo_parts:named\nmerged = demo_parts:merged\nbroken = no_such_module:cli\n"
    )
    (parts / "demo_parts.py").write_text(
        "import typer\n"
        "from libs.service.cli import CliError, Progress\n"
        "named = typer.Typer(name='demo')\n"
        "merged = typer.Typer()\n"
        "@named.command()\n"
        "def verify() -> None:\n"
        "    with Progress('verifying', total=2) as bar:\n"
        "        bar.advance()\n"
        "    raise CliError('the books [do not] match')\n"
        "@named.command()\n"
        "def other() -> None: ...\n"
        "@merged.command()\n"
        "def hail() -> None:\n"
        "    print('hail')\n"
    )
    search = {"PYTHONPATH": f"{ROOT}:{parts}"}
    merged = run("hail", **search)
    assert (merged.returncode, merged.stdout) == (0, "hail\n")
    assert "the commands of broken are missing" in merged.stderr
    found = run("demo", "verify", **search)
    assert (found.returncode, found.stdout) == (1, "")
    assert "tallystick: the books [do not] match" in found.stderr


def test_the_server_of_these_tests_checks_what_it_is_sent(server: ConfigServer, run: Run, home: Path) -> None:
    (home / "coins.yaml").write_text(COINS)
    run("app", "plan", "coins.yaml", TALLYSTICK_LEDGER_URL=server.url)
    assert "app" not in orjson.loads(server.bodies[0])
    assert server.callers == [("cli", "coins")]
