"""Who asks: bearer tokens (JWT, EdDSA alone) checked against the key set, and what their role lets them do.

A verified token is remembered until it expires, so that a busy caller costs a look-up instead of a signature check.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from libs.service.clock import SECOND_US, Clock
from libs.service.keys import ALGORITHM, ISSUER, read_jwks
from libs.service.problems import ScopeMissing, TokenExpired, TokenInvalid, TokenMissing, WrongApp, WrongUser

ALL_APPS = "*"
APP_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
SUBJECT_PATTERN = re.compile(r"[A-Za-z0-9._:@/-]{1,128}")
PEOPLE = frozenset({"user", "manager", "admin"})
PEOPLE_TTL_S_MAX = 600
LEEWAY_S = 5
CACHE_SIZE = 8192
JWKS_CHECK_S = 10
UNKNOWN_KEY_CHECK_S = 1
TOKEN_LENGTH_MAX = 8192

_SERVICES = ("ledger", "payments", "codes", "crm", "notify")


def _scopes(*verbs: str) -> frozenset[str]:
    return frozenset(f"{service}:{verb}" for service in _SERVICES for verb in verbs)


def scope_of(service: str, verb: str) -> str:
    """The scope of a service by its name: `scope_of("notifier", "read")` is `notify:read`."""
    return f"{'notify' if service == 'notifier' else service}:{verb}"


EVENTS_READ = "events:read"
ROLE_SCOPES: dict[str, frozenset[str]] = {
    "user": _scopes("read"),
    "manager": _scopes("read", "grant", "adjust"),
    "service": _scopes("read", "spend", "grant"),
    "admin": _scopes("read", "spend", "grant", "adjust", "config") | {EVENTS_READ},
    "system": _scopes("read", "config") | {EVENTS_READ},
}
"""What each role may have at most; a token's scopes are cut to this."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of one request: `app` is the one it speaks for now, `apps` those that its token allows."""

    sub: str
    app: str
    role: str
    scopes: frozenset[str]
    apps: frozenset[str]

    @property
    def actor(self) -> str:
        """Who acts, as events and records name it."""
        return f"{self.role}:{self.sub}"

    def require(self, scope: str) -> None:
        """:class:`ScopeMissing` unless the caller has `scope`."""
        if scope not in self.scopes:
            raise ScopeMissing(scope)

    def require_user(self, user: str) -> None:
        """:class:`WrongUser` when the caller is a user and `user` is somebody else."""
        if self.role == "user" and self.sub != user:
            raise WrongUser

    def require_app(self) -> str:
        """The app that the caller speaks for; :class:`WrongApp` when a system token names none."""
        if self.app == ALL_APPS:
            raise WrongApp("Name the app in the header Tallystick-App.")
        return self.app


