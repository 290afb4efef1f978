"""The envelope of every message: CloudEvents 1.0, Kafka binding, binary mode.

A message is either an :class:`Envelope` (an event or a command) or a :class:`Heartbeat`, by which an idle relay says up
to where it has published. The headers are the wire format; :func:`envelope_json` is the same thing as one JSON object,
for feeds and dead letters.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from libs.events.partition import partition_key

CONTENT_TYPE = "application/json"
HEARTBEAT_TYPE = "tallystick.heartbeat.v1"
ATTRIBUTE_MAX = 256
"""Characters of a text attribute."""

SOURCE_PREFIX = "/tallystick/"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Headers = list[tuple[str, bytes]]


class InvalidMessage(Exception):
    """A message that is not ours and never will be; `reason` is a short code, `detail` says what was seen.

    `readable` holds the text attributes that could be read, so that a refusal can still name the message's id; `raw` is
    the whole record as :func:`raw_json`, set by whoever read it from Kafka.
    """

    def __init__(self, reason: str, detail: str = "", readable: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.readable = dict(readable or {})
        self.raw = b""

    @property
    def message_id(self) -> str | None:
        """The id of the message, if that much of it could be read."""
        return self.readable.get("id")


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event or a command in transit. `time_us` counts microseconds since the epoch; `data` is the JSON payload.

    `stream`, `seq` and `prevseq` belong to events only: commands are taken by Kafka offset. `source` is the bare name
    of the service ("ledger"); on the wire it is `/tallystick/ledger`.
    """

    id: str
    source: str
    type: str
    time_us: int
    subject: str
    app: str
    data: bytes
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    stream: str | None = None
    seq: int | None = None
    prevseq: int | None = None
    actor: str | None = None
    idempotency_key: str | None = None

    @property
    def key(self) -> bytes:
        """The Kafka key: what decides the partition."""
        return partition_key(self.app, self.subject)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last `seq` that a relay has published in one (source, topic, partition) of one `stream`."""

    source: str
    stream: str
    seq: int
    time_us: int


def time_text(time_us: int) -> str:
    """RFC 3339 in UTC with microseconds, for example `2026-01-31T10:00:00.000000Z`."""
    moment = _EPOCH + timedelta(microseconds=time_us)
    return moment.isoformat(timespec="microseconds")[:-6] + "Z"


def parse_time(text: str) -> int:
    """Microseconds since the epoch; ValueError if `text` is not an RFC 3339 time with an offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"no offset: {text}")
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def to_headers(envelope: Envelope) -> Headers:
    """The Kafka record headers of an envelope; absent attributes have no header."""
    headers: Headers = [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", envelope.id.encode()),
        ("ce_source", (SOURCE_PREFIX + envelope.source).encode()),
        ("ce_type", envelope.type.encode()),
        ("ce_time", time_text(envelope.time_us).encode()),
        ("ce_subject", envelope.subject.encode()),
        ("ce_app", envelope.app.encode()),
    ]
    for name, text in (
        ("ce_correlationid", envelope.correlation_id),
        ("ce_causationid", envelope.causation_id),
        ("ce_traceparent", envelope.traceparent),
        ("ce_stream", envelope.stream),
        ("ce_actor", envelope.actor),
        ("ce_idempotencykey", envelope.idempotency_key),
    ):
        if text is not None:
            headers.append((name, text.encode()))
    if envelope.seq is not None:
        headers.append(("ce_seq", b"%d" % envelope.seq))
    if envelope.prevseq is not None:
        headers.append(("ce_prevseq", b"%d" % envelope.prevseq))
    return headers


def heartbeat_headers(heartbeat: Heartbeat) -> Headers:
    """The Kafka record headers of a heartbeat; its value is empty JSON and it has no key."""
    return [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", f"heartbeat-{heartbeat.stream}-{heartbeat.seq}-{heartbeat.time_us}".encode()),
        ("ce_source", (SOURCE_PREFIX + heartbeat.source).encode()),
        ("ce_type", HEARTBEAT_TYPE.encode()),
        ("ce_time", time_text(heartbeat.time_us).encode()),
        ("ce_stream", heartbeat.stream.encode()),
        ("ce_seq", b"%d" % heartbeat.seq),
    ]


def _count(attributes: Mapping[str, bytes], name: str) -> int | None:
    raw = attributes.get(name)
    if raw is None:
        return None
    if not raw.isdigit():
        raise ValueError(f"{name} is not a count")
    return int(raw)


def _text(raw: bytes) -> str:
    """An attribute as text: printable, and short enough to be kept beside every event."""
    text = raw.decode()
    if not text.isprintable() or len(text) > ATTRIBUTE_MAX:
        raise ValueError("an attribute is too long or has a control character")
    return text


def _optional(attributes: Mapping[str, bytes], name: str) -> str | None:
    raw = attributes.get(name)
    return None if raw is None else _text(raw)


