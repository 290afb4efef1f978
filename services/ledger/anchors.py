"""Anchors: signed heads of the log, kept outside the database, so that a cut tail or an old copy shows.

One file a day, `2026-01-31.jsonl`, in a directory that may be the mount of an object store. A line is a JSON object:

    {"stream": "…", "time": "2026-01-31T09:00:00.000000Z", "previous": "SHA-256 in hex",
     "heads": [[partition, position, "hash in hex"], …], "signature": "<JWS header>..<JWS signature>"}

`stream` is the incarnation of the log, `previous` the digest of the line before (absent in the first), so that a line
that was taken away is missed by the next. A process that has written one and does not find it again says so with the
next that it writes; what is taken from the end while nothing runs leaves no trace but a smaller number of anchors. The
signature is a detached JWS (RFC 7515, appendix F; EdDSA, `kid` in its header) over the same object without `signature`,
as compact JSON with the members in this order.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jwt
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from libs.service.clock import SystemClock
from libs.service.db import Pool
from libs.service.keys import ALGORITHM, newest_key
from services.ledger.domain.codec import format_time
from services.ledger.store.heads import Head
from services.ledger.store.log_reads import LogStream, read_heads, read_streams

logger = logging.getLogger(__name__)

INTERVAL_S = 60.0
_TAIL_BYTES = 1 << 16
_JWS = jwt.PyJWS(algorithms=[ALGORITHM])


@dataclass(slots=True)
class AnchorBook:
    """What anchors say of the present log: hashes by partition and position. `faults` are anchors not to be trusted.

    `unreadable` counts lines that are no anchors, as a crash may leave one; `headless` says that the first follows one
    that is not there.
    """

    hashes: dict[int, dict[int, bytes]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    anchors: int = 0
    unreadable: int = 0
    headless: bool = False


@dataclass(frozen=True, slots=True)
class AnchorPlace:
    """Where anchors lie, and the public keys that they may be signed with, by key id."""

    directory: Path
    keys: Mapping[str, Ed25519PublicKey]


def anchor_directory(configured: Path | None, data: Path) -> Path:
    """Where anchors lie: what is `configured`, else a folder of `data`."""
    return configured or data / "anchors"


def find_anchor_key(configured: Path | None, data: Path) -> Path | None:
    """The private key to sign anchors with: what is `configured`, a key or a folder of keys, else of `data`'s keys.

    Of a folder it is the newest one; None when there is none.
    """
    place = configured or data / "keys"
    return newest_key(place) if place.is_dir() else configured


@dataclass(frozen=True, slots=True)
class Anchored:
    """The anchor that a process wrote last: the heads in it, and its line with the place where it lies."""

    heads: Mapping[int, Head]
    line: bytes
    path: Path
    offset: int

    @property
    def is_there(self) -> bool:
        """Whether the line is where it was written."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                return file.read(len(self.line)) == self.line
        except FileNotFoundError:
            return False


def sign_anchor(stream: str, time_us: int, heads: Mapping[int, Head], key: Path, previous: str | None = None) -> bytes:
    """The line of an anchor, signed by the private key in the file `key`, whose name is the key id."""
    body: dict[str, object] = {"stream": stream, "time": format_time(time_us)}
    if previous is not None:
        body["previous"] = previous
    body["heads"] = [[head.partition, head.position, head.hash.hex()] for _, head in sorted(heads.items())]
    private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    if not isinstance(private, Ed25519PrivateKey):
        raise TypeError(f"{key} is not an Ed25519 key")
    token = _JWS.encode(orjson.dumps(body), private, algorithm=ALGORITHM, headers={"kid": key.stem})
    header, _, signature = token.split(".")
    return orjson.dumps({**body, "signature": f"{header}..{signature}"}) + b"\n"


def append_anchor(directory: Path, line: bytes) -> tuple[Path, int]:
    """Put a line at the end of its day's file, durably; the file, and where in it the line begins."""
    directory.mkdir(parents=True, exist_ok=True)
    day = orjson.loads(line)["time"][:10]
    path = directory / f"{day}.jsonl"
    new = not path.exists()
    with path.open("ab+") as file:
        if file.tell() and _last_byte(path) != b"\n":
            # A crash cut the line before; it stays as it is, and ours begins on its own.
            file.write(b"\n")
        file.write(line)
        file.flush()
        # Another process may have written meanwhile, but both append: ours ends where this file object stands.
        offset = file.tell() - len(line)
        os.fsync(file.fileno())
    if new:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return path, offset


def _digest(line: bytes) -> str:
    return hashlib.sha256(line.strip()).hexdigest()


