"""Rounds: hands the readers of this process what came for them, all at once, without a task for each. Knows no text, no
socket and no store.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol

from datastore import tracing
from datastore.records import HomeTimelineEvent
from realtime import telemetry
from realtime.reader import Numbered, Reader
from resolvers.audience import Audience, Scene
from resolvers.context import Services

# (reader, event) pairs of one round: each is some three keys of an $in.
ROUND_LIMIT = 1000
# Events of one reader in a round, so that a backlog keeps nobody waiting and fits into the socket's buffer.
EVENTS_AT_ONCE = 16
# Where so many pairs a second are handed out, and above a moment's burst of half as many, the next round gathers for so
# long from the beginning of one: at 200 events a second a dozen of them share their queries, which cost the process
# more than all else that is done for those events together. Fewer wait for nobody.
BUSY_A_SECOND = 100
GATHER_SECONDS = 0.065
# So many rounds wait for MongoDB side by side, on a machine where that takes longer than to gather the next one.
ROUNDS_AT_ONCE = 2

# An event that could not be given at once, the position behind it, and what `give` said of it, if it was asked.
Late = tuple[HomeTimelineEvent, str, Any]
# What a reader has at hand.
Taken = tuple["Listener", Numbered]


class Taker(Protocol):
    """Who takes the events of one subscription."""

    @property
    def is_writable(self) -> Callable[[], bool]:
        """Tells whether the client has read enough to be sent more."""

    async def drained(self) -> None:
        """Wait until it is writable."""

    def give(self, event: HomeTimelineEvent, position: str, scene: Scene) -> Any:
        """Take an event, which others are given too, and which has the reader stand there. If that needs no wait: then
        None. Else whatever `give_slowly` needs."""

    async def give_slowly(self, late: Sequence[Late], scene: Scene) -> None:
        """Take these events, in order, with all the waits they need."""


class Listener:
    """One subscription: a reader that was started, and who takes its events. While it is busy, with a wait of its own,
    rounds pass it over; and while one has events of it `in_hand`, so do the others, which keeps their order: whether
    there is more is looked at `again` behind it."""

    __slots__ = ("again", "busy", "ended", "in_hand", "reader", "taker")

    def __init__(self, reader: Reader, taker: Taker) -> None:
        self.reader, self.taker = reader, taker
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.busy: asyncio.Task[None] | None = None
        self.in_hand = self.again = False

    def fail(self, error: Exception) -> None:
        """It cannot go on."""
        if not self.ended.done():
            self.ended.set_exception(error)


class Rounds:
    """The readers of this process who have something to do. Each round asks for all of them together who may see what,
    and hands it out: the busier, the larger the rounds and the cheaper a reader."""

    def __init__(self, services: Services) -> None:
        self._hub = services.hub
        self._audience = Audience(services)
        self._trails = services.trails
        self._ready: dict[Listener, None] = {}
        self._working: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        # A leaking bucket of pairs that were handed out, and when it was last looked at.
        self._handed, self._looked = 0.0, 0.0

    async def serve(self, viewer_id: int, after: str | None, taker: Taker) -> None:
        """Give all that comes in a viewer's timeline behind `after`, in order, until cancelled. Raises what kept it
        from going on."""
        reader = self._hub.reader(viewer_id)
        try:
            await self._hub.enter(reader)
            await reader.start(after)
            await self._until_ended(Listener(reader, taker))
        finally:
            await self._hub.leave(reader)

    async def _until_ended(self, listener: Listener) -> None:
        listener.reader.wake.call = partial(self._wake, listener)
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
        if listener.in_hand:
            listener.again = True
            return
        self._ready[listener] = None
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())

    async def _work(self) -> None:
        while self._ready:
            if taken := self._take():
                round_ = asyncio.create_task(self._round(taken))
                self._under_way.add(round_)
                round_.add_done_callback(self._under_way.discard)
                if self._is_busy(len(taken)):
                    await asyncio.sleep(GATHER_SECONDS)
            while len(self._under_way) >= ROUNDS_AT_ONCE:
                await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    def _is_busy(self, pairs: int) -> bool:
        """Whether these, and those of the last second, are more than what is handed out one by one."""
        now, before = asyncio.get_running_loop().time(), self._looked
        left = max(self._handed - BUSY_A_SECOND * (now - before), 0)
        self._handed, self._looked = min(left + pairs, BUSY_A_SECOND), now
        return self._handed > BUSY_A_SECOND / 2

    async def _round(self, taken: Sequence[Taken]) -> None:
        try:
            await (self._traced(taken) if tracing.is_on() else self._hand_out(taken))
        finally:
            for listener, _ in taken:
                listener.in_hand = False
                if listener.again and not listener.ended.done():
                    listener.again = False
                    self._wake(listener)

    def _take(self) -> list[Taken]:
        """What is at hand for those who can take it; for the others begin what they wait for."""
        taken: list[Taken] = []
        for listener in list(self._ready):
            if len(taken) >= ROUND_LIMIT:
                break
            del self._ready[listener]
            if listener.busy:
                continue  # whatever it is, it ends by waking
            if not listener.taker.is_writable():
                self._busy(listener, listener.taker.drained)
                continue
            reader, count = listener.reader, 0
            while count < EVENTS_AT_ONCE and (numbered := reader.take()):
                taken.append((listener, numbered))
                count += 1
            if count:
                listener.in_hand = True
                # There may be more, or something to read on: behind what was taken.
                listener.again = count == EVENTS_AT_ONCE or reader.stale
            elif reader.stale:
                self._busy(listener, reader.read_on)
        return taken

    async def _traced(self, taken: Sequence[Taken]) -> None:
        """Hand it out within the traces of the requests that it began with."""
        parents = await self._trails.found({said.entry_id for _, (_, said) in taken if said.kind == "+"})
        with tracing.spans([("live round", parent) for parent in parents.values()]):
            await self._hand_out(taken)

    async def _hand_out(self, taken: Sequence[Taken]) -> None:
        try:
            asked = [(listener.reader.reader_id, said) for listener, (_, said) in taken]
            events, scene = await self._audience.look(asked)
        except Exception as error:
            for listener, _ in taken:
                listener.fail(error)
            return
        late: dict[Listener, list[Late]] = {}
        for (listener, (position, _)), event in zip(taken, events, strict=True):
            if event is None or listener.ended.done():
                continue
            try:
                if listener in late or not listener.taker.is_writable():
                    late.setdefault(listener, []).append((event, position, None))
                elif begun := listener.taker.give(event, position, scene):
                    late[listener] = [(event, position, begun)]
            except Exception as error:
                listener.fail(error)
        telemetry.note_ages(telemetry.ENTRIES_SHOWN, scene.shown)
        for listener, its in late.items():
            self._busy(listener, partial(listener.taker.give_slowly, its, scene))

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


async def stop(task: asyncio.Task[Any]) -> None:
    """Cancel until it has ended. Once is not enough: redis-py uses asyncio.wait_for, which on Python 3.11 loses a
    cancellation that comes in the same tick as its answer."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)
