"""Bearer tokens that must not be taken, each made for a key set whose private key the forger may or may not have."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from libs.service.auth import ROLE_SCOPES

Claims = dict[str, Any]
ROLE = "admin"


def claims(audience: str, **changes: Any) -> Claims:
    """The claims of a good admin's token of the app `coins` for the service `audience`; None takes one away."""
    now = int(time.time())
    good: Claims = {
        "iss": "tallystick",
        "aud": audience,
        "sub": "ann",
        "role": ROLE,
        "scopes": sorted(ROLE_SCOPES[ROLE]),
        "app": "coins",
        "iat": now,
        "exp": now + 300,
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(key: Path, audience: str = "ledger", **changes: Any) -> str:
    """A token that the deployment's own key signs."""
    return jwt.encode(claims(audience, **changes), key.read_text(), algorithm="EdDSA", headers={"kid": key.stem})


def _by_hand(header: dict[str, Any], body: Claims, signature: Callable[[bytes], bytes]) -> str:
    parts = [base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=") for part in (header, body)]
    message = b".".join(parts)
    return (message + b"." + base64.urlsafe_b64encode(signature(message)).rstrip(b"=")).decode()


def _hmac(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda message: hmac.new(secret, message, hashlib.sha256).digest()


def _changed(token: str, others: Claims) -> str:
    """The same signature under other claims."""
    header, _, signature = token.split(".")
    body = base64.urlsafe_b64encode(orjson.dumps(others)).rstrip(b"=").decode()
    return f"{header}.{body}.{signature}"


def forgeries(key: Path, jwks: Path, audience: str = "ledger") -> dict[str, str]:
    """Values of the header Authorization that are no good for a service, by what is wrong with them."""
    now = int(time.time())
    kid = key.stem
    good_claims = claims(audience)
    good = signed(key, audience)
    stranger = Ed25519PrivateKey.generate()
    public = base64.urlsafe_b64decode(orjson.loads(jwks.read_bytes())["keys"][0]["x"] + "=")
    embedded = jwt.algorithms.OKPAlgorithm.to_jwk(stranger.public_key(), as_dict=True)
    tokens = {
        "expired": signed(key, audience, iat=now - 400, exp=now - 100),
        "not good yet": signed(key, audience, iat=now + 100, exp=now + 400),
        "lives too long": signed(key, audience, exp=now + 86_400),
        "no expiry": signed(key, audience, exp=None),
        "another audience": signed(key, "payments"),
        "no audience": signed(key, audience, aud=None),
        "another issuer": signed(key, audience, iss="somebody"),
        "no issuer": signed(key, audience, iss=None),
        "no subject": signed(key, audience, sub=None),
        "no such role": signed(key, audience, role="root"),
        "no app": signed(key, audience, app=None),
        "every app, for a person": signed(key, audience, app=None, apps=["*"]),
        "another's signature": jwt.encode(good_claims, stranger, algorithm="EdDSA", headers={"kid": kid}),
        "an unknown key": jwt.encode(good_claims, stranger, algorithm="EdDSA", headers={"kid": "other"}),
        "a key of its own in the header": jwt.encode(
            good_claims, stranger, algorithm="EdDSA", headers={"kid": "other", "jwk": embedded}
        ),
        "a key from an address": jwt.encode(
            good_claims, stranger, algorithm="EdDSA", headers={"kid": "other", "jku": "http://127.0.0.1:1/keys"}
        ),
        "a path for a key": jwt.encode(good_claims, stranger, algorithm="EdDSA", headers={"kid": "../../../dev/null"}),
        "no key": jwt.encode(good_claims, stranger, algorithm="EdDSA"),
        "alg none": _by_hand({"alg": "none", "typ": "JWT", "kid": kid}, good_claims, lambda _: b""),
        "alg None": _by_hand({"alg": "None", "typ": "JWT", "kid": kid}, good_claims, lambda _: b""),
        "HS256 with the public key": _by_hand({"alg": "HS256", "kid": kid}, good_claims, _hmac(public)),
        "HS256 with the key set": _by_hand({"alg": "HS256", "kid": kid}, good_claims, _hmac(jwks.read_bytes())),
        "HS256 with nothing": _by_hand({"alg": "HS256", "kid": kid}, good_claims, _hmac(b"")),
        "other claims": _changed(good, good_claims | {"sub": "eve"}),
        "no signature": good.rsplit(".", 1)[0] + ".",
        "half of it": good[: len(good) // 2],
        "not a token": "nonsense",
        "very long": "a" * 100_000,
        "a critical extension": jwt.encode(
            good_claims, key.read_text(), algorithm="EdDSA", headers={"kid": kid, "crit": ["x"], "x": 1}
        ),
    }
    return {what: f"Bearer {token}" for what, token in tokens.items()} | {
        "basic": "Basic " + base64.b64encode(b"admin:admin").decode(),
        "no scheme": good,
        "two tokens": f"Bearer {good}, Bearer {good}",
        "empty": "",
    }