class Authenticator:
    """Turns the headers of a request into its :class:`Principal`.

    `audience` is the service's own name. The key set is read again when its file changes; then remembered tokens are
    forgotten, so that a withdrawn key stops working within seconds.
    """

    def __init__(self, jwks_file: Path, audience: str, clock: Clock) -> None:
        self._file = jwks_file
        self._audience = audience
        self._clock = clock
        self._keys = read_jwks(jwks_file)
        self._stamp = _stamp(jwks_file)
        self._check_at = clock.monotonic() + JWKS_CHECK_S
        self._unknown_key_check_at = 0.0
        self._cache: OrderedDict[tuple[str, str | None], tuple[Principal, int]] = OrderedDict()

    def authenticate(self, authorization: str | None, app_header: str | None = None) -> Principal:
        """The caller; `TokenMissing`, `TokenInvalid`, `TokenExpired` or `WrongApp` otherwise."""
        if authorization is None:
            raise TokenMissing
        now_us = self._clock.now_us()
        # Not by the wall clock: one that goes back would leave a withdrawn key in use.
        if self._clock.monotonic() >= self._check_at:
            self._check_at = self._clock.monotonic() + JWKS_CHECK_S
            self._reload()
        key = (authorization, app_header)
        found = self._cache.get(key)
        if found is not None:
            if now_us < found[1]:
                self._cache.move_to_end(key)
                return found[0]
            del self._cache[key]
            raise TokenExpired
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise TokenMissing("The header Authorization does not hold a bearer token.")
        claims = self._verify(token.strip())
        principal, expires_us = _read_claims(claims, app_header, now_us)
        if len(self._cache) >= CACHE_SIZE:
            self._cache.popitem(last=False)
        self._cache[key] = (principal, expires_us)
        return principal

    def _verify(self, token: str) -> dict[str, Any]:
        if len(token) > TOKEN_LENGTH_MAX:
            raise TokenInvalid("The token is too long.")
        try:
            kid = jwt.get_unverified_header(token).get("kid")
        except jwt.InvalidTokenError:
            raise TokenInvalid("It is not a token.") from None
        if not isinstance(kid, str):
            raise TokenInvalid("The token names no key.")
        key = self._keys.get(kid) or self._look_again(kid)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=ISSUER,
                # Times are checked by our own clock.
                options={
                    "require": ["exp", "iat", "sub", "aud", "iss"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except jwt.InvalidAudienceError:
            raise TokenInvalid(f"The token is not for {self._audience}.") from None
        except jwt.InvalidIssuerError:
            raise TokenInvalid("The token has another issuer.") from None
        except jwt.MissingRequiredClaimError as error:
            raise TokenInvalid(f"The token lacks the claim {error.claim}.") from None
        except jwt.InvalidTokenError:
            raise TokenInvalid from None
        return claims

    def _look_again(self, kid: str) -> Any:
        """The key may have been added since; strangers must not make us read the file at every request."""
        now = self._clock.monotonic()
        if now >= self._unknown_key_check_at:
            self._unknown_key_check_at = now + UNKNOWN_KEY_CHECK_S
            self._reload()
        try:
            return self._keys[kid]
        except KeyError:
            raise TokenInvalid("The token is signed by an unknown key.") from None

    def _reload(self) -> None:
        try:
            stamp = _stamp(self._file)
            if stamp == self._stamp:
                return
            self._keys = read_jwks(self._file)
        except (OSError, ValueError):
            # A key set that is being replaced or is broken leaves the one that works.
            return
        self._stamp = stamp
        self._cache.clear()


def _stamp(file: Path) -> tuple[int, int, int]:
    status = file.stat()
    return status.st_mtime_ns, status.st_ino, status.st_size


def _read_claims(claims: dict[str, Any], app_header: str | None, now_us: int) -> tuple[Principal, int]:
    """The principal, and until when the token may be remembered (microseconds)."""
    sub, role, scopes = claims["sub"], claims.get("role"), claims.get("scopes")
    if not isinstance(sub, str) or not SUBJECT_PATTERN.fullmatch(sub):
        raise TokenInvalid("The token's sub is not usable.")
    if not isinstance(role, str) or role not in ROLE_SCOPES:
        raise TokenInvalid("The token has no role that we know.")
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise TokenInvalid("The token's scopes are not a list.")
    expires_us = _check_times(claims, role, now_us)
    apps = _read_apps(claims)
    app = _choose_app(apps, app_header, role)
    return Principal(sub, app, role, ROLE_SCOPES[role].intersection(scopes), apps), expires_us


def _check_times(claims: dict[str, Any], role: str, now_us: int) -> int:
    expires, issued, not_before = claims["exp"], claims["iat"], claims.get("nbf", 0)
    if not all(type(value) is int for value in (expires, issued, not_before)):
        raise TokenInvalid("The token's times are not whole seconds.")
    latest_s = now_us / SECOND_US + LEEWAY_S
    if issued > latest_s or not_before > latest_s:
        raise TokenInvalid("The token is not good yet.")
    if role in PEOPLE and expires - issued > PEOPLE_TTL_S_MAX:
        raise TokenInvalid(f"A token of a {role} may live {PEOPLE_TTL_S_MAX} seconds.")
    expires_us: int = (expires + LEEWAY_S) * SECOND_US
    if expires_us <= now_us:
        raise TokenExpired
    return expires_us


def _read_apps(claims: dict[str, Any]) -> frozenset[str]:
    app, apps = claims.get("app"), claims.get("apps")
    if (app is None) == (apps is None):
        raise TokenInvalid("The token must name either an app or apps.")
    names = [app] if apps is None else apps
    if not isinstance(names, list) or not names:
        raise TokenInvalid("The token's apps are not a list.")
    if not all(isinstance(name, str) and (name == ALL_APPS or APP_PATTERN.fullmatch(name)) for name in names):
        raise TokenInvalid("The token names an app that cannot be.")
    if ALL_APPS in names and claims["role"] not in ("service", "system"):
        raise TokenInvalid(f"A token of a {claims['role']} is for one app.")
    return frozenset(names)


def _choose_app(apps: frozenset[str], header: str | None, role: str) -> str:
    if header is not None:
        if not APP_PATTERN.fullmatch(header) or (header not in apps and ALL_APPS not in apps):
            raise WrongApp
        return header
    if len(apps) == 1 and ALL_APPS not in apps:
        return next(iter(apps))
    if role == "system" and ALL_APPS in apps:
        return ALL_APPS
    raise WrongApp("The token is for several apps: name one in the header Tallystick-App.")
