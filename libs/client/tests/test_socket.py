"""Over a real socket: connections that die, a ledger that restarts, an answer that never comes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

import httpx
import pytest
from tallystick import AsyncClient, Client, ConnectionFailed, Retry

from .ledger_peer import Ledger

RETRY = Retry(attempts=5, total_s=30.0, first_s=0.01, max_s=0.05)
SILENCE_S = 10.0


@contextmanager
def serving(ledger: Ledger, port: int = 0, *, silent_at: int = 0) -> Iterator[int]:
    """The peer on a port of this machine; what its `silent_at`th request says is done and not answered."""
    numbers = count(1)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = httpx.Request(
                self.command, f"http://ledger{self.path}", headers=dict(self.headers), content=content
            )
            response = ledger(request)
            if next(numbers) == silent_at:
                over.wait(SILENCE_S)
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

    over = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server.server_port
        finally:
            over.set()
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
    ledger = Ledger()
    with serving(ledger, silent_at=1) as port:
        async with AsyncClient(f"http://127.0.0.1:{port}", timeout_s=1, retry=RETRY) as client:
            grant = await client.grant("ada", 10)
            assert grant.replayed
            assert (await client.state("ada")).available == 10
