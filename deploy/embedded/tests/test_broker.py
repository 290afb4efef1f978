"""The embedded broker, in this process and as a process of its own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from deploy.embedded.broker import EmbeddedBroker
from deploy.embedded.librdkafka import LibraryError
from deploy.embedded.tests.helpers import eventually
from deploy.embedded.watcher import is_alive

pytestmark = pytest.mark.anyio

PRODUCE = 0
MESSAGE_TOO_LARGE = 10
COMMAND = [sys.executable, "-m", "deploy.embedded.broker"]


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    made = EmbeddedBroker({"things": 16})
    made.start()
    yield made
    made.stop()


async def send(bootstrap: str, count: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for number in range(count):
            await producer.send_and_wait("things", b"value", partition=number % 16)
    finally:
        await producer.stop()


async def count(bootstrap: str) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition("things", partition) for partition in range(16)])
    finally:
        await consumer.stop()
    return sum(ends.values())


async def test_topics_have_their_partitions_and_keep_messages(broker: EmbeddedBroker) -> None:
    await send(broker.bootstrap, 32)
    assert await count(broker.bootstrap) == 32


async def test_a_new_start_is_empty(broker: EmbeddedBroker) -> None:
    await send(broker.bootstrap, 16)
    broker.stop()
    await send(broker.start(), 1)
    assert await count(broker.bootstrap) == 1


async def test_errors_can_be_put_in(broker: EmbeddedBroker) -> None:
    broker.fail_next(PRODUCE, [MESSAGE_TOO_LARGE])
    with pytest.raises(KafkaError):
        await send(broker.bootstrap, 1)
    await send(broker.bootstrap, 1)
    broker.fail_next(PRODUCE, [MESSAGE_TOO_LARGE])
    broker.stop_failing(PRODUCE)
    await send(broker.bootstrap, 1)
    assert await count(broker.bootstrap) == 2


async def test_a_topic_cannot_be_made_twice(broker: EmbeddedBroker) -> None:
    with pytest.raises(LibraryError, match="already exists"):
        broker.create_topic("things", 16)


async def test_a_process_writes_its_address_and_removes_it(tmp_path: Path) -> None:
    file = tmp_path / "broker.json"
    command = [*COMMAND, "--file", str(file), "--topic", "things:16"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    eventually(file.exists)
    address = json.loads(file.read_text())
    assert address["bootstrap"].startswith("127.0.0.1:")
    assert address["started"].endswith("Z")
    await send(address["bootstrap"], 16)
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert not file.exists()


def test_a_process_ends_with_its_parent(tmp_path: Path) -> None:
    file = tmp_path / "broker.json"
    parent = f"""
import subprocess, time
print(subprocess.Popen({[*COMMAND, "--file", str(file)]!r}, stdout=subprocess.DEVNULL).pid, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    broker = int(process.stdout.readline())
    eventually(file.exists)
    process.kill()
    process.communicate()
    eventually(lambda: not is_alive(broker) and not file.exists())


def test_it_refuses_production(tmp_path: Path) -> None:
    file = tmp_path / "broker.json"
    environment = {**os.environ, "TALLYSTICK_ENV": "production"}
    done = subprocess.run([*COMMAND, "--file", str(file)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "TALLYSTICK_ENV=production" in done.stderr
    assert not file.exists()


@pytest.mark.parametrize("topic", ["things", "things:", ":3", "things:0", "things:x"])
def test_a_topic_without_partitions_is_refused(tmp_path: Path, topic: str) -> None:
    command = [*COMMAND, "--file", str(tmp_path / "broker.json"), "--topic", topic]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "NAME:PARTITIONS" in done.stderr
