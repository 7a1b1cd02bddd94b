"""A proxy in front of a server that loses answers: what was done and never told."""

from __future__ import annotations

import socket
import threading
from typing import Self


class Proxy:
    """Passes connections on; loses the answers of as many requests as it is told to."""

    def __init__(self, url: str) -> None:
        host, _, port = url.rpartition("/")[2].rpartition(":")
        self._to = host, int(port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._lose = 0
        self._match = b""
        self._lock = threading.Lock()
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def lose(self, answers: int, to: bytes = b"") -> None:
        """Lose the answers of the next requests whose first line has `to` in it."""
        with self._lock:
            self._lose, self._match, self.lost = answers, to, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._to) as server:
            try:
                while data := client.recv(1 << 16):
                    head = data.partition(b"\r\n")[0]
                    data += self._rest(client, data)
                    server.sendall(data)
                    answer = server.recv(1 << 16)
                    answer += self._rest(server, answer)
                    with self._lock:
                        losing = self._lose > 0 and self._match in head
                        self._lose -= losing
                        self.lost += losing
                    if losing or not answer:
                        return
                    client.sendall(answer)
            except OSError:
                return

    @staticmethod
    def _rest(source: socket.socket, begun: bytes) -> bytes:
        """Return what is missing of a message with a content length."""
        more = b""
        while b"\r\n\r\n" not in begun + more:
            part = source.recv(1 << 16)
            if not part:
                return more
            more += part
        head, _, body = (begun + more).partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        missing = length - len(body)
        while missing > 0:
            part = source.recv(min(missing, 1 << 16))
            if not part:
                return more
            more += part
            missing -= len(part)
        return more
