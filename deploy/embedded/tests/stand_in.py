"""A service as small as one can be, and the suite made of it: what the supervisor's tests run.

``migrate`` and ``serve`` are its processes; ``up DATA PORT_BASE`` is a supervisor of it.
"""

import asyncio
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import asyncpg

from deploy.embedded.services import Process, Service
from deploy.embedded.supervisor import Supervisor

THIS = str(Path(__file__))
SERVICE = Service(
    name="ledger",
    migrate=(THIS, "migrate"),
    processes=(Process("ledger", (THIS, "serve")),),
    topics={"ledger.events": 16},
)


async def migrate() -> None:
    """Makes the one table, and says hello in it."""
    connection = await asyncpg.connect(os.environ["TALLYSTICK_LEDGER_OWNER_DSN"])
    await connection.execute("CREATE TABLE IF NOT EXISTS starts (id int GENERATED ALWAYS AS IDENTITY)")
    await connection.execute("INSERT INTO starts DEFAULT VALUES")
    await connection.execute("GRANT SELECT ON starts TO ledger")
    await connection.close()


async def count_starts() -> int:
    """How often this data directory was started."""
    connection = await asyncpg.connect(os.environ["TALLYSTICK_LEDGER_DSN"])
    try:
        return int(await connection.fetchval("SELECT count(*) FROM starts"))
    finally:
        await connection.close()


class Handler(BaseHTTPRequestHandler):
    """Answers every path with the process id, the number of starts and the broker's address as a service sees it."""

    def do_GET(self) -> None:
        broker = Path(os.environ["TALLYSTICK_KAFKA"].removeprefix("file:"))
        body = f"{os.getpid()} {asyncio.run(count_starts())} {broker.read_text()}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def main(verb: str, *arguments: str) -> None:
    """Runs one of the processes."""
    if verb == "migrate":
        asyncio.run(migrate())
    elif verb == "serve":
        port = int(os.environ["TALLYSTICK_PORT_BASE"]) + 1
        print("serving", flush=True)
        ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
    else:
        data, port_base = arguments
        sys.exit(Supervisor(Path(data), int(port_base), services=[SERVICE], apps=Path(data) / "apps").run())


if __name__ == "__main__":
    main(*sys.argv[1:])
