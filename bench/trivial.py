"""A server that answers every request with the same bytes: what the load generator can do when nothing is decided.

`python -m bench.trivial` reads the answer from its input, prints its port, and serves until its input is closed.
"""

from __future__ import annotations

import select
import socket
import sys

LENGTH = b"Content-Length: "


def serve(answer: bytes, stop_fd: int) -> None:
    """Answer on a free port of the loopback interface, which is printed, until `stop_fd` is readable."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    poll = select.epoll()
    poll.register(listener.fileno(), select.EPOLLIN)
    poll.register(stop_fd, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    pending: dict[int, bytes] = {}
    while True:
        for fd, _ in poll.poll():
            client = clients.get(fd)
            if client is None:
                if fd == stop_fd:
                    return
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()] = client
                poll.register(client.fileno(), select.EPOLLIN)
                continue
            data = client.recv(65536)
            if not data:
                poll.unregister(fd)
                del clients[fd]
                client.close()
                continue
            data = pending.pop(fd, b"") + data
            if _is_whole(data):
                client.send(answer)
            else:
                pending[fd] = data


def _is_whole(request: bytes) -> bool:
    end = request.find(b"\r\n\r\n")
    if end < 0:
        return False
    at = request.find(LENGTH)
    return len(request) >= end + 4 + int(request[at + len(LENGTH) : request.find(b"\r", at)])


def main() -> None:
    """Serve the answer whose length in bytes is the first line of the input."""
    length = int(sys.stdin.buffer.readline())
    serve(sys.stdin.buffer.read(length), sys.stdin.fileno())


if __name__ == "__main__":
    main()
