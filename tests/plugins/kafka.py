"""Fixtures for tests against the embedded broker and against a real Apache Kafka, one of each a run.

``broker`` runs a test on both. ``restartable_broker`` too, with a broker of the test's own that may be stopped and
started again empty. Where Java or Maven are missing, tests with a real one are skipped, except in CI, where they fail.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from deploy.embedded.broker import EmbeddedBroker
from deploy.embedded.child import Child
from deploy.kafka.server import KafkaServer, create_topics, missing
from tests.plugins import containers
from tests.plugins.shared import controller_pid, shared_server

BOTH = ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)]


class Broker(Protocol):
    """A broker that tests share: make topics with names of your own."""

    @property
    def kind(self) -> str:
        """``embedded`` or ``kafka``."""
        ...

    @property
    def bootstrap(self) -> str:
        """The broker's present ``host:port``."""
        ...

    async def create_topics(self, topics: Mapping[str, int]) -> None:
        """Makes topics (name → number of partitions)."""
        ...


class Restartable(Broker, Protocol):
    """A broker of the test's own. The embedded one has another address at each start."""

    @property
    def address_file(self) -> Path:
        """The ``broker.json`` with the present address."""
        ...

    def stop(self) -> None:
        """Stops the broker."""
        ...

    async def start_empty(self, topics: Mapping[str, int]) -> str:
        """Starts the stopped broker with these topics and none of its messages; returns its address."""
        ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what uses a real Apache Kafka."""
    for item in items:
        if "kafka_broker" in getattr(item, "fixturenames", ()):
            item.add_marker("kafka")


class SharedEmbedded:
    """The embedded broker of this worker."""

    kind = "embedded"

    def __init__(self) -> None:
        self.server = EmbeddedBroker({})
        self.bootstrap = self.server.start()

    async def create_topics(self, topics: Mapping[str, int]) -> None:
        """Makes topics (name → number of partitions)."""
        for name, partitions in topics.items():
            self.server.create_topic(name, partitions)


class SharedKafka:
    """The run's Apache Kafka."""

    kind = "kafka"

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    async def create_topics(self, topics: Mapping[str, int]) -> None:
        """Makes topics (name → number of partitions)."""
        await create_topics(self.bootstrap, topics)


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[SharedEmbedded]:
    """The embedded broker, one in each worker."""
    broker = SharedEmbedded()
    yield broker
    broker.server.stop()


@pytest.fixture(scope="session")
def kafka_broker(pytestconfig: pytest.Config) -> Iterator[SharedKafka]:
    """The run's Apache Kafka."""
    if containers.wanted():
        with containers.kafka() as bootstrap:
            yield SharedKafka(bootstrap)
        return
    require_kafka()

    def start(directory: Path, alive_fd: int) -> tuple[Child, dict[str, Any]]:
        server = KafkaServer(directory, owner_pid=controller_pid(pytestconfig), held_fds=[alive_fd])
        server.start()
        assert server.child is not None
        return server.child, {"bootstrap": server.bootstrap}

    yield SharedKafka(shared_server(pytestconfig, "kafka", start)["bootstrap"])


@pytest.fixture(params=BOTH)
def broker(request: pytest.FixtureRequest) -> Broker:
    """Runs the test on the embedded broker and on a real Apache Kafka."""
    found: Broker = request.getfixturevalue(f"{request.param}_broker")
    return found


class RestartableEmbedded:
    """An embedded broker of the test's own."""

    kind = "embedded"

    def __init__(self, directory: Path) -> None:
        self.address_file = directory / "broker.json"
        self._start({})

    @property
    def bootstrap(self) -> str:
        """The broker's present ``host:port``."""
        return self.server.bootstrap

    async def create_topics(self, topics: Mapping[str, int]) -> None:
        """Makes topics (name → number of partitions)."""
        for name, partitions in topics.items():
            self.server.create_topic(name, partitions)

    def stop(self) -> None:
        """Stops the broker."""
        self.server.stop()

    async def start_empty(self, topics: Mapping[str, int]) -> str:
        """Starts the stopped broker with these topics and none of its messages; returns its address."""
        return self._start(topics)

    def _start(self, topics: Mapping[str, int]) -> str:
        self.server = EmbeddedBroker(topics)
        self.server.start()
        self.address_file.write_text(json.dumps({"bootstrap": self.bootstrap}))
        return self.bootstrap


class RestartableKafka:
    """An Apache Kafka of the test's own."""

    kind = "kafka"

    def __init__(self, directory: Path) -> None:
        self.address_file = directory / "broker.json"
        self.server = KafkaServer(directory / "kafka")
        self.bootstrap = self.server.start()
        self.address_file.write_text(json.dumps({"bootstrap": self.bootstrap}))

    async def create_topics(self, topics: Mapping[str, int]) -> None:
        """Makes topics (name → number of partitions)."""
        await self.server.create_topics(topics)

    def stop(self) -> None:
        """Kills the broker, as a crash would."""
        self.server.kill()

    async def start_empty(self, topics: Mapping[str, int]) -> str:
        """Starts the stopped broker with these topics and none of its messages; returns its address."""
        self.server.wipe()
        self.server.start()
        await self.server.create_topics(topics)
        return self.bootstrap


@pytest.fixture(params=BOTH)
def restartable_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Restartable]:
    """Runs the test on an embedded broker and on an Apache Kafka of its own, without topics at first."""
    made: Restartable
    if request.param == "embedded":
        made = RestartableEmbedded(tmp_path)
    else:
        require_kafka()
        made = RestartableKafka(tmp_path)
    yield made
    made.stop()


def require_kafka() -> None:
    """Skips the test where Apache Kafka cannot run; in CI it fails instead, since there it must run."""
    reason = missing()
    if reason is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"Tests with a real Apache Kafka must run in CI. {reason}")
    pytest.skip(f"No Apache Kafka here. {reason}")
