"""The fixtures that other tests rest on."""

import json
import socket

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from pytest_socket import SocketConnectBlockedError

from tests.plugins.kafka import Broker, Restartable
from tests.plugins.postgres import Database, DatabaseFrom

pytestmark = pytest.mark.anyio


async def test_owner_makes_tables_and_runtime_needs_a_grant(database: Database) -> None:
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute("CREATE TABLE things (id int)")
    runtime = await asyncpg.connect(database.runtime_dsn)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await runtime.execute("SELECT * FROM things")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await runtime.execute("CREATE TABLE others (id int)")
    await owner.execute("GRANT SELECT ON things TO " + database.runtime)
    assert await runtime.fetch("SELECT * FROM things") == []
    await owner.close()
    await runtime.close()


async def test_wrong_password_is_refused(database: Database) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(database.admin.dsn(database.name, database.owner, "guess"))


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_has_an_empty_database(database: Database, turn: int) -> None:
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute("CREATE TABLE things (id int)")
    await owner.close()


async def test_a_template_is_prepared_once_and_copied_whole(database_from: DatabaseFrom) -> None:
    prepared = 0

    async def prepare(database: Database) -> None:
        nonlocal prepared
        prepared += 1
        owner = await asyncpg.connect(database.owner_dsn)
        await owner.execute("CREATE TABLE things AS SELECT 1 AS id; GRANT SELECT ON things TO " + database.runtime)
        await owner.close()

    key = "test_a_template_is_prepared_once"
    first, second = await database_from(key, prepare), await database_from(key, prepare)
    assert first.name != second.name
    assert prepared == 1
    owner = await asyncpg.connect(first.owner_dsn)
    await owner.execute("DELETE FROM things")
    await owner.close()
    runtime = await asyncpg.connect(second.runtime_dsn)
    assert await runtime.fetchval("SELECT id FROM things") == 1
    await runtime.close()


async def produce_and_count(bootstrap: str, topic: str, messages: int) -> int:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    await producer.start()
    for number in range(messages):
        await producer.send_and_wait(topic, b"value", key=str(number).encode())
    await producer.stop()
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await consumer.start()
    consumer.assign([TopicPartition(topic, partition) for partition in await partitions_of(consumer, topic)])
    ends = await consumer.end_offsets(list(consumer.assignment()))
    await consumer.stop()
    return sum(ends.values())


async def partitions_of(consumer: AIOKafkaConsumer, topic: str) -> list[int]:
    await consumer._client.force_metadata_update()
    return sorted(consumer.partitions_for_topic(topic) or ())


async def test_both_brokers_carry_messages(broker: Broker) -> None:
    topic = f"fixtures.{broker.kind}"
    await broker.create_topics({topic: 16})
    assert await produce_and_count(broker.bootstrap, topic, 20) == 20


async def test_a_restarted_broker_is_empty_and_found_again(restartable_broker: Restartable) -> None:
    await restartable_broker.create_topics({"things": 3})
    assert await produce_and_count(restartable_broker.bootstrap, "things", 5) == 5
    restartable_broker.stop()
    await restartable_broker.start_empty({"things": 3})
    address = json.loads(restartable_broker.address_file.read_text())["bootstrap"]
    assert await produce_and_count(address, "things", 2) == 2


def test_other_machines_are_out_of_reach() -> None:
    with pytest.raises(SocketConnectBlockedError), pytest.warns(UserWarning, match="socket.connect"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
