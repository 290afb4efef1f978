"""Over a real socket: connections that die, a ledger that restarts, an answer that never comes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from tallystick import AsyncClient, Client, ConnectionFailed, Retry

from .ledger_peer import Ledger

RETRY = Retry(attempts=5, total_s=3.0, first_s=0.01, max_s=0.05)


@contextmanager
def serving(ledger: Ledger, port: int = 0, silent: threading.Event | None = None) -> Iterator[int]:
    """The peer on a port of this machine; while `silent` is not set it takes requests and answers none."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = httpx.Request(
                self.command, f"http://ledger{self.path}", headers=dict(self.headers), content=content
            )
            response = ledger(request)
            if silent is not None and not silent.is_set():
                silent.wait(5)
                self.close_connection = True
                return
            self.send_response(response.status_code)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(response.content)

        do_GET = do_POST = do_PUT = _serve

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
            """Tests speak for themselves."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


def test_a_restarted_ledger_is_found_again() -> None:
    ledger = Ledger()
    with serving(ledger) as port, Client(f"http://127.0.0.1:{port}", retry=RETRY) as client:
        client.grant("ada", 10)
    with Client(f"http://127.0.0.1:{port}", retry=RETRY) as client:
        with pytest.raises(ConnectionFailed):
            client.charge("ada", 1, idempotency_key="k")
        with serving(ledger, port):
            assert client.charge("ada", 1, idempotency_key="k").available == 9


@pytest.mark.anyio
async def test_an_answer_that_does_not_come_is_asked_for_again_with_the_same_key() -> None:
    ledger, speaking = Ledger(), threading.Event()
    with serving(ledger, silent=speaking) as port:
        async with AsyncClient(f"http://127.0.0.1:{port}", timeout_s=0.1, retry=RETRY) as client:
            threading.Timer(0.15, speaking.set).start()
            grant = await client.grant("ada", 10)
            assert grant.replayed
            assert (await client.state("ada")).available == 10
