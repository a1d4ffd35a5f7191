"""Bare websockets: live subscriptions at a hundredth of what a client costs, for crowds of them, of which some read
nothing and some are gone without a word. They judge nothing."""

import asyncio
import base64
import fcntl
import json
import os
import socket
import struct
import termios
from collections.abc import Sequence
from typing import Any

_KEY = base64.b64encode(os.urandom(16)).decode()
_TEXT, _PING = 1, 9
# What a client that is to stop takes from its server at most: as little as the system allows.
LEAST_BYTES = 4096
# Closed with what is in its buffers thrown away: the other side is told of a reset, and no close frame.
_RESET = struct.pack("ii", 1, 0)


class Bare(asyncio.Protocol):
    """One subscription over one socket. `payloads` are the texts of its `next` messages, in order, but for those that
    a follow was handled, which may be told again at any time; `upgraded` and `acknowledged` are set when it has come so
    far. Whoever has it says what it sends, and when."""

    def __init__(self, token: str, query: str) -> None:
        self.payloads: list[bytes] = []
        self.upgraded, self.acknowledged = asyncio.Event(), asyncio.Event()
        self.transport: Any = None
        self._token, self._query = token, query
        self._left = b""

    def begin(self) -> None:
        """Say who it is."""
        self._send({"type": "connection_init", "payload": {"authorization": f"Bearer {self._token}"}})

    def listen(self) -> None:
        """Subscribe."""
        self._send({"type": "subscribe", "id": "1", "payload": {"query": self._query}})

    def read_on(self) -> None:
        """Take again what comes, and much at a time."""
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.transport.resume_reading()

    def reset(self) -> None:
        """Gone, without a word."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        lines = ["GET /graphql HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"]
        lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: graphql-transport-ws"]
        transport.write("\r\n".join([*lines, f"Sec-WebSocket-Key: {_KEY}", "", ""]).encode())

    def data_received(self, data: bytes) -> None:
        self._left += data
        if not self.upgraded.is_set():
            head, end, self._left = self._left.partition(b"\r\n\r\n")
            if not end:
                self._left = head
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self.upgraded.set()
        while found := _first_frame(self._left):
            kind, payload, self._left = found
            self._take(kind, payload)

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == _PING:
            self._write(10, payload)
        elif kind == _TEXT and b'"connection_ack"' in payload:
            self.acknowledged.set()
        elif kind == _TEXT and b'"FOLLOWS_CHANGED"' not in payload:
            self.payloads.append(payload)

    def _send(self, message: Any) -> None:
        self._write(_TEXT, json.dumps(message).encode())

    def _write(self, kind: int, payload: bytes) -> None:
        # Masked, as clients must, with a mask that changes nothing.
        length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
        self.transport.write(bytes([0x80 | kind]) + length + bytes(4) + payload)


def _first_frame(data: bytes) -> tuple[int, bytes, bytes] | None:
    """(kind, payload, what follows) of a server's frame, if it is there as a whole."""
    if len(data) < 2:
        return None
    length, at = data[1], 2
    if length >= 126:
        at = 4 if length == 126 else 10
        length = int.from_bytes(data[2:at], "big")
    if len(data) < at + length:
        return None
    return data[0] & 0x0F, data[at : at + length], data[at + length :]


async def connected(url: str, token: str, query: str, narrow: bool = False) -> Bare:
    """One that has a websocket, and has said nothing on it. With `narrow`, it takes little at a time."""
    sock = socket.socket()
    sock.setblocking(False)
    if narrow:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LEAST_BYTES)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", int(url.rpartition(":")[2])))
    _, bare = await loop.create_connection(lambda: Bare(token, query), sock=sock)
    await bare.upgraded.wait()
    return bare


async def crowd(url: str, token: str, query: str, count: int, narrow: bool = False) -> Sequence[Bare]:
    """So many subscriptions of one person, each let in."""

    async def one() -> Bare:
        bare = await connected(url, token, query, narrow)
        bare.begin()
        await bare.acknowledged.wait()
        bare.listen()
        return bare

    found: list[Bare] = []
    while len(found) < count:
        found += await asyncio.gather(*(one() for _ in range(min(50, count - len(found)))))
    return found


def unread_bytes(transport: Any) -> int:
    """What the system holds of what this end has sent and the other has not acknowledged (SIOCOUTQ)."""
    answer = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, b"\0" * 4)
    found: int = struct.unpack("i", answer)[0]
    return found
