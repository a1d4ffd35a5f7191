"""The wire: uvicorn's server, its HTTP and its websocket, as Perch needs them. It opens no client, reads no setting."""

import asyncio
import socket
import time
from functools import partial
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.flow_control import CLOSE_HEADER
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from schema.slim import Gate, Inbox
from schema.sockets import Sockets

# How often a server that stops looks whether everybody has gone.
LOOK_SECONDS = 0.02


class Server(uvicorn.Server):
    """uvicorn's server, which stops without cutting anybody off. Its own would close all sockets at once, and every
    connection that is idle at that moment, though a proxy may have sent a request on it already: it cannot send that
    again, since it might be done twice."""

    def __init__(
        self, asgi: ASGIApp, sockets: Sockets, host: str, port: int, log_level: str, drain_idle_seconds: float
    ) -> None:
        super().__init__(config_of(asgi, host, port, log_level))
        self._sockets = sockets
        self._idle_seconds = drain_idle_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """/readyz says no, nobody new is let in, the sockets go in slices, every answer closes its connection; those on
        which nothing came for `drain_idle_seconds` are closed, and requests in flight finish."""
        for server in self.servers:
            server.close()
        self.server_state.default_headers = [*self.server_state.default_headers, CLOSE_HEADER]
        until = time.monotonic() + self._idle_seconds
        await self._sockets.drain()
        while self.server_state.connections and time.monotonic() < until:
            await asyncio.sleep(LOOK_SECONDS)
        await super().shutdown(sockets)


class Http(HttpToolsProtocol):
    """uvicorn's HTTP, whose answers the transport can also drop when their client has stopped reading, and which sends
    what answers a POST whole."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"perch.stream": {"abort": self.transport.abort, "bound": self._bound}}

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.cycle and self.cycle.scope is self.scope:
            self.scope["extensions"]["perch.body"] = partial(_whole_body, self.cycle)
        # Not for HEAD, whose answers have a length and no body. An upgrade has no cycle of its own.
        if self.cycle and self.cycle.scope is self.scope and self.scope["method"] == "POST":
            self.cycle.transport = cast(asyncio.Transport, Whole(self.transport))

    def _bound(self, unread_bytes: int) -> None:
        bound(self.transport, unread_bytes)


def _whole_body(cycle: RequestResponseCycle) -> bytes | None:
    """The body of a request if all of it has come, taken as its `receive` takes it; else None."""
    if cycle.more_body or cycle.disconnected:
        return None
    body, cycle.body = cycle.body, b""
    cycle.message_event.clear()
    return bytes(body)


class Whole:
    """A transport for one answer, whose head waits for its body where the head says how long that is: uvicorn writes
    them one after the other, each write is a system call, and each wakes the client."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        # None before the first write.
        self._head: bytes | None = None
        self.is_closing, self.close = transport.is_closing, transport.close

    def write(self, data: bytes) -> None:
        """As the transport's."""
        if self._head is None and b"\r\ncontent-length: " in data:
            self._head = data
        else:
            held, self._head = self._head, b""
            self._transport.write(held + data if held else data)


class Socket(WebSocketsSansIOProtocol):
    """uvicorn's websocket, which can also be dropped, and be sent whole frames without a coroutine for each. Open, it
    keeps little: no deques and not the request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # It is for answers (Server.shutdown): a websocket that comes meanwhile is told 1012.
        self.default_headers = [header for header in self.default_headers if header != CLOSE_HEADER]
        inbox, writable = Inbox(), Gate()
        writable.set()
        self.queue, self.writable = cast(Any, inbox), cast(Any, writable)

    def start_keepalive(self) -> None:
        super().start_keepalive()
        # It has been answered.
        del self.request, self.response

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.handshake_initiated and not self.close_sent:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions["perch.socket"] = self

    def bound(self, unread_bytes: int) -> None:
        """As `bound`, this connection's."""
        bound(self.transport, unread_bytes)

    def push(self, frame: bytes) -> None:
        """Send a frame behind all that was sent, if the connection is open. For those who saw that it is `writable`."""
        if not self.close_sent and not self.disconnected:
            self.transport.write(frame)


def bound(transport: asyncio.Transport, unread_bytes: int) -> None:
    """Have the system take no more for a client that does not read, about twice so much with its own. Left to itself
    Linux lets a connection grow to 4 MB, and a live client needs no more than its next few events: what it has not
    read it is better served from its stream."""
    if not transport.is_closing():
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, unread_bytes)


def config_of(asgi: ASGIApp, host: str, port: int, log_level: str) -> uvicorn.Config:
    """Small frames, no compression (64 to 14 KiB a socket); after SIGTERM ten seconds for what is in flight.

    An idle connection is kept longer than proxies and clients keep theirs, so that they close it and not the server,
    whose close would cross a request on its way.
    """
    return uvicorn.Config(
        asgi,
        host=host,
        port=port,
        http=Http,
        ws=Socket,
        ws_max_size=64 * 1024,
        ws_per_message_deflate=False,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # edge.py reads them, as far as TRUSTED_PROXIES says
        # Its lines go where all others go (realtime.telemetry.configure_logs).
        log_config=None,
        log_level=log_level.lower(),
        timeout_keep_alive=75,
        # Else a connection that a request let read on keeps that request's deadline for those that follow.
        reset_contextvars=True,
        timeout_graceful_shutdown=10,
    )


async def probes(asgi: ASGIApp, host: str, port: int, log_level: str) -> None:
    """Answers with an application that has no sockets, until cancelled."""
    config = config_of(asgi, host, port, log_level)
    config.lifespan = "off"
    # NOTE: not serve(), which would take the signals that cancel this.
    await uvicorn.Server(config)._serve()
