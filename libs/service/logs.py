"""Logs: one JSON object per line (or readable text), with the fields of the work at hand, and no secrets.

Fields come from `extra={…}` of the call and from :func:`log_fields` around it. Whatever looks like a token or a
password in a DSN is blotted out, wherever it came from.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import orjson

from libs.service.clock import format_time

_FIELDS: ContextVar[dict[str, Any]] = ContextVar("log_fields", default={})  # noqa: B039
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SECRETS = (
    # The password of a URL with user information.
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+@"), r"\1***@"),
    # A keyword/value DSN.
    (re.compile(r"(\bpassword\s*=\s*)('[^']*'|[^\s'\",]+)", re.IGNORECASE), r"\1***"),
    (re.compile(r"(\bbearer\s+)[A-Za-z0-9._~+/=-]+", re.IGNORECASE), r"\1***"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), "***"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31;1m"}


@contextlib.contextmanager
def log_fields(**fields: Any) -> Iterator[None]:
    """Every line logged inside the block carries `fields`."""
    token = _FIELDS.set(_FIELDS.get() | fields)
    try:
        yield
    finally:
        _FIELDS.reset(token)


def redact(text: str) -> str:
    """`text` with tokens and passwords blotted out."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def configure_logging(service: str, level: str = "info", log_format: str = "auto") -> None:
    """Send all logs to stderr. `log_format` is `json`, `text`, or `auto` (text on a terminal)."""
    text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextFormatter(service, colour=sys.stderr.isatty()) if text else JsonFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # These say at info what is either ours to say or of no use to an operator.
    for name in ("aiokafka", "asyncio", "httpx", "httpcore", "uvicorn"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _fields_of(record: logging.LogRecord) -> dict[str, Any]:
    own = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return _FIELDS.get() | own


def _clean(value: Any) -> Any:
    """`value` as JSON can say it, without secrets. Redaction comes before quoting, which it could otherwise break."""
    if isinstance(value, str):
        return redact(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): _clean(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    return redact(str(value))


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The line of one record."""
        line: dict[str, Any] = {
            "time": format_time(int(record.created * 1_000_000)),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        for name, value in _fields_of(record).items():
            line.setdefault(name, _clean(value))
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    """A line for people: time, service, level, message, fields."""

    def __init__(self, service: str, *, colour: bool = False) -> None:
        super().__init__()
        self._service = service
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """The line of one record, and its traceback below it."""
        clock = format_time(int(record.created * 1_000_000))[11:23].rstrip("Z")
        fields = "".join(f" {name}={value}" for name, value in _fields_of(record).items())
        # A control character from outside must not forge a line or steer the terminal.
        message = _CONTROL.sub("?", f"{record.getMessage()}{fields}".replace("\n", "⏎"))
        line = f"{clock:<12} {self._service:<10} {record.levelname.lower():<8} {message}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        line = redact(line)
        colour = _COLOURS.get(record.levelname) if self._colour else None
        return f"{colour}{line}\x1b[0m" if colour else line
