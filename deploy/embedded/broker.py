"""A Kafka broker inside one process: librdkafka's own, in memory, without authentication, on the loopback only.

As a process of its own (``python -m deploy.embedded.broker --file broker.json --topic NAME:PARTITIONS …``) it writes
its address to the file, since every start has a new port and a new cluster id, and ends when its parent does.
"""

import argparse
import ctypes
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from deploy.embedded.librdkafka import LibraryError, check, library, new_client
from deploy.embedded.production import refuse_production

BROKER_ID = 1
PARENT_POLL_S = 0.5


class EmbeddedBroker:
    """One broker with the given topics (name → number of partitions).

    Topics not made before their use get 4 partitions. A partition silently drops its oldest messages beyond 5 MB. A
    stopped broker's log is gone; ``start`` after ``stop`` gives an empty one on another port.
    """

    def __init__(self, topics: Mapping[str, int]) -> None:
        self._topics = dict(topics)
        self._client = 0
        self._cluster = 0
        self.bootstrap = ""

    def start(self) -> str:
        """Starts the broker and returns its ``host:port``. Raises ``LibraryError``; ends the process in production."""
        refuse_production("The embedded broker")
        self._client = new_client()
        self._cluster = library().rd_kafka_mock_cluster_new(self._client, 1)
        if not self._cluster:
            raise LibraryError("librdkafka could not open its broker")
        for name, partitions in self._topics.items():
            self._create(name, partitions)
        self.bootstrap = library().rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        if not self.bootstrap.startswith("127.0.0.1:"):
            self.stop()
            raise LibraryError(f"The broker has no authentication and must stay on 127.0.0.1, not {self.bootstrap}")
        return self.bootstrap

    def stop(self) -> None:
        """Ends the broker and forgets its log. Harmless when it is not running."""
        if self._cluster:
            library().rd_kafka_mock_cluster_destroy(self._cluster)
        if self._client:
            library().rd_kafka_destroy(self._client)
        self._cluster = self._client = 0

    def create_topic(self, name: str, partitions: int) -> None:
        """Makes a topic now, and again after a restart. Raises ``LibraryError`` if it exists."""
        self._create(name, partitions)
        self._topics[name] = partitions

    def fail_next(self, api_key: int, errors: Sequence[int]) -> None:
        """Answers the next requests of a kind (Produce is 0, Fetch 1, Metadata 3) with these error codes, one each."""
        codes = (ctypes.c_int * len(errors))(*errors)
        library().rd_kafka_mock_push_request_errors_array(self._cluster, api_key, len(errors), codes)

    def stop_failing(self, api_key: int) -> None:
        """Forgets the errors that ``fail_next`` has left."""
        library().rd_kafka_mock_clear_request_errors(self._cluster, api_key)

    def set_down(self) -> None:
        """Closes the broker's connections and refuses new ones; its log stays."""
        check(library().rd_kafka_mock_broker_set_down(self._cluster, BROKER_ID), "set down")

    def set_up(self) -> None:
        """Accepts connections again after ``set_down``."""
        check(library().rd_kafka_mock_broker_set_up(self._cluster, BROKER_ID), "set up")

    def set_delay(self, delay_ms: int) -> None:
        """Delays every answer."""
        check(library().rd_kafka_mock_broker_set_rtt(self._cluster, BROKER_ID, delay_ms), "set delay")

    def _create(self, name: str, partitions: int) -> None:
        check(library().rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1), f"topic {name}")


def _topic(text: str) -> tuple[str, int]:
    name, _, partitions = text.rpartition(":")
    if not name or not partitions.isdecimal() or int(partitions) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME:PARTITIONS")
    return name, int(partitions)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a broker until SIGTERM, SIGINT or the parent's end."""
    refuse_production("The embedded broker")
    parser = argparse.ArgumentParser(prog="python -m deploy.embedded.broker", description=__doc__)
    parser.add_argument("--file", type=Path, required=True, help="where to write the address")
    parser.add_argument("--topic", type=_topic, action="append", default=[], metavar="NAME:PARTITIONS")
    options = parser.parse_args(arguments)

    parent = os.getppid()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    broker = EmbeddedBroker(dict(options.topic))
    address = {"bootstrap": broker.start(), "started": datetime.now(UTC).isoformat().replace("+00:00", "Z")}
    draft = options.file.with_name(f".{options.file.name}.{os.getpid()}")
    draft.write_text(json.dumps(address))
    draft.replace(options.file)
    sys.stdout.write(f"listening on {broker.bootstrap}\n")
    sys.stdout.flush()
    while not ended.wait(PARENT_POLL_S) and os.getppid() == parent:
        pass
    options.file.unlink(missing_ok=True)
    broker.stop()


if __name__ == "__main__":
    main()
