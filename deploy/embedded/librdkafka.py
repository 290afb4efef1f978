"""The few functions of librdkafka that the embedded broker needs, by ctypes from the ``confluent-kafka`` wheel."""

import ctypes
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

RD_KAFKA_PRODUCER = 0
ERROR_BYTES = 512


class LibraryError(RuntimeError):
    """librdkafka is missing or refused a call."""


@cache
def library() -> ctypes.CDLL:
    """librdkafka as bundled with the wheel. Raises ``LibraryError`` when it is not there."""
    spec = find_spec("confluent_kafka")
    if spec is None or spec.origin is None:
        raise LibraryError("The package confluent-kafka is not installed")
    package = Path(spec.origin).parent
    places = (package.with_name("confluent_kafka.libs"), package / ".dylibs")
    found = [path for place in places for path in place.glob("librdkafka*")]
    if not found:
        raise LibraryError("The package confluent-kafka bundles no librdkafka on this platform")
    # The wheel's other libraries are found by its own loading of them.
    __import__("confluent_kafka")
    return _declared(ctypes.CDLL(str(found[0])))


def _declared(rdkafka: ctypes.CDLL) -> ctypes.CDLL:
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures: dict[str, tuple[type | None, Sequence[type]]] = {
        "rd_kafka_conf_new": (pointer, ()),
        "rd_kafka_conf_set": (number, (pointer, text, text, pointer, ctypes.c_size_t)),
        "rd_kafka_new": (pointer, (number, pointer, pointer, ctypes.c_size_t)),
        "rd_kafka_destroy": (None, (pointer,)),
        "rd_kafka_err2str": (text, (number,)),
        "rd_kafka_mock_cluster_new": (pointer, (pointer, number)),
        "rd_kafka_mock_cluster_destroy": (None, (pointer,)),
        "rd_kafka_mock_cluster_bootstraps": (text, (pointer,)),
        "rd_kafka_mock_topic_create": (number, (pointer, text, number, number)),
        "rd_kafka_mock_push_request_errors_array": (
            None,
            (pointer, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(number)),
        ),
        "rd_kafka_mock_clear_request_errors": (None, (pointer, ctypes.c_int16)),
        "rd_kafka_mock_broker_set_down": (number, (pointer, ctypes.c_int32)),
        "rd_kafka_mock_broker_set_up": (number, (pointer, ctypes.c_int32)),
        "rd_kafka_mock_broker_set_rtt": (number, (pointer, ctypes.c_int32, number)),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(rdkafka, name)
        function.restype, function.argtypes = result, arguments
    return rdkafka


def new_client() -> int:
    """A librdkafka handle that connects to nothing; clusters hang on it."""
    error = ctypes.create_string_buffer(ERROR_BYTES)
    configuration = library().rd_kafka_conf_new()
    library().rd_kafka_conf_set(configuration, b"log_level", b"3", error, ERROR_BYTES)
    handle: int | None = library().rd_kafka_new(RD_KAFKA_PRODUCER, configuration, error, ERROR_BYTES)
    if not handle:
        raise LibraryError(error.value.decode())
    return handle


def check(code: int, what: str) -> None:
    """Raises ``LibraryError`` for a code that is not 0."""
    if code:
        raise LibraryError(f"{what}: {library().rd_kafka_err2str(code).decode()}")
