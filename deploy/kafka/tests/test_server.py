"""Apache Kafka as a real process."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from deploy.embedded.tests.helpers import eventually
from deploy.embedded.watcher import is_alive
from deploy.kafka.server import KafkaServer
from tests.plugins.kafka import require_kafka

pytestmark = [pytest.mark.anyio, pytest.mark.kafka]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KafkaServer]:
    require_kafka()
    made = KafkaServer(tmp_path / "kafka")
    made.start()
    yield made
    made.stop()


async def send_one(server: KafkaServer) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=server.bootstrap, enable_idempotence=True)
    await producer.start()
    await producer.send_and_wait("things", b"value", partition=0)
    await producer.stop()


async def count(server: KafkaServer) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=server.bootstrap)
    await consumer.start()
    ends = await consumer.end_offsets([TopicPartition("things", 0)])
    await consumer.stop()
    return sum(ends.values())


async def test_messages_survive_a_crash_but_not_a_restart_that_is_to_be_empty(server: KafkaServer) -> None:
    await server.create_topics({"things": 3})
    await send_one(server)
    # Whoever comes second finds the topic as it is.
    await server.create_topics({"things": 3})
    address = server.bootstrap
    server.kill()
    assert server.start() == address
    assert await count(server) == 1

    assert server.restart(empty=True) == address
    await server.create_topics({"things": 3})
    await send_one(server)
    assert await count(server) == 1


def test_it_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    require_kafka()
    owner = f"""
import time
from pathlib import Path
from deploy.kafka.server import KafkaServer
server = KafkaServer(Path({str(tmp_path / "kafka")!r}))
server.start()
print(server.child.pid, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    broker = int(process.stdout.readline())
    process.kill()
    process.communicate()
    eventually(lambda: not is_alive(broker))