def _last_digest(directory: Path) -> str | None:
    """The digest of the last line that lies in a directory."""
    for path in sorted(directory.glob("*.jsonl"), reverse=True):
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            reach = _TAIL_BYTES
            while True:
                file.seek(max(0, size - reach))
                content = file.read().rstrip()
                if b"\n" in content or (content and reach >= size):
                    return _digest(content.rsplit(b"\n", 1)[-1])
                if reach >= size:
                    break
                reach *= 4
    return None


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)


def read_anchors(place: AnchorPlace, streams: Sequence[LogStream]) -> AnchorBook:
    """All anchors, as far as they concern the present log: those of an earlier incarnation up to where it forked."""
    book = AnchorBook()
    shared = {one.stream: one.shared_up_to for one in streams}
    digests: set[str | None] = {None}
    for path in sorted(place.directory.glob("*.jsonl")):
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    where = f"{path.name}, line {number}"
                    previous = _read_line(book, where, line, shared, place.keys)
                    # Older files may have been put away: the first line that is there may follow one that is not.
                    if previous not in digests and len(digests) == 1:
                        book.headless = True
                    elif previous not in digests:
                        book.faults.append(f"{where}: the anchor before it is missing, or is not as it was")
                    digests.add(_digest(line))
    return book


def _read_line(
    book: AnchorBook,
    where: str,
    line: bytes,
    shared: Mapping[str, Mapping[int, int] | None],
    keys: Mapping[str, Ed25519PublicKey],
) -> str | None:
    """Take an anchor into the book; the digest of the line that it follows, None where it says none."""
    try:
        anchor = orjson.loads(line)
        header, signature = anchor.pop("signature").split("..")
        heads = [(int(p), int(position), bytes.fromhex(digest)) for p, position, digest in anchor["heads"]]
        stream = anchor["stream"]
    except (ValueError, KeyError, TypeError, AttributeError):
        book.unreadable += 1
        return None
    fault = _signature_fault(header, anchor, signature, keys)
    if fault is None and stream not in shared:
        fault = f"it is of incarnation {stream}, which the database does not know"
    if fault is not None:
        book.faults.append(f"{where}: {fault}")
        return None
    book.anchors += 1
    limits = shared[stream]
    for partition, position, digest in heads:
        if limits is not None and position > limits.get(partition, 0):
            continue
        known = book.hashes.setdefault(partition, {}).setdefault(position, digest)
        if known != digest:
            book.faults.append(f"{where}: partition {partition}, position {position} was anchored before, otherwise")
    previous = anchor.get("previous")
    return None if previous is None else str(previous)


def _signature_fault(header: str, anchor: object, signature: str, keys: Mapping[str, Ed25519PublicKey]) -> str | None:
    payload = base64.urlsafe_b64encode(orjson.dumps(anchor)).rstrip(b"=").decode()
    token = f"{header}.{payload}.{signature}"
    try:
        key = keys[_JWS.get_unverified_header(token)["kid"]]
        _JWS.decode(token, key, algorithms=[ALGORITHM])
    except KeyError:
        return "it is signed by a key that is not known"
    except jwt.InvalidTokenError:
        return "its signature is wrong"
    return None


async def write_anchor(pool: Pool, directory: Path, key: Path, last: Anchored | None = None) -> Anchored | None:
    """Write an anchor; None, and nothing is written, when the heads are those of `last`, this process's own before."""
    stream = (await read_streams(pool))[-1].stream
    heads = await read_heads(pool)
    if last is not None and all(last.heads[p].hash == head.hash for p, head in heads.items()):
        return None

    def write() -> Anchored:
        gone = last is not None and not last.is_there
        if gone:
            logger.error("the last anchor is not where it was written", extra={"directory": str(directory)})
        previous = _digest(last.line) if last is not None and gone else _last_digest(directory)
        line = sign_anchor(stream, SystemClock().now_us(), heads, key, previous)
        return Anchored(heads, line, *append_anchor(directory, line))

    return await asyncio.to_thread(write)


async def anchor_once(pool: Pool, directory: Path, key: Path) -> Mapping[int, Head]:
    """Write an anchor, whether or not anything was appended; the heads in it."""
    written = await write_anchor(pool, directory, key)
    return {} if written is None else written.heads


async def keep_anchoring(pool: Pool, directory: Path, key: Path, *, interval_s: float = INTERVAL_S) -> None:
    """Write an anchor every `interval_s` seconds in which something was appended, until cancelled.

    `directory` is where the files are, `key` the private key file (`<kid>.pem`). A failure is logged and tried again
    at the next turn: anchors never stop the ledger.
    """
    last: Anchored | None = None
    while True:
        try:
            last = await write_anchor(pool, directory, key, last) or last
        except Exception:
            logger.exception("the heads were not anchored")
        await asyncio.sleep(interval_s)
