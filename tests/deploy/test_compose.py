"""The compose file holds together. No engine runs here: what is checked is what it refers to."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.embedded.services import METER, SERVICES
from libs.service.cli_support import CliSettings
from libs.service.settings import PORTS, ServiceSettings, variable_name
from services.meter.settings import MeterSettings
from tests.deploy.compose import ROOT, TEXT, VARIABLE, compose, services

SECRET_WORDS = ("PASSWORD", "TOKEN", "SECRET", "UPSTREAM_KEY")


def environment(service: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = service.get("environment", {})
    return found


def waits_for(service: dict[str, Any]) -> dict[str, str]:
    """The services that must be there first, and in which condition."""
    needed = service.get("depends_on", {})
    if isinstance(needed, list):
        return dict.fromkeys(needed, "service_started")
    return {name: how["condition"] for name, how in needed.items()}


def volumes_of(service: dict[str, Any]) -> dict[str, str]:
    """What is mounted, by its place in the container."""
    pairs = [volume.split(":")[:2] for volume in service.get("volumes", [])]
    return {place: what for what, place in pairs}


def bind_mounts() -> list[str]:
    volumes = [volume for service in services().values() for volume in service.get("volumes", [])]
    return sorted({volume.split(":")[0] for volume in volumes if volume.startswith(".")})


def example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    pairs = [line.removeprefix("# ").split("=", 1) for line in lines if "=" in line]
    return {name: value for name, value in pairs if name.isupper()}


def test_it_keeps_to_the_compose_specification() -> None:
    command = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(ROOT / "docker-compose.yml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", bind_mounts())
def test_what_is_mounted_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_named_volumes_and_secrets_are_declared_and_used() -> None:
    used = {volume.split(":")[0] for service in services().values() for volume in service.get("volumes", [])}
    assert {name for name in used if not name.startswith(".")} == set(compose()["volumes"])
    secrets = {secret for service in services().values() for secret in service.get("secrets", [])}
    assert secrets == set(compose()["secrets"])


def test_what_is_waited_for_can_come_true() -> None:
    for name, service in services().items():
        for other, condition in waits_for(service).items():
            assert other in services(), f"{name} waits for {other}"
            if condition == "service_healthy":
                assert "healthcheck" in services()[other], f"{name} waits for the health of {other}"
            if condition == "service_completed_successfully":
                assert services()[other]["restart"] == "on-failure", f"{other} must end for {name} to start"


def test_every_setting_is_one() -> None:
    known = {variable_name(CliSettings, field) for field in CliSettings.model_fields}
    known |= {variable_name(settings, field) for settings in settings_classes() for field in settings.model_fields}
    for name, service in services().items():
        unknown = {variable for variable in environment(service) if variable.startswith("TALLYSTICK_")} - known
        assert not unknown, name


def settings_classes() -> list[type[ServiceSettings]]:
    from services.codes.settings import CodesSettings
    from services.ledger.settings import LedgerSettings
    from services.meter.settings import MeterSettings

    return [CodesSettings, LedgerSettings, MeterSettings]


def test_no_secret_has_a_default() -> None:
    found = list(VARIABLE.finditer(TEXT))
    assert found
    for variable in found:
        if any(word in variable["name"] for word in SECRET_WORDS):
            assert variable["operator"] == ":?", variable["name"]
        else:
            assert variable["operator"] == ":-", variable["name"]


def test_the_example_names_every_variable_and_fills_in_no_secret() -> None:
    named = {variable["name"] for variable in VARIABLE.finditer(TEXT)}
    named |= {secret["environment"] for secret in compose()["secrets"].values()}
    assert set(example()) == named
    for name, value in example().items():
        assert (value == "") == any(word in name for word in SECRET_WORDS), name


def test_every_service_of_the_suite_runs_as_it_does_on_one_machine() -> None:
    for service in SERVICES:
        for process in service.processes:
            found = services()[process.name]
            assert tuple(found["command"]) == process.command[1:], "the image's entry point is `python -m`"
            assert find_spec(found["command"][0]) is not None
            assert waits_for(found)[f"{service.name}-migrate"] == "service_completed_successfully"
        assert tuple(services()[f"{service.name}-migrate"]["command"]) == (service.migrate or ())[1:]
        assert services()[service.name]["ports"][0].endswith(f":{8000 + PORTS[service.name]}")


def test_only_migrations_have_the_owners_access() -> None:
    owners = {name for name, service in services().items() if any("OWNER_DSN" in key for key in environment(service))}
    assert owners == {f"{service.name}-migrate" for service in SERVICES}


def test_anchors_have_a_key_of_their_own_outside_the_database() -> None:
    volumes = {name: volumes_of(service) for name, service in services().items()}
    assert {"/anchors", "/anchor-keys"} <= set(volumes["ledger"])
    assert not set(volumes["ledger"].values()) & set(volumes["postgres"].values())
    settings = environment(services()["ledger"])
    assert settings["TALLYSTICK_LEDGER_ANCHORS"] == "/anchors"
    assert settings["TALLYSTICK_LEDGER_ANCHOR_KEY"] == "/anchor-keys"
    assert settings["TALLYSTICK_LEDGER_ANCHOR_JWKS_FILE"] != settings["TALLYSTICK_JWKS_FILE"]
    assert {settings["TALLYSTICK_LEDGER_ANCHOR_JWKS_FILE"], settings["TALLYSTICK_JWKS_FILE"], "/anchor-keys"} <= set(
        services()["keys"]["command"]
    )


def test_the_key_of_tokens_is_seen_by_the_command_line_alone() -> None:
    private = {name for name, service in services().items() if "keys" in volumes_of(service).values()}
    assert private == {"keys", "cli"}


def test_the_command_line_reaches_the_ledger_and_its_database() -> None:
    assert environment(services()["cli"]) == environment(services()["ledger"])


def test_all_topics_are_made_with_their_partitions() -> None:
    script = services()["topics"]["command"][0]
    loop = next(line for line in script.splitlines() if line.strip().startswith("for topic in"))
    wanted = {topic: partitions for service in SERVICES for topic, partitions in service.topics.items()}
    assert set(loop.split(" in ")[1].rstrip("; do").split()) == set(wanted)
    assert all(f"--partitions {partitions} " in script for partitions in wanted.values())


def test_every_database_is_made() -> None:
    script = (ROOT / "deploy/postgres/10-services.sh").read_text()
    for service in SERVICES:
        password, owner_password = (f"{service.name.upper()}_{kind}PASSWORD" for kind in ("", "OWNER_"))
        assert f'service {service.name} "${owner_password}" "${password}"' in script
        assert {password, owner_password} <= set(environment(services()["postgres"]))


def test_the_metering_proxy_is_there_only_where_it_is_asked_for() -> None:
    meter = services()["meter"]
    assert meter["profiles"] == ["meter"]
    assert tuple(meter["command"]) == METER.processes[0].command[1:]
    assert not [name for name in environment(meter) if "DSN" in name], "it has no database"
    assert volumes_of(meter)[MeterSettings(upstream="http://x", data=Path("/data")).journal_dir.as_posix()] == "meter"
    assert not [name for name, other in services().items() if "meter" in waits_for(other)]


def test_ports_are_published_on_the_loopback_interface_only() -> None:
    published = [port for service in services().values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_our_containers_cannot_do_much() -> None:
    ours = [service for service in services().values() if "build" in service]
    assert ours
    for service in ours:
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]


def test_prometheus_looks_at_services_of_this_file() -> None:
    configuration = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    targets = [
        target
        for job in configuration["scrape_configs"]
        for group in job.get("static_configs", [])
        for target in group["targets"]
    ]
    looked_up = [
        name
        for job in configuration["scrape_configs"]
        for dns in job.get("dns_sd_configs", [])
        for name in dns["names"]
    ]
    assert {services()[name]["profiles"] != [] for name in looked_up} == {True}, "only what may be absent is looked up"
    hosts = {target.split(":")[0] for target in targets}
    assert hosts - {"localhost"} <= set(services())
    assert {process.name for service in SERVICES for process in service.processes} <= hosts
