"""Whatever bytes come over HTTP, no answer is a 5xx, the server lives, and the books stay what they were."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote_from_bytes

import httpx
import pytest

from services.ledger.tests.http.client import DOCUMENT, Api, prepare_ledger, served, until_ready
from services.ledger.verify.run import verify
from tests.fuzz.bytes import SHARP, WORDS, anything, odd_object
from tests.plugins.postgres import Database, DatabaseFrom
from tests.reliability import write_figures

pytestmark = pytest.mark.anyio

BODIES: dict[str, dict[str, object]] = {
    "/grants": {"user": "ann", "amount": "1", "source": "promo", "expires_at": "2090-01-01T00:00:00Z", "scope": ["a"]},
    "/charges": {"user": "ann", "amount": "1", "service": "voice", "reference": "r"},
    "/holds": {"user": "ann", "amount": "1", "ttl_s": 5, "partial": True},
    "/transfers": {"from_user": "ann", "to_user": "ben", "amount": "1"},
    "/adjustments": {"user": "ann", "amount": "-1", "reason": "fix"},
    "/actions": {"user": "ann", "action": "start"},
    "/accounts/ann/thresholds": {"thresholds": [{"below": "5", "rearm_at": "9"}]},
    "/accounts/ann/budgets": {"budgets": [{"name": "b", "member": "*", "period": "day", "limit": "9", "hard": False}]},
    "/accounts/ann/freeze": {"unique_ref": "x"},
    "/accounts/ann": {"overdraft": "1", "zone": "Asia/Tehran"},
    "/config": DOCUMENT,
    "/batch": {
        "atomic": True,
        "commands": [
            {"type": "charge", "key": "fuzz", "user": "ann", "amount": "0.01"},
            {"type": "hold", "key": "fuzz-2", "user": "ann", "amount": "0.01", "ttl_s": 5},
        ],
    },
}
PUT_OF_ACCOUNTS = ("/accounts/ann", "/accounts/ann/thresholds", "/accounts/ann/budgets")
PATHS = (
    "/accounts/{}",
    "/accounts/{}/state",
    "/accounts/{}/lots",
    "/accounts/{}/transactions",
    "/grants/{}",
    "/charges/{}",
    "/holds/{}",
    "/transfers/{}",
    "/commands/{}?user=ann",
    "/accounts/ann/state?at={}",
    "/accounts/ann/state?position={}",
    "/accounts/ann/lots?cursor={}",
    "/accounts/ann/transactions?type={}&since={}",
    "/events?cursor={}&limit={}",
    "/statistics?{}={}",
    "/{}",
)
READ_S = 20.0
SILENCE_S = 0.3
AT_ONCE = 20


@pytest.fixture
async def books(database_from: DatabaseFrom) -> Database:
    """An empty ledger's database."""
    return await database_from("ledger-http", prepare_ledger)


@pytest.fixture
async def api(books: Database, tmp_path: Path) -> AsyncIterator[Api]:
    """An admin of the app `coins`, whose ledger listens on a port."""
    async with served(books, tmp_path) as made:
        await until_ready(made.http)
        admin = made.as_("admin")
        await admin.put("/config", DOCUMENT)
        await admin.grant("ann", "100")
        yield admin


def fine(answer: httpx.Response, about: object) -> str:
    """The status of an answer that is as it should be; a refusal says what is wrong."""
    assert answer.status_code < 500, (about, answer.status_code, answer.text[:500])
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json", about
        assert answer.json()["status"] == answer.status_code
        assert len(answer.content) < 50_000
    return str(answer.status_code)


async def odd_bodies(api: Api, chance: random.Random, number: int) -> Counter[str]:
    counted: Counter[str] = Counter()
    for _ in range(number):
        path, good = chance.choice(list(BODIES.items()))
        method = "PUT" if path == "/config" or path in PUT_OF_ACCOUNTS else "POST"
        raw = json.dumps(good).encode()
        content = odd_object(good, chance) if chance.random() < 0.6 else anything([raw], chance)
        answer = await api.send(method, path, content=content)
        counted[fine(answer, (method, path, content[:300]))] += 1
    return counted


