"""One node of Apache Kafka (KRaft) for tests, from its Maven artifacts, on free ports of the loopback interface."""

import fcntl
import hashlib
import re
import secrets
import shutil
import socket
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.embedded.child import Child, ChildError
from deploy.embedded.ports import LOOPBACK, free_port

POM = Path(__file__).with_name("pom.xml")
CACHE = Path(__file__).parents[2] / ".cache" / "kafka"
JAVA_AT_LEAST = 17
DOWNLOAD_S = 600
EXISTS = 36
START_S = 60.0
JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
LOGGING = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true")

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""


class KafkaError(RuntimeError):
    """Apache Kafka could not be fetched or did not start."""


def available() -> bool:
    """Whether Java (17 or newer) and Maven are there."""
    return missing() is None


def missing() -> str | None:
    """What Apache Kafka lacks on this machine, as a sentence, or None."""
    if shutil.which("mvn") is None:
        return "Maven is not installed (Debian: apt-get install maven)"
    if shutil.which("java") is None:
        return "Java is not installed (Debian: apt-get install default-jre-headless)"
    printed = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', printed)
    if found is None or int(found[1]) < JAVA_AT_LEAST:
        return f"Java {JAVA_AT_LEAST} or newer is needed; this is: {printed.splitlines()[0] if printed else 'unknown'}"
    return None


def jars() -> Path:
    """The folder with Kafka's jars, fetched with Maven into ``.cache/`` on first use. Raises ``KafkaError``."""
    target = CACHE / f"jars-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            draft = target.with_name(f"{target.name}.draft")
            shutil.rmtree(draft, ignore_errors=True)
            command = ["mvn", "-B", "-q", "-f", str(POM), f"-Dmaven.repo.local={CACHE / 'maven'}"]
            command += ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={draft}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_S, check=False)
            if done.returncode != 0:
                raise KafkaError(f"Maven could not fetch Apache Kafka:\n{(done.stdout + done.stderr).strip()[-2000:]}")
            draft.rename(target)
    return target


class KafkaServer:
    """One broker that keeps its data and its address in ``directory`` for as long as it lives.

    ``owner_pid`` (the process whose end ends the broker, by default this one) and ``held_fds`` are those of ``Child``.
    """

    def __init__(self, directory: Path, *, owner_pid: int | None = None, held_fds: Sequence[int] = ()) -> None:
        self.directory = directory
        self.child: Child | None = None
        self._owner_pid = owner_pid
        self._held_fds = held_fds
        self._port = free_port()
        self._controller_port = free_port()

    @property
    def bootstrap(self) -> str:
        """The broker's ``host:port``."""
        return f"{LOOPBACK}:{self._port}"

    def start(self) -> str:
        """Starts the broker, on an empty log the first time, and returns its ``host:port``. Raises ``KafkaError``."""
        properties = self.directory / "server.properties"
        if not (self.directory / "data").exists():
            self._format(properties)
        with (self.directory / "server.log").open("ab") as log:
            try:
                self.child = Child(
                    self._java("kafka.Kafka", str(properties)),
                    output=log,
                    owner_pid=self._owner_pid,
                    held_fds=self._held_fds,
                )
            except ChildError as error:
                raise KafkaError(str(error)) from error
        deadline = time.monotonic() + START_S
        while not self._accepts():
            if self.child.poll() is not None or time.monotonic() > deadline:
                self.child.stop()
                raise KafkaError(f"Apache Kafka did not start:\n{self._last_words()}")
            time.sleep(0.05)
        return self.bootstrap

    def stop(self) -> None:
        """Shuts the broker down."""
        if self.child is not None:
            self.child.stop()

    def kill(self) -> None:
        """Ends the broker as a crash would."""
        if self.child is not None:
            self.child.kill()

    def restart(self, *, empty: bool = False) -> str:
        """Stops and starts the broker under the same address; with ``empty`` it is a new cluster without a log."""
        self.stop()
        if empty:
            self.wipe()
        return self.start()

    def wipe(self) -> None:
        """Removes the log of a stopped broker."""
        shutil.rmtree(self.directory / "data", ignore_errors=True)

    async def create_topics(self, topics: Mapping[str, int]) -> None:
        """Makes topics (name → number of partitions)."""
        await create_topics(self.bootstrap, topics)

    def _java(self, main_class: str, *arguments: str) -> list[str]:
        return ["java", *JVM, *LOGGING, "-cp", str(jars() / "*"), main_class, *arguments]

    def _format(self, properties: Path) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        properties.write_text(
            PROPERTIES.format(
                host=LOOPBACK,
                port=self._port,
                controller_port=self._controller_port,
                data=self.directory / "data",
            )
        )
        cluster_id = urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=").replace("-", "A")
        command = self._java("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties))
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)
        if done.returncode != 0:
            raise KafkaError(f"Kafka's storage could not be formatted:\n{(done.stdout + done.stderr).strip()}")

    def _accepts(self) -> bool:
        try:
            socket.create_connection((LOOPBACK, self._port), timeout=1).close()
        except OSError:
            return False
        return True

    def _last_words(self) -> str:
        return "\n".join((self.directory / "server.log").read_text(errors="replace").splitlines()[-10:])


async def create_topics(bootstrap: str, topics: Mapping[str, int]) -> None:
    """Makes topics (name → number of partitions) on any Kafka. Raises ``KafkaError``."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    try:
        answer = await client.create_topics([NewTopic(name, partitions, 1) for name, partitions in topics.items()])
    finally:
        await client.close()
    # What runs may have made its own topics first.
    refused = [f"{name}: {message or code}" for name, code, message in answer.topic_errors if code not in (0, EXISTS)]
    if refused:
        raise KafkaError("; ".join(refused))