def from_record(headers: Iterable[tuple[str, bytes]], value: bytes | None) -> Envelope | Heartbeat:
    """Read one Kafka record strictly.

    Raises :class:`InvalidMessage` with reason `missing_attribute`, `invalid_attribute`, `invalid_content_type` or
    `invalid_source`. The payload is not parsed here: whoever knows its type decodes it.
    """
    attributes = dict(headers)
    try:
        if attributes["ce_specversion"] != b"1.0":
            raise InvalidMessage("invalid_attribute", "specversion", _readable(attributes))
        if attributes["content-type"] != b"application/json":
            raise InvalidMessage("invalid_content_type", "not application/json", _readable(attributes))
        source = _text(attributes["ce_source"])
        if not source.startswith(SOURCE_PREFIX) or len(source) == len(SOURCE_PREFIX):
            raise InvalidMessage("invalid_source", source[:200], _readable(attributes))
        source = source[len(SOURCE_PREFIX) :]
        message_type = _text(attributes["ce_type"])
        if message_type == HEARTBEAT_TYPE:
            return Heartbeat(
                source=source,
                stream=_text(attributes["ce_stream"]),
                seq=int(attributes["ce_seq"]),
                time_us=parse_time(attributes["ce_time"].decode()),
            )
        return Envelope(
            id=_text(attributes["ce_id"]),
            source=source,
            type=message_type,
            time_us=parse_time(attributes["ce_time"].decode()),
            subject=_text(attributes["ce_subject"]),
            app=_text(attributes["ce_app"]),
            data=value or b"",
            correlation_id=_optional(attributes, "ce_correlationid"),
            causation_id=_optional(attributes, "ce_causationid"),
            traceparent=_optional(attributes, "ce_traceparent"),
            stream=_optional(attributes, "ce_stream"),
            seq=_count(attributes, "ce_seq"),
            prevseq=_count(attributes, "ce_prevseq"),
            actor=_optional(attributes, "ce_actor"),
            idempotency_key=_optional(attributes, "ce_idempotencykey"),
        )
    except KeyError as missing:
        raise InvalidMessage("missing_attribute", str(missing.args[0]), _readable(attributes)) from missing
    except (ValueError, AttributeError, OverflowError) as wrong:
        raise InvalidMessage("invalid_attribute", str(wrong)[:200], _readable(attributes)) from wrong


def raw_json(key: bytes | None, headers: Iterable[tuple[str, bytes]], value: bytes | None) -> bytes:
    """A Kafka record that is no envelope, as JSON with its bytes in base64; :func:`from_raw_json` reads it again."""
    return orjson.dumps(
        {
            "key": None if key is None else base64.b64encode(key).decode(),
            "headers": [[name, base64.b64encode(text or b"").decode()] for name, text in headers],
            "value": None if value is None else base64.b64encode(value).decode(),
        }
    )


def from_raw_json(raw: bytes) -> Envelope | Heartbeat:
    """Read a record kept by :func:`raw_json` once more, as :func:`from_record` does."""
    shape = orjson.loads(raw)
    headers = [(name, base64.b64decode(text)) for name, text in shape["headers"]]
    return from_record(headers, None if shape["value"] is None else base64.b64decode(shape["value"]))


def _readable(attributes: Mapping[str, bytes]) -> dict[str, str]:
    """The CloudEvents attributes that are text, without their prefix, made printable."""
    found = {}
    for name, raw in attributes.items():
        if name.startswith("ce_") and raw is not None:
            text = raw[:ATTRIBUTE_MAX].decode(errors="replace")
            found[name[3:]] = "".join([sign if sign.isprintable() else "�" for sign in text])
    return found


_JSON_NAMES = (
    ("correlationid", "correlation_id"),
    ("causationid", "causation_id"),
    ("traceparent", "traceparent"),
    ("stream", "stream"),
    ("seq", "seq"),
    ("prevseq", "prevseq"),
    ("actor", "actor"),
    ("idempotencykey", "idempotency_key"),
)


def envelope_json(envelope: Envelope) -> dict[str, Any]:
    """The envelope in CloudEvents' JSON format, ready for orjson, such that the payload keeps its bytes.

    A payload that would change by being parsed and written again (or is no JSON at all) travels as `data_base64`.
    """
    shape: dict[str, Any] = {
        "specversion": "1.0",
        "id": envelope.id,
        "source": SOURCE_PREFIX + envelope.source,
        "type": envelope.type,
        "time": time_text(envelope.time_us),
        "subject": envelope.subject,
        "app": envelope.app,
    }
    for name, attribute in _JSON_NAMES:
        value = getattr(envelope, attribute)
        if value is not None:
            shape[name] = value
    shape["datacontenttype"] = CONTENT_TYPE
    try:
        data = orjson.loads(envelope.data)
        exact = orjson.dumps(data) == envelope.data
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        exact = False
    if exact:
        shape["data"] = data
    else:
        shape["data_base64"] = base64.b64encode(envelope.data).decode()
    return shape


def envelope_from_json(shape: Mapping[str, Any]) -> Envelope:
    """The reverse of :func:`envelope_json`, byte for byte; :class:`InvalidMessage` if it is not of that shape."""
    try:
        source = str(shape["source"])
        if not source.startswith(SOURCE_PREFIX):
            raise InvalidMessage("invalid_source", source[:200])
        data = base64.b64decode(shape["data_base64"]) if "data_base64" in shape else orjson.dumps(shape["data"])
        return Envelope(
            id=shape["id"],
            source=source[len(SOURCE_PREFIX) :],
            type=shape["type"],
            time_us=parse_time(shape["time"]),
            subject=shape["subject"],
            app=shape["app"],
            data=data,
            **{attribute: shape[name] for name, attribute in _JSON_NAMES if name in shape},
        )
    except KeyError as missing:
        raise InvalidMessage("missing_attribute", str(missing.args[0])) from missing
    except (ValueError, TypeError) as wrong:
        raise InvalidMessage("invalid_attribute", str(wrong)[:200]) from wrong