async def odd_batches(api: Api, chance: random.Random, number: int) -> Counter[str]:
    """Good commands and odd ones in one batch: every result is as it should be, and an atomic one is whole."""
    counted: Counter[str] = Counter()
    kinds: list[dict[str, object]] = [
        {"type": "charge", "user": "ann", "amount": "0.01"},
        {"type": "grant", "user": "ben", "amount": "1", "scope": ["a"]},
        {"type": "transfer", "from_user": "ann", "to_user": "ben", "amount": "0.01"},
        {"type": "hold.capture", "hold": "hold_0001KDVDNA001TQE04HJV4A6RXQR"},
        {"type": "account.thresholds", "user": "ann", "thresholds": [{"below": "5"}]},
    ]
    for round_number in range(number):
        items: list[bytes] = []
        for place in range(chance.randrange(1, 6)):
            good = {**chance.choice(kinds), "key": f"batch-{round_number}-{place}"}
            odd = odd_object(good, chance) if chance.random() < 0.5 else chance.choice(SHARP)
            items.append(json.dumps(good).encode() if chance.random() < 0.6 else odd)
        atomic = chance.random() < 0.5
        content = b'{"atomic": %b, "commands": [%b]}' % (b"true" if atomic else b"false", b",".join(items))
        before = (await api.state("ann"))["account_version"]
        answer = await api.send("POST", "/batch", content=content, key="")
        counted[f"batch {fine(answer, content[:300])}"] += 1
        if answer.status_code == 200:
            results = answer.json()["results"]
            assert all(result["status"] < 500 for result in results), content[:1000]
            assert all(("body" in result) == (result["status"] < 400) for result in results), content[:1000]
            assert not atomic or all(result["status"] < 400 for result in results), content[:1000]
        elif atomic:
            assert (await api.state("ann"))["account_version"] == before, content[:1000]
    return counted


async def odd_places(api: Api, chance: random.Random, number: int) -> Counter[str]:
    counted: Counter[str] = Counter()
    for _ in range(number):
        piece = chance.choice(
            (
                chance.randbytes(chance.randrange(1, 30)),
                chance.choice(WORDS).encode(errors="surrogatepass"),
                b"hold_0001KDVDNA001TQE04HJV4A6RXQR",
                b"hold_ff01KDVDNA001TQE04HJV4A6RXQR",
                b"9" * chance.choice((5, 19, 20, 400)),
                b"-1",
            )
        )
        path = chance.choice(PATHS).replace("{}", quote_from_bytes(piece, safe="") or "%20")
        answer = await api.send("GET", path)
        counted[fine(answer, path[:300])] += 1
    return counted


async def raw(api: Api, content: bytes, silence_s: float = READ_S) -> bytes:
    """Whatever comes back for these bytes on a connection of their own, until it ends or falls silent."""
    port = api.http.base_url.port
    assert port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        writer.write(content)
        while True:
            async with asyncio.timeout(silence_s):
                chunk = await reader.read(65_536)
            if not chunk:
                break
            received += chunk
    except (ConnectionResetError, BrokenPipeError, TimeoutError):
        pass
    finally:
        writer.close()
    return received


async def odd_headers(api: Api, chance: random.Random, number: int) -> Counter[str]:
    counted: Counter[str] = Counter()
    names = ("Idempotency-Key", "Content-Type", "Tallystick-App", "traceparent", "If-Match", "X-Request-Id", "Accept")
    for count in range(number):
        found = bytes(byte for byte in chance.randbytes(30) if byte not in b"\r\n\0")
        sent = {b"Authorization": f"Bearer {api.token}".encode(), b"Idempotency-Key": b"odd-%d" % count}
        sent[chance.choice(names).encode()] = chance.choice((found, b"a" * 5000, b"00-" + found, b'"1"', b"text/xml"))
        for place in (b"GET /v1/accounts/ann/state", b"POST /v1/charges", b"PUT /v1/config?dry_run=true"):
            good = DOCUMENT if place.startswith(b"PUT") else {"user": "ann", "amount": "999999"}
            content = b"" if place.startswith(b"GET") else json.dumps(good).encode()
            sent |= {b"Host": b"l", b"Connection": b"close", b"Content-Length": b"%d" % len(content)}
            head = b"".join(name + b": " + value + b"\r\n" for name, value in sent.items())
            answer = await raw(api, place + b" HTTP/1.1\r\n" + head + b"\r\n" + content)
            status = answer[9:12].decode()
            assert "200" <= status < "500", (place, sent, answer[:500])
            counted[status] += 1
    return counted


