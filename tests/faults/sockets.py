"""Bare sockets: live subscriptions at a hundredth of what a client costs, for crowds of them. They read nothing."""

import asyncio
import base64
import json
import os
import socket
import struct
from typing import Any

from tests.perch import LIVE, Person

_UPGRADE = """GET /graphql HTTP/1.1\r\nhost: perch\r\nupgrade: websocket\r\nconnection: upgrade\r
sec-websocket-version: 13\r\nsec-websocket-protocol: graphql-transport-ws\r\nsec-websocket-key: {key}\r\n\r\n"""
# Closed with what is in its buffers thrown away: the other side is told of a reset, and no close frame.
_RESET = struct.pack("ii", 1, 0)


class Bare:
    """One connection of somebody's, which may be reset at any stage."""

    def __init__(self, person: Person) -> None:
        self._person = person

    async def connect(self) -> None:
        """A connection, and the websocket on it."""
        port = int(self._person.perch.url.rpartition(":")[2])
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        self._writer.write(_UPGRADE.format(key=base64.b64encode(os.urandom(16)).decode()).encode())
        assert b" 101 " in await self._reader.readuntil(b"\r\n\r\n")

    def begin(self) -> None:
        """Say who it is; the answer is not waited for."""
        self._say({"type": "connection_init", "payload": {"authorization": f"Bearer {self._person.token}"}})

    def listen(self) -> None:
        """Subscribe to the home timeline; the answer is not waited for."""
        self._say({"type": "subscribe", "id": "1", "payload": {"query": LIVE}})

    def reset(self) -> None:
        """Gone, without a word."""
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._writer.transport.abort()

    def _say(self, message: Any) -> None:
        payload = json.dumps(message).encode()
        # A text frame of 126 to 65,535 bytes, masked with zeros.
        self._writer.write(b"\x81\xfe" + struct.pack(">H", len(payload)) + bytes(4) + payload)
