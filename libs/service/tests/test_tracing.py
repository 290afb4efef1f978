"""Trace contexts, and OpenTelemetry only when asked for."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from libs.service.tracing import TraceContext, format_traceparent, parse_traceparent, setup_tracing

EXAMPLE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_traceparent_comes_back_as_it_was() -> None:
    context = parse_traceparent(EXAMPLE)
    assert context == TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", sampled=True)
    assert format_traceparent(context) == EXAMPLE


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert parse_traceparent("01" + EXAMPLE[2:] + "-more") == parse_traceparent(EXAMPLE)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "x",
        EXAMPLE.upper(),
        EXAMPLE + "-more",
        "ff" + EXAMPLE[2:],
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        EXAMPLE[:-1],
        EXAMPLE + "\n",
    ],
)
def test_what_is_not_a_traceparent_is_nothing(text: str | None) -> None:
    assert parse_traceparent(text) is None


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.path.encode() + self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()


PROGRAM = """
import asyncio, sys, tempfile
from pathlib import Path
import httpx
from libs.service.app import create_app
from libs.service.settings import ServiceSettings
from libs.service.tracing import setup_tracing

endpoint = sys.argv[1] or None
settings = ServiceSettings(data=Path(tempfile.gettempdir()), otel_endpoint=endpoint)
provider = setup_tracing("ledger", endpoint)
app = create_app(title="T", version="1", settings=settings)

async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        await client.get("/docs", headers={"traceparent": sys.argv[2]})
        await client.get("/livez")

asyncio.run(main())
if provider:
    provider.shutdown()
print("opentelemetry.sdk.trace" in sys.modules)
"""


def run(endpoint: str) -> str:
    # A process of its own, because a tracer provider is for the life of a process.
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, endpoint, EXAMPLE], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_spans_of_requests_reach_the_collector_under_the_callers_trace(collector: tuple[str, list[bytes]]) -> None:
    endpoint, received = collector
    run(endpoint)
    content = b"".join(received)
    assert content.startswith(b"/v1/traces")
    assert b"tallystick-ledger" in content
    assert bytes.fromhex("0af7651916cd43dd8448eb211c80319c") in content
    assert b"/docs" in content
    assert b"/livez" not in content


def test_without_an_endpoint_there_is_no_tracing() -> None:
    assert setup_tracing("ledger", None) is None
    assert run("") == "False"
