"""The compose file's own commands and settings, on a real Apache Kafka and PostgreSQL: the names of its network are
mapped to this machine's addresses, nothing else is changed."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import httpx
import jwt
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.embedded.admin import installation
from deploy.embedded.child import Child
from deploy.embedded.ports import LOOPBACK, free_port, is_taken
from deploy.embedded.postgres import PostgresServer
from deploy.embedded.services import CODES, LEDGER
from deploy.embedded.tests.helpers import eventually
from deploy.kafka.server import KafkaServer
from libs.service.keys import read_jwks
from tests.deploy.compose import ROOT, compose
from tests.plugins.kafka import require_kafka

pytestmark = [pytest.mark.anyio, pytest.mark.kafka, pytest.mark.postgres]

SECRETS = {
    "POSTGRES_PASSWORD": "aaa",
    "LEDGER_OWNER_PASSWORD": "bbb",
    "LEDGER_PASSWORD": "ccc",
    "CODES_OWNER_PASSWORD": "eee",
    "CODES_PASSWORD": "fff",
    "GRAFANA_PASSWORD": "ddd",
}
READY_S = 30.0
APP = """
app: shop
assets:
  credits: {scale: 2}
codes:
  samples:
    GIFT10: {amount: "10"}
"""


class Network:
    """Where the containers' names and folders lie on this machine."""

    def __init__(self, tmp_path: Path) -> None:
        require_kafka()
        self.services = compose(**SECRETS)["services"]
        # Below the ports that the system gives to clients.
        ports = [1 + process.port_offset for process in LEDGER.processes] + [1001, 3, 103]
        self.port_base = next(
            base
            for base in range(10_000 + free_port() % 12_000, 30_000, 7)
            if not any(is_taken(base + port) for port in ports)
        )
        self.folders = {
            f"/{name}": str(tmp_path / name) for name in ("data", "jwks", "anchors", "anchor-keys", "codes-keys")
        }
        self.folders["/run/secrets"] = str(tmp_path)
        (tmp_path / "codes_pepper").write_text("0123456789abcdef" * 4)
        self.postgres = PostgresServer(tmp_path / "postgres", free_port(), fsync=False)
        self.kafka = KafkaServer(tmp_path / "kafka")
        self.children: list[Child] = []
        self.log = tmp_path / "log"

    def here(self, text: str) -> str:
        """A value of the compose file as it is on this machine."""
        if "," in text:
            return ",".join(map(self.here, text.split(",")))
        addresses = {
            "@postgres:5432": f"@{LOOPBACK}:{self.postgres.port}",
            "kafka:9092": self.kafka.bootstrap,
            "http://ledger:8001": self.url,
            "http://codes:8003": self.codes_url,
            "0.0.0.0": LOOPBACK,  # noqa: S104 (no listening on all interfaces in tests)
        }
        for folder, value in self.folders.items():
            if text.startswith(folder):
                return value + text.removeprefix(folder)
        for name, value in addresses.items():
            text = text.replace(name, value)
        return text

    @property
    def url(self) -> str:
        """The ledger's address."""
        return f"http://{LOOPBACK}:{self.port_base + 1}"

    @property
    def codes_url(self) -> str:
        """The address of codes."""
        return f"http://{LOOPBACK}:{self.port_base + 3}"

    def environment(self, service: str) -> dict[str, str]:
        """What the container sees, and of this machine only what a program needs to run."""
        given = self.services[service].get("environment", {})
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {
            **kept,
            "TALLYSTICK_PORT_BASE": str(self.port_base),
            **{name: self.here(str(value)) for name, value in given.items()},
        }

    def run(self, service: str) -> None:
        """Runs a container's command to its end."""
        command = [sys.executable, "-m", *map(self.here, self.services[service]["command"])]
        subprocess.run(command, env=self.environment(service), cwd=ROOT, check=True)

    def start(self, service: str) -> None:
        """Starts a container's command."""
        command = [sys.executable, "-m", *map(self.here, self.services[service]["command"])]
        with self.log.open("ab") as log:
            self.children.append(Child(command, env=self.environment(service), cwd=ROOT, output=log))

    def cli(self, *arguments: str) -> str:
        """What the `cli` container's command prints."""
        program = Path(sys.executable).with_name(self.services["cli"]["entrypoint"][0])
        done = subprocess.run(
            [program, *arguments], env=self.environment("cli"), cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def ready(self, port: int) -> bool:
        """Whether a process says that it is ready."""
        assert all(child.poll() is None for child in self.children), self.log.read_text()
        try:
            return bool(urllib.request.urlopen(f"http://{LOOPBACK}:{port}/readyz", timeout=3).status == 200)
        except OSError:
            return False


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    made = Network(tmp_path)
    try:
        made.postgres.start()
        made.kafka.start()
        yield made
    finally:
        for child in made.children:
            child.stop()
        made.kafka.stop()
        made.postgres.stop()
        made.postgres.destroy()


def prepare_databases(network: Network) -> None:
    """As the PostgreSQL image does when it makes its cluster."""
    environment = {
        **network.environment("postgres"),
        "PATH": f"{installation() / 'bin'}:{os.environ['PATH']}",
        "PGHOST": LOOPBACK,
        "PGPORT": str(network.postgres.port),
        "PGPASSWORD": network.postgres.admin.password,
        "POSTGRES_USER": "postgres",
    }
    subprocess.run([ROOT / "deploy/postgres/10-services.sh"], env=environment, check=True)


async def first_types(bootstrap: str, topics: Mapping[str, int], wanted: str) -> set[str]:
    """The types of the events published so far, waiting until the wanted one is among them."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition("ledger.events", partition) for partition in range(topics["ledger.events"])])
    found: set[str] = set()
    try:
        while wanted not in found:
            record = await consumer.getone()
            found |= {value.decode() for name, value in record.headers if name == "ce_type"}
    finally:
        await consumer.stop()
    return found


def signers(anchors: Path) -> set[str]:
    """The ids of the keys that anchors are signed with."""
    lines = [line for file in anchors.glob("*.jsonl") for line in file.read_text().splitlines()]
    return {jwt.get_unverified_header(json.loads(line)["signature"])["kid"] for line in lines}


def _has_credits(ledger: str, token: str) -> bool:
    answer = httpx.get(f"{ledger}/v1/accounts/ada/state", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code == 200 and answer.json()["available"] == "10.00"


@pytest.mark.timeout(120)
async def test_a_code_a_charge_and_its_refusal_on_what_the_compose_file_starts(
    network: Network, tmp_path: Path
) -> None:
    prepare_databases(network)
    await network.kafka.create_topics({**LEDGER.topics, **CODES.topics})
    network.run("keys")
    network.run("ledger-migrate")
    network.run("codes-migrate")
    for port, service in ((1, LEDGER), (3, CODES)):
        for process in service.processes:
            network.start(process.name)
        for process in service.processes:
            eventually(partial(network.ready, network.port_base + port + process.port_offset), READY_S)

    app_file = tmp_path / "shop.yaml"
    app_file.write_text(APP)
    network.cli("app", "apply", str(app_file))
    token = network.cli("token", "--app", "shop", "--role", "service")
    async with httpx.AsyncClient(base_url=network.url, headers={"Authorization": f"Bearer {token}"}) as client:
        redeemed = await client.post(
            f"{network.codes_url}/v1/redemptions",
            json={"code": "gift-10", "user": "ada"},
            headers={"Idempotency-Key": "redeem"},
        )
        assert redeemed.status_code in (201, 202), redeemed.text
        eventually(lambda: _has_credits(network.url, token), READY_S)
        charge = {"user": "ada", "amount": "4"}
        charged = await client.post("/v1/charges", json=charge, headers={"Idempotency-Key": "charge-1"})
        assert charged.json()["available"] == "6.00", charged.text
        refused = await client.post(
            "/v1/charges", json={**charge, "amount": "7"}, headers={"Idempotency-Key": "charge-2"}
        )
        assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_credits")

    published = await first_types(network.kafka.bootstrap, LEDGER.topics, "ledger.credits_charged.v1")
    assert "ledger.credits_granted.v1" in published

    # The ledger has anchored by itself, with the key that is only for that.
    anchors = Path(network.folders["/anchors"])
    eventually(lambda: any(anchors.glob("*.jsonl")), READY_S)
    assert network.cli("ledger", "anchor").startswith("anchored ")
    assert "The books are proven" in network.cli("ledger", "verify")
    signed_by = signers(anchors)
    assert signed_by == set(read_jwks(Path(network.here("/jwks/anchors.json"))))
    assert not signed_by & set(read_jwks(Path(network.here("/jwks/jwks.json"))))
