"""Scheduler: actors as tasks whose every command waits at a gate until it is let go. Reads no clock and does no I/O.

A command is atomic: it is sent and answered in one piece when its gate opens, and its actor then runs on to its next
gate. So nothing happens but what the scheduler chose, and the same choices give the same run.
"""

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

_ACTOR: ContextVar["Actor | None"] = ContextVar("actor", default=None)


@dataclass(eq=False)
class Actor:
    """Something under way in a process: a request, a batch of events, a subscription. `waiting` are its gates, and
    those of the tasks that it started."""

    name: str
    process: str
    task: asyncio.Task[None] | None = None
    waiting: list[tuple[str, asyncio.Future[None]]] = field(default_factory=list)

    @property
    def under_way(self) -> bool:
        return self.task is not None and not self.task.done()


class Scheduler:
    """The actors of one run, by name. Must be made in the loop that it schedules."""

    def __init__(self) -> None:
        # Any: the private queue of what is ready to run is how a settled loop is known from a busy one.
        self._loop: Any = asyncio.get_running_loop()
        self.actors: dict[str, Actor] = {}
        self.errors: list[BaseException] = []
        self.log: list[str] = []
        self.steps = 0

    async def gate(self, label: str) -> None:
        """Wait to be let go. Free for whoever is no actor: the oracle, and what prepares a run."""
        actor = _ACTOR.get()
        if actor is None:
            return
        waiting = (label, self._loop.create_future())
        actor.waiting.append(waiting)
        try:
            await waiting[1]
        finally:
            actor.waiting.remove(waiting)

    async def start(self, name: str, process: str, work: Coroutine[Any, Any, None]) -> Actor:
        """A new actor, run to its first gate."""
        actor = self.actors[name] = Actor(name, process)
        token = _ACTOR.set(actor)
        actor.task = self._loop.create_task(work)
        _ACTOR.reset(token)
        actor.task.add_done_callback(self._ended)
        await self.idle()
        return actor

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self.errors.append(error)

    def runnable(self) -> list[Actor]:
        """Those with a command waiting, in order of their start."""
        return [actor for actor in self.actors.values() if actor.waiting]

    async def step(self, actor: Actor, which: int = 0) -> None:
        """Let one waiting command of an actor go, and wait until everybody is at a gate again."""
        label, future = actor.waiting[which % len(actor.waiting)]
        self.log.append(f"{actor.name}: {label}")
        self.steps += 1
        future.set_result(None)
        await self.idle()

    async def cancel(self, actor: Actor, orphans_too: bool) -> None:
        """End an actor between two of its commands; with `orphans_too` also the tasks that would outlive it."""
        if actor.task:
            actor.task.cancel()
        await self.idle()
        while orphans_too and actor.waiting:
            for _, future in actor.waiting:
                future.cancel()
            await self.idle()

    async def idle(self) -> None:
        """Let everybody run on until all wait."""
        while self._loop._ready:
            await asyncio.sleep(0)
        for name in [name for name, actor in self.actors.items() if not actor.under_way and not actor.waiting]:
            del self.actors[name]
