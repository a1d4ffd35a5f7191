"""Rounds: hands the readers of this process what came for them, all at once, without a task for each. Knows texts and
outlets, no stream and no store.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Protocol

from datastore.records import HomeTimelineEvent
from realtime.reader import Numbered, Reader
from resolvers import guards
from resolvers.audience import Audience, Scene
from resolvers.context import Context
from schema.plans import Plan, Text, text_of
from schema.sockets import stop

# (reader, event) pairs of one round: each is some three keys of an $in.
ROUND_LIMIT = 1000
# Events of one reader in a round, so that a backlog keeps nobody waiting and fits into the socket's buffer.
EVENTS_AT_ONCE = 16
# Behind a round the next one gathers for so long: a lone event waits for nobody, and at 200 events a second four of
# them share their queries.
GATHER_SECONDS = 0.02


# An event that could not be written at once, and its text if there is one, or will be.
Late = tuple[HomeTimelineEvent, "Text | asyncio.Task[Text] | None"]


class Outlet(Protocol):
    """Where one subscription's events go."""

    @property
    def writable(self) -> bool:
        """Whether the client has read enough to be sent more."""

    async def drained(self) -> None:
        """Wait until it is writable."""

    def write(self, cursor: str, payload: bytes) -> None:
        """Send one event. Does not wait, and does nothing if the client has gone."""


class Listener:
    """One subscription: a reader that was started, the document it wants the events in, and where they go. While it is
    busy, with a wait of its own, rounds pass it over."""

    __slots__ = ("busy", "context", "ended", "outlet", "plan", "reader")

    def __init__(self, reader: Reader, plan: Plan, context: Context, outlet: Outlet) -> None:
        self.reader, self.plan, self.context, self.outlet = reader, plan, context, outlet
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.busy: asyncio.Task[None] | None = None

    def fail(self, error: Exception) -> None:
        """It cannot go on."""
        if not self.ended.done():
            self.ended.set_exception(error)

    def give(self, event: HomeTimelineEvent, scene: Scene) -> "Text | asyncio.Task[Text] | None":
        """Write the event, if that needs no wait; else its text, for `give_slowly`."""
        text = text_of(self.plan, self.context, event, scene)
        if not isinstance(text, Text) or not guards.note_event(self.context, text.cost):
            return text
        self._write(event, text)
        return None

    async def give_slowly(self, late: Sequence[Late], scene: Scene) -> None:
        """Write events that need waits, in order."""
        # All are begun before any is waited for: what their fields read is read together.
        texts = [begun or text_of(self.plan, self.context, event, scene) for event, begun in late]
        for (event, _), text in zip(late, texts, strict=True):
            ready = text if isinstance(text, Text) else await text
            await guards.charge_event(self.context, ready.cost)
            await self.outlet.drained()
            self._write(event, ready)

    def _write(self, event: HomeTimelineEvent, text: Text) -> None:
        self.outlet.write(*text.at(event.token))


class Rounds:
    """The readers of this process who have something to do. Each round asks for all of them together who may see what,
    and writes it: the busier, the larger the rounds and the cheaper a reader."""

    def __init__(self, audience: Audience) -> None:
        self._audience = audience
        self._ready: dict[Listener, None] = {}
        self._working: asyncio.Task[None] | None = None

    async def serve(self, listener: Listener) -> None:
        """Write all that comes for a listener, in order, until cancelled; raises what kept it from going on."""
        listener.reader.wake.call = lambda: self._wake(listener)
        self._wake(listener)
        try:
            await listener.ended
        finally:
            listener.reader.wake.call = _nobody
            listener.ended.cancel()
            self._ready.pop(listener, None)
            if listener.busy:
                await stop(listener.busy)

    def _wake(self, listener: Listener) -> None:
        self._ready[listener] = None
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._ready:
            if taken := self._take():
                await self._hand_out(taken)
                await asyncio.sleep(GATHER_SECONDS)

    def _take(self) -> list[tuple[Listener, Numbered]]:
        """What is at hand for those who can take it; for the others begin what they wait for."""
        taken: list[tuple[Listener, Numbered]] = []
        for listener in list(self._ready):
            if len(taken) >= ROUND_LIMIT:
                break
            del self._ready[listener]
            if listener.busy:
                continue  # whatever it is, it ends by waking
            if not listener.outlet.writable:
                self._busy(listener, listener.outlet.drained)
                continue
            before = len(taken)
            while len(taken) - before < EVENTS_AT_ONCE and (numbered := listener.reader.take()):
                taken.append((listener, numbered))
            if len(taken) > before:
                # There may be more, or something to read on.
                self._ready[listener] = None
            elif listener.reader.stale:
                self._busy(listener, listener.reader.read_on)
        return taken

    async def _hand_out(self, taken: Sequence[tuple[Listener, Numbered]]) -> None:
        try:
            asked = [(listener.reader.reader_id, numbered) for listener, numbered in taken]
            events, scene = await self._audience.look(asked)
        except Exception as error:
            for listener, _ in taken:
                listener.fail(error)
            return
        slow: dict[Listener, list[Late]] = {}
        for (listener, _), event in zip(taken, events, strict=True):
            if event is None or listener.ended.done():
                continue
            try:
                if listener in slow or not listener.outlet.writable:
                    slow.setdefault(listener, []).append((event, None))
                elif begun := listener.give(event, scene):
                    slow[listener] = [(event, begun)]
            except Exception as error:
                listener.fail(error)
        for listener, late in slow.items():
            self._busy(listener, partial(listener.give_slowly, late, scene))

    def _busy(self, listener: Listener, wait: Callable[[], Awaitable[None]]) -> None:
        async def waiting() -> None:
            try:
                await wait()
            except Exception as error:
                listener.fail(error)
            finally:
                listener.busy = None
                if not listener.ended.done():
                    self._wake(listener)

        listener.busy = asyncio.create_task(waiting())


def _nobody() -> None:
    pass
