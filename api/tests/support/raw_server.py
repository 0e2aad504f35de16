"""A server on a free port that says what a test tells it to, whether it is HTTP or not."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Answer = Callable[[socket.socket, threading.Event], None]


@dataclass
class RawServer:
    """`answer` gets each connection after one request, and the event that ends the test."""

    answer: Answer
    tls: ssl.SSLContext | None = None
    requests: list[bytes] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/keys"

    @contextmanager
    def running(self) -> Iterator["RawServer"]:
        ended = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = int(listener.getsockname()[1])
            threading.Thread(target=self._accept, args=(listener, ended), daemon=True).start()
            try:
                yield self
            finally:
                ended.set()
                listener.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket, ended: threading.Event) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                threading.Thread(target=self._serve, args=(near, ended), daemon=True).start()

    def _serve(self, near: socket.socket, ended: threading.Event) -> None:
        with suppress(OSError), near:
            stream = self.tls.wrap_socket(near, server_side=True) if self.tls else near
            with stream:
                self.requests.append(stream.recv(65536))
                self.answer(stream, ended)


def respond(body: bytes, status: str = "200 OK", headers: str = "") -> Answer:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode()
    return lambda near, ended: near.sendall(head + body)


def drip(head: bytes, forever: bytes = b"x") -> Answer:
    """Send a byte now and then, so that no single read takes long."""

    def answer(near: socket.socket, ended: threading.Event) -> None:
        near.sendall(head)
        while not ended.wait(0.02):
            near.sendall(forever)

    return answer


def hang(near: socket.socket, ended: threading.Event) -> None:
    ended.wait(30)
