"""Machines: what goes on, and what goes wrong. Each `do_<verb>` gives False where it is not possible."""

from collections.abc import Iterable

from realtime import keys
from tests.model.client import Process
from tests.model.stage import Stage

# Ends every lease on the building of these lists; gives how many there were.
_LAPSE = """
local ended = 0
for _, list in ipairs(KEYS) do
  local builder, deadline, floor = string.match(redis.call('LINDEX', list, -1) or '', '^(b:.+):(%d+):(%d+)$')
  if builder and deadline ~= '0' then
    redis.call('LSET', list, -1, builder .. ':0:' .. floor)
    ended = ended + 1
  end
end
return ended
"""


class Machines(Stage):
    """The stage under the hands of processes, workers, the relay and Redis."""

    async def do_step(self, name: str, which: int) -> bool:
        actor = self.scheduler.actors.get(name)
        if not actor or not actor.waiting:
            return False
        await self.scheduler.step(actor, which)
        return True

    async def do_hold(self, name: str, command: str) -> bool:
        """Somebody goes on up to this command; whoever chooses holds them up there."""
        actor = self.scheduler.actors.get(name)
        while actor and actor.waiting and not actor.waiting[0][0].startswith(command):
            await self.scheduler.step(actor)
        return bool(actor and actor.waiting)

    async def do_finish(self, name: str) -> bool:
        """Somebody goes on to their end."""
        actor = self.scheduler.actors.get(name)
        while actor and actor.waiting:
            await self.scheduler.step(actor)
        return bool(actor)

    async def do_relay(self, count: int) -> bool:
        return self.conveyor.relay(count)

    async def do_work(self, name: str, partitions: list[int], count: int) -> bool:
        taken = [partition for partition in partitions if partition in self.conveyor.free()]
        if not taken:
            return False
        await self.conveyor.work(name, taken, count, self.world.rooms())
        return True

    async def do_connect(self, name: str, process: str, who: int) -> bool:
        if any(one.startswith(f"live{who}") and actor.under_way for one, actor in self.scheduler.actors.items()):
            return False
        await self.scheduler.start(name, process, self.clients[who].run(self.processes[process]))
        return True

    async def do_deliver(self, process: str) -> bool:
        if not self.processes[process].messages:
            return False
        await self.processes[process].deliver()
        return True

    # Faults.

    async def do_crash(self, name: str) -> bool:
        """A request, a page or a connection ends between two of its commands."""
        if not (actor := self.scheduler.actors.get(name)):
            return False
        await self.scheduler.cancel(actor, orphans_too=False)
        return True

    async def do_kill(self, process: str) -> None:
        """An API process dies, with all that it was doing, and another starts in its place."""
        for actor in [actor for actor in self.scheduler.actors.values() if actor.process == process]:
            await self.scheduler.cancel(actor, orphans_too=True)
        self.processes[process] = Process(process, self.world)

    async def do_lose(self, name: str, dead: bool) -> bool:
        """A worker dies, or is taken for dead."""
        if name not in self.conveyor.batches:
            return False
        await self.conveyor.lose(self.scheduler.actors[name], dead)
        return True

    async def do_rewind(self, back: int) -> bool:
        """The relay dies and relays the last events again."""
        self.conveyor.relayed = max(self.conveyor.relayed - back, 0)
        return True

    async def do_drop(self, process: str) -> bool:
        if not self.processes[process].messages:
            return False
        self.processes[process].messages.popleft()
        return True

    async def do_reconnect(self, process: str) -> None:
        self.processes[process].reconnect()

    async def do_sweep(self, name: str, process: str) -> bool:
        await self.scheduler.start(name, process, self.processes[process].sweep())
        return True

    async def do_evict(self, kind: str, who: int) -> bool:
        person = self.world.people[who]
        name = {
            "tl": keys.timeline(person),
            "on": keys.presence(person),
            "ev": keys.reader_stream(person),
            "recent": keys.recent(person),
            "top on": keys.TOP_PRESENCE,
            "top ev": keys.TOP_STREAM,
        }[kind]
        for client in self.clients:
            if kind == "tl" and client.person == person:
                client.lost_set()
        return bool(self.world.line.send("DEL", name))

    async def do_lapse(self, who: int) -> bool:
        """The leases of whoever builds this person's timeline or recent entries run out."""
        return self._lapse([who])

    def _lapse(self, whose: Iterable[int]) -> bool:
        people = [self.world.people[who] for who in whose]
        names = [*map(keys.timeline, people), *map(keys.recent, people)]
        return bool(self.world.line.send("EVAL", _LAPSE, len(names), *names))

    async def do_flush(self, back: int) -> None:
        self.world.line.send("FLUSHALL")
        self.conveyor.forget(back)
