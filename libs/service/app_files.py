"""App files: one YAML file describes an app whole; each of its keys belongs to one service.

The YAML is read with few surprises: only `true` and `false` are booleans (`no` is a language), times and `22:00` stay
text, and a key that stands twice is a fault.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from libs.service.auth import APP_PATTERN

OWNERS: dict[str, tuple[str, ...]] = {
    "ledger": (
        "assets",
        "prices",
        "earning_rules",
        "earning_caps",
        "allowances",
        "thresholds",
        "hold_limits",
        "policies",
    ),
    "payments": ("packages", "plans", "payment_methods", "tax"),
    "codes": ("codes", "discounts", "cashback", "referrals"),
    "crm": ("tiers", "segments"),
    "notifier": ("alerts", "templates", "languages", "quiet_hours"),
}
"""Which service owns which keys."""

SHARED_KEYS = ("zone", "switches", "test_mode")
"""Keys that every service receives. Which app they are for is said by the token, never by a body."""

SERVICES = ("ledger", "codes")
"""The owners that this release has; keys of others are named and passed over."""


class AppFileError(ValueError):
    """The file cannot be used; the message names the file, the place and what to do."""


@dataclass(frozen=True, slots=True)
class AppFile:
    """One app's file: `parts` is what each service receives, `passed_over` the keys of services not there yet."""

    path: Path
    app: str
    parts: dict[str, dict[str, Any]]
    passed_over: dict[str, list[str]]


def read_app_file(path: Path) -> AppFile:
    """The file at `path`, split by owner; :class:`AppFileError` otherwise."""
    document = _load(path)
    app = document.get("app")
    if not isinstance(app, str) or not APP_PATTERN.fullmatch(app):
        raise AppFileError(f"{path}: `app` must be the app's name in small letters, digits, - and _")
    owner_of = {key: service for service, keys in OWNERS.items() for key in keys}
    known = ["app", *SHARED_KEYS, *owner_of]
    for key in document:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            raise AppFileError(f"{path}: unknown key `{key}`" + (f"; did you mean `{near[0]}`?" if near else ""))
    shared = {key: document[key] for key in SHARED_KEYS if key in document}
    parts = {service: dict(shared) for service in SERVICES}
    passed_over: dict[str, list[str]] = {}
    for key, value in document.items():
        service = owner_of.get(key)
        if service in parts:
            parts[service][key] = value
        elif service is not None:
            passed_over.setdefault(service, []).append(key)
    return AppFile(path, app, parts, passed_over)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2's core schema."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is not text; put it in quotes", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key `{key}` stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", "n~\0"),
    ("int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+([eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)", "-+0123456789"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), ["" if c == "\0" else c for c in _first]
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise AppFileError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise AppFileError(f"{path}: {error}") from None
    if not isinstance(document, dict):
        raise AppFileError(f"{path}: an app file is a mapping that begins with `app: <name>`")
    return document