async def odd_connections(api: Api, chance: random.Random, number: int) -> Counter[str]:
    counted: Counter[str] = Counter()
    head = f"Host: l\r\nAuthorization: Bearer {api.token}\r\n".encode()
    body = b'{"user":"ann","amount":"999999"}'
    post = b"POST /v1/charges HTTP/1.1\r\n" + head + b"Idempotency-Key: a\r\n"
    good = [
        b"GET /livez HTTP/1.1\r\nHost: l\r\n\r\n",
        b"GET /v1/accounts/ann/state HTTP/1.1\r\n" + head + b"\r\n",
        b"POST /v1/charges HTTP/1.1\r\n"
        + head
        + b"Idempotency-Key: a\r\nContent-Length: %d\r\n\r\n" % len(body)
        + body,
        post + b"Transfer-Encoding: chunked\r\n\r\n20\r\n" + body + b"\r\n0\r\n\r\n",
    ]
    smuggled = [
        good[2].replace(b"Content-Length", b"Transfer-Encoding: chunked\r\nContent-Length"),
        good[2].replace(b"Content-Length: ", b"Content-Length: -"),
        good[2].replace(b"Content-Length: ", b"Content-Length: 9999999999999999999999"),
        good[2].replace(b"Content-Length", b"Content-Length: 5\r\nContent-Length"),
        good[3].replace(b"20\r\n", b"fffffffffffffffff\r\n"),
        good[3].replace(b"20\r\n", b"-20\r\n"),
        b"GET /livez HTTP/9.9\r\n\r\n",
        b"GET " + b"/a" * 40_000 + b" HTTP/1.1\r\nHost: l\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50),
        b"GET /livez HTTP/1.1\r\nHost: l\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ]
    wanted = list(smuggled)
    while len(wanted) < number:
        kinds = [anything(good, chance) if chance.random() < 0.5 else chance.choice(good) for _ in range(3)]
        wanted.append(b"".join(kinds))
    for start in range(0, len(wanted), AT_ONCE):
        several = wanted[start : start + AT_ONCE]
        found = await asyncio.gather(*[raw(api, content, SILENCE_S) for content in several])
        for content, answers in zip(several, found, strict=True):
            assert b"HTTP/1.1 5" not in answers, (content[:500], answers[:500])
            counted["connections answered" if answers else "connections cut off"] += 1
    return counted


async def all_of_it(api: Api, books: Database, chance: random.Random, number: int) -> Counter[str]:
    """So many of everything; then the server answers as ever, and the books are proven."""
    counted = Counter[str]()
    for content in SHARP:
        counted[fine(await api.send("POST", "/charges", content=content), content[:100])] += 1
    counted += await odd_bodies(api, chance, number)
    counted += await odd_batches(api, chance, number // 4)
    counted += await odd_places(api, chance, number)
    counted += await odd_headers(api, chance, number // 4)
    counted += await odd_connections(api, chance, max(20, number // 4))
    fresh = await api.grant("fresh", "5")
    assert fresh["settled"] == "5.00"
    assert (await api.http.get("/readyz")).status_code == 200
    outcome = await verify(books.runtime_dsn)
    assert outcome.ok, outcome.violations
    return counted


async def test_no_bytes_bring_it_down(api: Api, books: Database) -> None:
    counted = await all_of_it(api, books, random.Random(11), 120)  # noqa: S311
    assert {"200", "201", "400", "404", "413"} <= set(counted), counted


async def test_a_long_query_takes_no_longer_than_it_is_long(api: Api) -> None:
    """Eleven thousand names of parameters, looked at without a token and with one."""
    query = "&".join(f"{number:x}" for number in range(11_000))
    began = time.monotonic()
    assert (await api.http.get(f"/v1/accounts/ann/state?{query}")).status_code == 401
    assert (await api.send("GET", f"/accounts/ann/state?{query}")).status_code == 400
    assert time.monotonic() - began < 5


async def test_headers_without_an_end_are_cut_off(api: Api) -> None:
    """A caller that never comes to its point must not fill the memory."""
    port = api.http.base_url.port
    assert port is not None
    for start in (b"GET /livez HTTP/1.1\r\nX: ", b"GET /", b"GET /livez HTTP/1.1\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        filler = b"X: y\r\n" * 10_000 if start.endswith(b"1.1\r\n") else b"a" * 60_000
        sent = 0
        try:
            writer.write(start)
            async with asyncio.timeout(READ_S):
                while sent < 20_000_000 and not reader.at_eof():
                    writer.write(filler)
                    sent += len(filler)
                    await writer.drain()
                    await asyncio.sleep(0)
        except (ConnectionResetError, BrokenPipeError):
            pass
        finally:
            writer.close()
        assert sent < 10_000_000, "it was listened to without end"
    assert (await api.http.get("/livez")).status_code == 200


@pytest.mark.campaign
@pytest.mark.timeout(1800)
async def test_many_bytes_do_not_bring_it_down(api: Api, books: Database) -> None:
    began = time.monotonic()
    seed = time.time_ns() % 1_000_000
    counted = await all_of_it(api, books, random.Random(seed), 3_000)  # noqa: S311
    figures = {"seed": seed, "requests": counted.total(), "statuses": dict(counted), "server_errors": 0}
    write_figures("fuzz-http", figures, began)
