"""Chromium as these tests drive it: no name but this machine's resolves, and what a page should not do is noted."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, ConsoleMessage, Page, Request, WebSocket, async_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# No name resolves but this machine's, and the browser's own services stay quiet.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]

# On a busy machine.
ACKNOWLEDGED_SECONDS = 30

REPORT_VIOLATIONS = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} refused ${event.blockedURI}`))"""


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """A browser, closed at the end."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Watched:
    """One page: its errors, and whom it spoke to."""

    page: Page
    errors: list[str] = field(default_factory=list)
    hosts: set[str | None] = field(default_factory=set)
    # The payload of each socket's connection_init.
    connections: list[dict[str, Any]] = field(default_factory=list)
    # One item for each connection_ack.
    acknowledged: asyncio.Queue[None] = field(default_factory=asyncio.Queue)
    # One item for each pong that says until when a socket may stay now.
    renewed: asyncio.Queue[None] = field(default_factory=asyncio.Queue)

    def watch(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._on_request)
        self.page.on("websocket", self._on_socket)

    async def is_connected(self) -> None:
        """Waits until the server has accepted one more socket."""
        await asyncio.wait_for(self.acknowledged.get(), ACKNOWLEDGED_SECONDS)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith(("data:", "blob:")):
            self.hosts.add(urlsplit(request.url).hostname)

    def _on_socket(self, socket: WebSocket) -> None:
        self.hosts.add(urlsplit(socket.url).hostname)
        socket.on("framesent", self._on_frame)
        socket.on("framereceived", self._on_frame)

    def _on_frame(self, frame: str | bytes) -> None:
        message = json.loads(frame)
        if message["type"] == "connection_init":
            self.connections.append(message.get("payload") or {})
        if message["type"] == "connection_ack":
            self.acknowledged.put_nowait(None)
        if message["type"] == "pong" and message.get("payload"):
            self.renewed.put_nowait(None)
