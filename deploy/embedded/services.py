"""The services of the suite, listed once: a new one joins ``make run`` by its entry here.

Its database is named as it is, its HTTP port is the one of ``libs.service.settings.PORTS``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from libs.events.partition import PARTITIONS_DEFAULT


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a service. ``command`` is what follows the interpreter.

    It answers ``/readyz`` on a port counted from the service's; with ``grpc`` it listens for gRPC above that, too.
    """

    name: str
    command: tuple[str, ...]
    port_offset: int = 0
    grpc: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """A service: the command that migrates its database, its processes, and its topics (name → partitions)."""

    name: str
    migrate: tuple[str, ...]
    processes: tuple[Process, ...]
    topics: Mapping[str, int]


LEDGER = Service(
    name="ledger",
    migrate=("-m", "services.ledger", "migrate"),
    processes=(
        Process("ledger", ("-m", "services.ledger", "serve"), grpc=True),
        Process("ledger-relay", ("-m", "services.ledger", "relay"), port_offset=100),
        Process("ledger-verifier", ("-m", "services.ledger", "verifier"), port_offset=200),
    ),
    topics={"ledger.events": PARTITIONS_DEFAULT, "ledger.commands": PARTITIONS_DEFAULT},
)

SERVICES = (LEDGER,)
