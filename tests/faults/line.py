"""A line between two programs that can be cut, held or slowed: a loopback proxy. Never looks at what it carries."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Line:
    """Carries everything that comes to `port` to `target` and back."""

    target: int
    port: int = 0
    delay_seconds: float = 0
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def hold(self) -> None:
        """Nothing passes, and nobody is told: a partition."""
        self._open.clear()

    def pass_on(self) -> None:
        """What was held goes on."""
        self.delay_seconds = 0
        self._open.set()

    def cut(self) -> None:
        """Every connection ends; new ones are taken."""
        for writer in self._writers:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65_536):
                await self._open.wait()
                await asyncio.sleep(self.delay_seconds)
                writer.write(chunk)
                await writer.drain()
        writer.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, back}
        await asyncio.gather(self._carry(reader, back), self._carry(there, writer))
        self._writers -= {writer, back}


@asynccontextmanager
async def line(target: int) -> AsyncIterator[Line]:
    """A line to this port, open from the start."""
    made = Line(target)
    made.pass_on()
    server = await asyncio.start_server(made._accept, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.cut()
