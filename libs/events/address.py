"""Where Kafka is: one setting, read again whenever a connection is made.

- `file:/path/broker.json` – a file `{"bootstrap": "127.0.0.1:40123", "started": …}` that the embedded broker writes;
- `host:9092,host2:9092` – a plain list;
- `kafka://user:password@host:9093,host2:9093?security=SASL_SSL&mechanism=SCRAM-SHA-512&ca=/path/ca.pem` – with
  `security` one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL, and `cert` and `key` for client certificates.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_SECURITY = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class AddressError(ValueError):
    """The setting does not say where Kafka is."""


@dataclass(frozen=True, slots=True)
class Place:
    """A broker's present address, and when it was started where that is told."""

    bootstrap: str
    started: str = ""


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """A parsed address; `place()` is asked anew for every connection."""

    servers: str
    file: Path | None = None
    security: str = "PLAINTEXT"
    mechanism: str = "PLAIN"
    username: str | None = None
    password: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    @classmethod
    def parse(cls, text: str) -> KafkaAddress:
        """Read the setting; :class:`AddressError` names what is wrong with it (never the password)."""
        if text.startswith("file:"):
            return cls(servers="", file=Path(text.removeprefix("file:")))
        if not text.startswith("kafka://"):
            return cls(servers=_checked(text))
        parts = urlsplit(text)
        login, _, servers = parts.netloc.rpartition("@")
        username, _, password = login.partition(":")
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        unknown = options.keys() - {"security", "mechanism", "ca", "cert", "key"}
        if unknown:
            raise AddressError(f"unknown option {min(unknown)}")
        security = options.get("security", "PLAINTEXT")
        mechanism = options.get("mechanism", "PLAIN")
        if security not in _SECURITY:
            raise AddressError(f"security is one of {', '.join(_SECURITY)}")
        if mechanism not in _MECHANISMS:
            raise AddressError(f"mechanism is one of {', '.join(_MECHANISMS)}")
        if security.startswith("SASL") and not (username and password):
            raise AddressError(f"{security} needs user:password@ before the hosts")
        return cls(
            servers=_checked(servers),
            security=security,
            mechanism=mechanism,
            username=unquote(username) or None,
            password=unquote(password) or None,
            ca=options.get("ca"),
            cert=options.get("cert"),
            key=options.get("key"),
        )

    def place(self) -> Place:
        """Where the broker is now; OSError or :class:`AddressError` while the file is absent or half-written."""
        if self.file is None:
            return Place(self.servers)
        try:
            content = json.loads(self.file.read_bytes())
            return Place(_checked(content["bootstrap"]), content.get("started", ""))
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise AddressError(f"{self.file} does not name a broker") from error

    def client_options(self) -> dict[str, Any]:
        """What the Kafka client wants to know beside the bootstrap address."""
        options: dict[str, Any] = {"security_protocol": self.security}
        if self.security.endswith("SSL"):
            context = ssl.create_default_context(cafile=self.ca)
            if self.cert is not None:
                context.load_cert_chain(self.cert, self.key)
            options["ssl_context"] = context
        if self.security.startswith("SASL"):
            options["sasl_mechanism"] = self.mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = self.password
        return options


def _checked(servers: str) -> str:
    for server in servers.split(","):
        host, colon, port = server.rpartition(":")
        if not (host and colon and port.isdigit()):
            raise AddressError("expected host:port[,host:port …]")
    return servers
