"""A served process: it answers, ends gracefully, and says when it cannot start."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[3]
DEADLINE_S = 20.0

PROGRAM = """
import asyncio, sys
from contextlib import asynccontextmanager
from pathlib import Path
from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse
from libs.service.app import create_app
from libs.service.server import serve
from libs.service.settings import ServiceSettings

router = APIRouter()

@router.get("/slow")
async def slow() -> str:
    print("slow", flush=True)
    await asyncio.sleep(0.5)
    return "done"

@router.get("/endless")
async def endless() -> StreamingResponse:
    async def rows():
        print("endless", flush=True)
        while True:
            yield b"row"
            await asyncio.sleep(0.05)
    return StreamingResponse(rows())

@router.post("/count")
async def count(request: Request) -> int:
    return len(await request.body())

@asynccontextmanager
async def lifespan(app):
    print("open", flush=True)
    yield
    print("closed", flush=True)

app = create_app(title="T", version="1", settings=ServiceSettings(data=Path()), routers=[router], lifespan=lifespan)
serve(app, "127.0.0.1", int(sys.argv[1]), graceful_s=1)
print("after", flush=True)
"""

Start = Callable[[int], "subprocess.Popen[str]"]


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def run(port: int) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait_until_live(port: int) -> None:
    pause = threading.Event()
    for _ in range(int(DEADLINE_S / 0.02)):
        try:
            if httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200:
                return
        except httpx.TransportError:
            pause.wait(0.02)
    raise AssertionError("the server did not come up")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_under_way_is_answered_before_the_end(start: Start, port: int, number: signal.Signals) -> None:
    process = start(port)
    assert line(process) == "open"
    wait_until_live(port)
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(httpx.get(f"http://127.0.0.1:{port}/slow")))
    asking.start()
    assert line(process) == "slow"
    process.send_signal(number)
    asking.join(DEADLINE_S)
    rest, errors = process.communicate(timeout=DEADLINE_S)
    assert answers[0].json() == "done"
    assert rest.split() == ["closed", "after"]
    assert errors == ""
    assert process.returncode == 0
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port}/livez")


def test_a_request_without_end_does_not_keep_the_process(start: Start, port: int) -> None:
    process = start(port)
    wait_until_live(port)
    assert line(process) == "open"
    with httpx.stream("GET", f"http://127.0.0.1:{port}/endless"):
        assert line(process) == "endless"
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=DEADLINE_S)
    assert rest.split() == ["closed", "after"]
    assert process.returncode == 0


def test_a_taken_port_ends_with_3(start: Start, port: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        process = start(port)
        process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 3


def test_a_body_over_the_limit_over_a_real_connection(start: Start, port: int) -> None:
    start(port)
    wait_until_live(port)

    def chunks(count: int) -> Iterator[bytes]:
        for _ in range(count):
            yield b"x" * 65_536

    for content in (b"x" * 1_048_577, chunks(17)):
        answer = httpx.post(f"http://127.0.0.1:{port}/count", content=content)
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    for within in (b"x" * 1_048_576, chunks(16)):
        assert httpx.post(f"http://127.0.0.1:{port}/count", content=within).json() == 1_048_576
