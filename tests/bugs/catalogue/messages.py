"""Wrong about messages: what is published, what is consumed, and where each of them goes."""

from __future__ import annotations

from tests.bugs.bug import Bug, Edit

_PARTITION = "libs/events/partition.py"
_RELAY = "libs/events/relay.py"
_STAMPER = "libs/events/stamper.py"
_CONSUMER = "libs/events/partition_consumer.py"
_TESTS = "libs/events/tests"
_FOLLOWING = f"{_TESTS}/test_partition_consumer.py"
_OUTBOX = f"{_TESTS}/test_outbox.py"

MESSAGES = (
    Bug(
        "partition-by-python-hash",
        "Each process computes partitions of its own.",
        "I3",
        (
            Edit(
                _PARTITION,
                "return (murmur2(partition_key(app, user)) & 0x7FFFFFFF) % partitions",
                "return hash((app, user)) % partitions",
            ),
        ),
        (f"{_TESTS}/test_partition.py",),
    ),
    Bug(
        "partition-keeps-the-sign",
        "The hash keeps its highest bit, which Kafka's clients drop.",
        "I3",
        (Edit(_PARTITION, " & 0x7FFFFFFF) % partitions", ") % partitions"),),
        (f"{_TESTS}/test_partition.py",),
    ),
    Bug(
        "relay-checkpoint-before-acknowledgement",
        "The relay notes what it is about to publish as published.",
        "I10, C8",
        (
            Edit(_RELAY, "await self._advance(place, len(envelopes))", "pass"),
            Edit(_RELAY, "await self._advance(place, failure.acknowledged)", "pass"),
            Edit(
                _RELAY,
                "await self._bus.publish(topic, partition, _messages(topic, envelopes))",
                "[await self._advance(place, len(envelopes)),"
                " await self._bus.publish(topic, partition, _messages(topic, envelopes))]",
            ),
        ),
        (f"{_OUTBOX}::test_only_the_acknowledged_prefix_moves_the_checkpoint",),
    ),
    Bug(
        "relay-publishes-an-old-copy",
        "A restored database whose log ends before what Kafka has seen is published as if nothing had been lost.",
        "C12",
        (Edit(_RELAY, "and (message.seq or 0) > head:", "and False:"),),
        (f"{_TESTS}/test_relay_check.py",),
    ),
    Bug(
        "consumer-checkpoint-before-effect",
        "A consumer moves its checkpoint in one transaction and takes effect in the next.",
        "C9",
        (
            Edit(_CONSUMER, "await self._advance(connection, self._stream, seq)", "pass"),
            Edit(
                _CONSUMER,
                "        seq = run[-1].seq or 0\n",
                "        seq = run[-1].seq or 0\n"
                "        async with self._handling.pool.acquire() as connection, connection.transaction():\n"
                "            await self._advance(connection, self._stream, seq)\n",
            ),
        ),
        (_FOLLOWING,),
        limit_s=20,
    ),
    Bug(
        "consumer-ignores-gaps",
        "A consumer takes whatever Kafka brings next for the next event.",
        "I10, C16",
        (Edit(_CONSUMER, "if item.prevseq == last:", "if item.prevseq is not None:"),),
        (_FOLLOWING,),
        limit_s=20,
    ),
    Bug(
        "consumer-does-not-compare-its-checkpoint",
        "A consumer that was overtaken takes effect all the same.",
        "I10",
        (Edit(_CONSUMER, "if changed(status) == 0:", "if False:"),),
        (_FOLLOWING,),
        limit_s=20,
    ),
    Bug(
        "consumer-ignores-streams",
        "A consumer takes a late message of a lost time line for the next one.",
        "I10",
        (Edit(_CONSUMER, "item.stream == self._stream and item.source", "item.source"),),
        (_FOLLOWING,),
        limit_s=20,
    ),
    Bug(
        "poison-passed-over",
        "An event that can never succeed is passed over and kept nowhere.",
        "I7",
        (
            Edit(
                _CONSUMER,
                "await bury(connection, place, verdict, run[0], self._handling.outbox)",
                "pass",
            ),
        ),
        (_FOLLOWING,),
        limit_s=20,
    ),
    Bug(
        "stamper-not-fenced",
        "A stamper that was replaced goes on numbering.",
        "I10",
        (Edit(_STAMPER, "if epoch != self._epoch:", "if False:"),),
        (f"{_OUTBOX}::test_a_stamper_that_was_replaced_numbers_nothing",),
    ),
    Bug(
        "numbered-by-row-id",
        "Messages are numbered by the ids of their rows, which become visible in another order and have gaps.",
        "I10",
        (
            Edit(
                _STAMPER,
                "SET seq = coalesce(h.seq, 0) + b.place, prevseq = coalesce(h.seq, 0) + b.place - 1",
                "SET seq = b.id, prevseq = b.id - 1",
            ),
        ),
        (_OUTBOX,),
    ),
    Bug(
        "outbox-read-by-row-id",
        "Relay and feed read the outbox by the ids of its rows: what commits late is never seen.",
        "I10",
        (Edit("libs/events/outbox.py", "AND seq > $3 ORDER BY seq LIMIT $4", "AND id > $3 ORDER BY id LIMIT $4"),),
        (f"{_TESTS}/test_outbox_order.py",),
    ),
)
