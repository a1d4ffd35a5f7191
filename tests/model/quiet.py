"""Quiet: everything under way comes to its end; then pages and clients are held against the documents."""

from collections.abc import Sequence

from realtime import keys
from tests.model.client import Client, must
from tests.model.machines import Machines
from tests.model.world import PEOPLE

# No quiet moment takes so many steps.
PATIENCE = 4_000


class Quiet(Machines):
    """The stage coming to rest."""

    async def do_rest(self, *but: str) -> None:
        """Let all that is under way come to its end, but for these actors."""
        await self._drain(but)

    async def do_quiet(self) -> None:
        """Let all that is under way come to its end, then compare."""
        for who in range(len(self.clients)):
            await self.do_connect(f"live{who} {self.scheduler.steps}", "a", who)
        await self._drain()
        await self._compare()
        # The pages just read may have rebuilt what was evicted unseen, and that is a resync.
        await self._drain()
        taken = [client.taken + self._forgotten(client) for client in self.clients]
        for name in [name for name in self.scheduler.actors if name.startswith("live")]:
            await self.scheduler.cancel(self.scheduler.actors[name], orphans_too=False)
        for who in range(len(self.clients)):
            await self.do_connect(f"live{who} again {self.scheduler.steps}", "b", who)
        await self._drain()
        must(taken == [client.taken for client in self.clients], "a second resume replays")

    def _forgotten(self, client: Client) -> int:
        """1 if the shared stream no longer knows the client's position, for so much was in it for others: then resuming
        is a resync."""
        top = (client.after or "").partition("/")[2]
        known = [entry[1][1] for entry in self.world.line.send("XRANGE", keys.TOP_STREAM, "-", "+")]
        return int(top not in (*known, self.world.line.send("HGET", keys.TOP_PRESENCE, "last")))

    async def _drain(self, but: Sequence[str] = ()) -> None:
        """Until a look by every sweep finds nothing new. The first does not count: what it found may have changed by
        what else was under way, and no message tells of a presence that has ended."""
        start, looks, before = self.scheduler.steps, 0, None
        while looks < 2 or before != self._state():
            looks, before = looks + 1, self._state()
            self._lapse(range(PEOPLE))
            for name, process in self.processes.items():
                await self.scheduler.start(f"sweep@{name} {self.scheduler.steps}", name, process.sweep())
            while await self._go_on(but):
                must(self.scheduler.steps - start < PATIENCE, "it never comes to rest")
                for error in self.scheduler.errors:
                    raise error

    def _state(self) -> tuple[object, ...]:
        return self.conveyor.worked, self.published, [client.taken for client in self.clients]

    async def _go_on(self, but: Sequence[str]) -> bool:
        """Whether there was anything left to do."""
        if runnable := [actor for actor in self.scheduler.runnable() if actor.name not in but]:
            # Who waits for a dead builder to end asks again and again.
            if self.scheduler.steps % 100 == 0:
                self._lapse(range(PEOPLE))
            await self.scheduler.step(runnable[self.scheduler.steps % len(runnable)])
        elif waiting := [process for process in self.processes.values() if process.messages]:
            await waiting[0].deliver()
            await self.scheduler.idle()
        elif free := self.conveyor.free():
            await self.do_work(f"drain {self.scheduler.steps}", free, 100)
        else:
            return self.conveyor.relay()
        return True

    async def _compare(self) -> None:
        """Every page now, in one piece and in pieces, and every live client, against the documents."""
        for person in self.world.people:
            expected = self.history.visible(person, self.history.now)
            services = self.processes["a"].services
            # Small pages of one of them, another each time.
            small = person == self.world.people[self.clock.ms % len(self.world.people)]
            for first in (100, 2) if small else (100,):
                found = await self.scroll(person, services, first)
                must(found == expected, f"pages of {first} show {found} and not {expected}")
        for client in self.clients:
            expected = self.history.visible(client.person, self.history.now)
            found = sorted(client.entries, reverse=True)
            must(found == expected, f"a live client holds {found} and not {expected}")
