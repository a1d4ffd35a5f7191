"""Watchers: live clients that follow the documented recipe through everything, and what each holds in the end."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.exceptions import WebSocketException

from schema import globalid
from tests.faults.population import Population
from tests.perch import Person

PAGE = 100


@dataclass
class Watcher:
    """One reader's screen: the tweets by edge cursor."""

    population: Population
    reader: Person
    shown: dict[str, int] = field(default_factory=dict)
    # What came a second time though nobody had told to read the page again.
    repeated: list[str] = field(default_factory=list)
    # Whether no page was read since the round began.
    unaided: bool = False
    _came: set[str] = field(default_factory=set)
    _server: int = 0
    # Below it the page showed nothing, since it was full.
    _lowest: int = 0

    async def watch(self) -> None:
        """Read a page, listen, apply, begin again where the connection broke; until cancelled."""
        after: str | None = None
        while True:
            try:
                after = after or await self._page()
                async with self._here().live(after) as live:
                    while True:
                        message = await live.socket.connection.recv()
                        after = await self._applied(message) or after
            except (WebSocketException, OSError, httpx.TransportError, TimeoutError, AssertionError, ValueError):
                self.population.figures.reconnects += 1
                self._server = 1 - self._server
                await asyncio.sleep(0.1)

    async def _applied(self, message: str | bytes) -> str | None:
        """The cursor behind this message."""
        found = json.loads(message)
        if found["type"] != "next":
            raise ValueError(found)
        event: dict[str, Any] = found["payload"]["data"]["homeTimelineEvents"]
        if event["__typename"] == "TimelineTweetAdded":
            if (edge := event["edge"]["cursor"]) in self._came:
                self.repeated.append(edge)
            self._came.add(edge)
            self._show(event["edge"])
        elif event["__typename"] == "TimelineTweetRemoved":
            self.shown.pop(event["edgeCursor"], None)
        else:
            self.population.figures.resyncs += 1
            await self._page()
        cursor: str = event["cursor"]
        return cursor

    async def _page(self) -> str | None:
        page = await self._here().home(PAGE)
        self.unaided = False
        self._came.clear()
        self.shown.clear()
        for edge in page["edges"]:
            self._show(edge)
        self._lowest = min(self.shown.values()) if page["pageInfo"]["hasNextPage"] else 0
        cursor: str | None = page["liveCursor"]
        return cursor

    def _show(self, edge: dict[str, Any]) -> None:
        self.shown[edge["cursor"]] = globalid.of_type(edge["node"]["id"], "Tweet")

    def _here(self) -> Person:
        return self.population.box.at(self.reader, self._server)

    def begin_round(self) -> None:
        """What was is told."""
        self.repeated.clear()
        self.unaided = True

    def differs(self) -> set[int]:
        """What the model shows to this reader and the screen does not, or the other way round, as far as it reaches."""
        expected = {one for one in self.population.model.home(self.reader) if one >= self._lowest}
        return expected ^ {one for one in self.shown.values() if one >= self._lowest}
