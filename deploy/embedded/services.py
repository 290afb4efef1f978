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
    """A service: its processes, its topics (name → partitions), and what migrates its database, if it has one.

    ``secrets`` are files of random digits beside the keys, which are made once.
    """

    name: str
    migrate: tuple[str, ...] | None
    processes: tuple[Process, ...]
    topics: Mapping[str, int]
    secrets: tuple[str, ...] = ()


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

CODES = Service(
    name="codes",
    migrate=("-m", "services.codes", "migrate"),
    processes=(
        Process("codes", ("-m", "services.codes", "serve")),
        Process("codes-worker", ("-m", "services.codes", "worker"), port_offset=100),
    ),
    topics={"codes.events": PARTITIONS_DEFAULT},
    secrets=("codes.pepper",),
)

METER = Service(name="meter", migrate=None, processes=(Process("meter", ("-m", "services.meter")),), topics={})

SERVICES = (LEDGER, CODES)


def services_of(environment: Mapping[str, str]) -> tuple[Service, ...]:
    """The services that run with these settings: the metering proxy only where it has something to stand before."""
    return (*SERVICES, METER) if environment.get("TALLYSTICK_METER_UPSTREAM") else SERVICES
