"""PostgreSQL and Kafka from testcontainers, where ``TALLYSTICK_TEST_CONTAINERS=1`` and a Docker engine answers.

Each worker has containers of its own, which testcontainers removes. This path is unproven where no engine runs.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from deploy.embedded.admin import Admin


def wanted() -> bool:
    """Whether to take servers from containers. Raises ``docker.errors.DockerException`` if no engine answers."""
    if os.environ.get("TALLYSTICK_TEST_CONTAINERS") != "1":
        return False
    from testcontainers.core.docker_client import DockerClient

    return bool(DockerClient().client.ping())


@contextmanager
def postgres() -> Iterator[Admin]:
    """A PostgreSQL 18 container."""
    from testcontainers.postgres import PostgresContainer

    with PostgresContainer("postgres:18-alpine") as container:
        yield Admin(
            port=int(container.get_exposed_port(container.port)),
            password=container.password,
            user=container.username,
            host=container.get_container_host_ip(),
        )


@contextmanager
def kafka() -> Iterator[str]:
    """An Apache Kafka container; yields its ``host:port``."""
    from testcontainers.kafka import KafkaContainer

    with KafkaContainer().with_kraft() as container:
        yield container.get_bootstrap_server()
