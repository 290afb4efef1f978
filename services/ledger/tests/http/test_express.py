"""A charge is answered alike by the express route and by the ordinary one, which takes bodies that come in chunks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from libs.service.express import Express
from services.ledger.tests.http.client import DOCUMENT, Api, served, until_leading
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio

GOOD = b'{"user":"ann","amount":"1.50"}'
_EACH_ITS_OWN = ("id", "position", "settled", "available", "request_id")


@pytest.fixture
async def api(books: Database, tmp_path: Path) -> AsyncIterator[Api]:
    """As every other, and on a port: only there are express routes."""
    async with served(books, tmp_path) as made:
        await until_leading(made)
        await made.as_("admin").put("/config", DOCUMENT)
        yield made


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Which requests an express route was asked to take, and whether it did."""
    begin, found = Express.begin, list[bool]()

    def noting(self: Express, cycle: Any, request_id: str) -> bool:
        found.append(begin(self, cycle, request_id))
        return found[-1]

    monkeypatch.setattr(Express, "begin", noting)
    return found


async def _in_chunks(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _both(api: Api, body: bytes, headers: dict[str, str]) -> tuple[httpx.Response, httpx.Response]:
    """The same charge by the express route, and by the ordinary one under another key."""
    answers = []
    for content, key in ((body, "express"), (_in_chunks(body), "ordinary")):
        sent = {"Authorization": f"Bearer {api.token}", "Idempotency-Key": key, **headers}
        sent = {name: value for name, value in sent.items() if value}
        answers.append(await api.http.request("POST", "/v1/charges", content=content, headers=sent))
    express, ordinary = answers
    return express, ordinary


def _told(response: httpx.Response) -> Any:
    document = orjson.loads(response.content)
    return {name: value for name, value in document.items() if name not in _EACH_ITS_OWN}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (GOOD, {}, 201),
        (b'{"user":"ann","amount":2,"service":"text","reference":"r","member":"m"}', {}, 201),
        (GOOD, {"X-Request-Id": "a-request-of-mine"}, 201),
        (GOOD, {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, 201),
        (b'{"user":"ann","amount":"1000"}', {}, 402),
        (b'{"user":"ann","amount":"1.505"}', {}, 400),
        (b'{"user":"ann","amount":1.5}', {}, 400),
        (b'{"user":"ann","amount":"0"}', {}, 400),
        (b'{"user":"a/b","amount":"1"}', {}, 400),
        (b'{"user":"ann","amount":"1","more":1}', {}, 400),
        (b'{"user":"ann","amount":"1","asset":"gems"}', {}, 404),
        (b"{}", {}, 400),
        (b"no json", {}, 400),
        (b"\xff", {}, 400),
        (GOOD, {"Idempotency-Key": ""}, 400),
        (GOOD, {"Idempotency-Key": "k" * 201}, 400),
        (GOOD, {"Authorization": ""}, 401),
        (GOOD, {"Authorization": "Bearer x"}, 401),
        (GOOD, {"Tallystick-App": "other"}, 403),
    ],
)
async def test_both_ways_answer_alike(
    api: Api, taken: list[bool], body: bytes, headers: dict[str, str], status: int
) -> None:
    await api.grant("ann", "20")
    express, ordinary = await _both(api, body, headers)
    # What names an asset that this process has not heard of is handed back.
    assert taken == [b"gems" not in body]
    assert (express.status_code, ordinary.status_code) == (status, status), (express.text, ordinary.text)
    assert _told(express) == _told(ordinary)
    assert {*express.headers} == {*ordinary.headers}
    for name in ("content-type", "retry-after", "www-authenticate"):
        assert express.headers.get(name) == ordinary.headers.get(name)
    if "X-Request-Id" in headers:
        assert express.headers["x-request-id"] == headers["X-Request-Id"]


async def test_a_scope_is_needed_by_both(api: Api) -> None:
    manager = api.as_("manager")
    assert [answer.status_code for answer in await _both(manager, GOOD, {})] == [403, 403]


async def test_a_repeat_by_the_other_way_is_the_first_answer(api: Api) -> None:
    """I6: a key is a key, however the request comes."""
    await api.grant("ann", "20")
    express, ordinary = await _both(api, GOOD, {"Idempotency-Key": "one"})
    assert (express.status_code, ordinary.content) == (201, express.content)
    assert (await api.state("ann"))["settled"] == "18.50"


async def test_requests_sent_behind_one_another_are_answered_in_order(api: Api, taken: list[bool]) -> None:
    """RFC 9112, section 9.3.2: a connection's answers come in the order of its requests, and then it is closed."""
    await api.grant("ann", "20")
    reader, writer = await asyncio.open_connection(api.http.base_url.host, api.http.base_url.port)
    for number in range(4):
        last = "Connection: close\r\n" if number == 3 else ""
        body = b'{"user":"ann","amount":"%d"}' % (number + 1)
        writer.write(
            f"POST /v1/charges HTTP/1.1\r\nHost: ledger\r\nAuthorization: Bearer {api.token}\r\n{last}"
            f"Idempotency-Key: pipe-{number}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
    async with asyncio.timeout(20):
        told = await reader.read()
    writer.close()
    assert told.count(b"HTTP/1.1 201 Created\r\n") == 4
    assert taken == [True]
    amounts = [told.index(b'"amount":"%d.00"' % (number + 1)) for number in range(4)]
    assert amounts == sorted(amounts)
    assert told.count(b"connection: close\r\n") == 1
