"""Signing keys and tokens: Ed25519 private keys in `<kid>.pem` (mode 0600), their public halves in a JWKS file.

The public file is an RFC 7517 key set with RFC 8037 keys; services read it alone and never see a private key.
"""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ISSUER = "tallystick"
ALGORITHM = "EdDSA"
KID_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,64}")


def generate_key(directory: Path, kid: str) -> Path:
    """Make a private key and answer its file; `FileExistsError` rather than overwrite one."""
    if not KID_PATTERN.fullmatch(kid):
        raise ValueError(f"not a key id: {kid!r}")
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = directory / f"{kid}.pem"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    return path


def write_jwks(directory: Path, file: Path, *further: Path) -> list[str]:
    """Write the public halves of all keys of `directory`, and of `further` ones, to `file` in one step, and answer
    their key ids."""
    keys = [_public_jwk(path) for folder in (directory, *further) for path in sorted(folder.glob("*.pem"))]
    file.parent.mkdir(parents=True, exist_ok=True)
    # Readers see the old set or the new one, never a part of it.
    draft = file.with_name(f"{file.name}.{os.getpid()}.new")
    draft.write_bytes(orjson.dumps({"keys": keys}, option=orjson.OPT_INDENT_2) + b"\n")
    draft.replace(file)
    return [key["kid"] for key in keys]


def ensure_keys(directory: Path, jwks_file: Path) -> Path:
    """A signing key of this machine, made if there is none, with its public half in `jwks_file`; answers its file."""
    path = newest_key(directory) or generate_key(directory, f"local-{os.urandom(4).hex()}")
    write_jwks(directory, jwks_file)
    return path


def ensure_secret(path: Path) -> None:
    """A file of 32 random bytes as hexadecimal digits, unless there is one; only its owner can read it."""
    if path.exists():
        return
    # Under its name it is whole or not there at all.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(os.urandom(32).hex().encode())
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


def newest_key(directory: Path) -> Path | None:
    """The private key made last, or None when there is none."""
    return max(directory.glob("*.pem"), key=lambda path: path.stat().st_mtime_ns, default=None)


def read_jwks(file: Path) -> dict[str, Ed25519PublicKey]:
    """Public keys by key id; `ValueError` when the file is not a key set. Keys of other kinds are passed over."""
    document = orjson.loads(file.read_bytes())
    keys: dict[str, Ed25519PublicKey] = {}
    try:
        for key in document["keys"]:
            if key["kty"] == "OKP" and key["crv"] == "Ed25519":
                raw = base64.urlsafe_b64decode(key["x"] + "=" * (-len(key["x"]) % 4))
                keys[key["kid"]] = Ed25519PublicKey.from_public_bytes(raw)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file} is not a key set") from error
    return keys


def issue_token(
    key_path: Path,
    *,
    sub: str,
    audience: str | Sequence[str],
    role: str,
    scopes: Sequence[str],
    app: str | None = None,
    apps: Sequence[str] | None = None,
    ttl_s: int = 300,
    now_s: int | None = None,
) -> str:
    """A signed token for one `app`, or for several `apps` (`["*"]`: all of them), good for `ttl_s` seconds."""
    if (app is None) == (apps is None):
        raise ValueError("a token names either an app or apps")
    now = int(time.time()) if now_s is None else now_s
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": audience if isinstance(audience, str) else list(audience),
        "sub": sub,
        "role": role,
        "scopes": list(scopes),
        "iat": now,
        "exp": now + ttl_s,
    }
    claims |= {"app": app} if app is not None else {"apps": list(apps or ())}
    return jwt.encode(claims, _private_key(key_path), algorithm=ALGORITHM, headers={"kid": key_path.stem})


def _private_key(path: Path) -> Ed25519PrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"{path} is not an Ed25519 key")
    return key


def _public_jwk(path: Path) -> dict[str, str]:
    raw = _private_key(path).public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "alg": ALGORITHM, "use": "sig", "kid": path.stem, "x": x}
