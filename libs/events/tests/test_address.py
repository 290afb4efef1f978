"""Where Kafka is, from one setting."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from libs.events.address import AddressError, KafkaAddress, Place


def test_a_plain_list_of_servers() -> None:
    address = KafkaAddress.parse("kafka-1:9092,kafka-2:9092")
    assert address.place() == Place("kafka-1:9092,kafka-2:9092")
    assert address.client_options() == {"security_protocol": "PLAINTEXT"}


def test_a_file_is_read_again_each_time(tmp_path: Path) -> None:
    file = tmp_path / "broker.json"
    address = KafkaAddress.parse(f"file:{file}")
    with pytest.raises(FileNotFoundError):
        address.place()
    file.write_text('{"bootstrap": "127.0.0.1:1", "started": "today"}')
    assert address.place() == Place("127.0.0.1:1", "today")
    file.write_text('{"bootstrap": "127.0.0.1:2"}')
    assert address.place() == Place("127.0.0.1:2")
    for broken in ('{"bootstrap":', "{}", "[]", '{"bootstrap": "nowhere"}'):
        file.write_text(broken)
        with pytest.raises(AddressError):
            address.place()


def test_a_cluster_with_login_and_tls() -> None:
    address = KafkaAddress.parse("kafka://app:s%40crt@one:9093,two:9093?security=SASL_SSL&mechanism=SCRAM-SHA-512")
    assert address.place() == Place("one:9093,two:9093")
    options = address.client_options()
    assert isinstance(options.pop("ssl_context"), ssl.SSLContext)
    assert options == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "app",
        "sasl_plain_password": "s@crt",
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kafka",
        "kafka:port",
        "kafka://one:9092?security=MAGIC",
        "kafka://one:9092?mechanism=GUESS",
        "kafka://one:9092?colour=red",
        "kafka://one:9092?security=SASL_SSL",
        "kafka://user@one:9092?security=SASL_PLAINTEXT",
    ],
)
def test_a_wrong_setting_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        KafkaAddress.parse(text)


def test_a_refusal_never_tells_the_password() -> None:
    with pytest.raises(AddressError) as caught:
        KafkaAddress.parse("kafka://user:secret@one?security=SASL_SSL")
    assert "secret" not in str(caught.value)
