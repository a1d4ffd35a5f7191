"""Run: one schedule, made from a seed or given as choices; at each quiet moment all is held against the oracle."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import pairwise
from random import Random
from typing import Any

from datastore.errors import DomainError
from datastore.records import Hiding, HomeTimeline, Tweet
from realtime import keys
from resolvers import blocks, follows
from resolvers.context import Services
from resolvers.timelines import home
from tests.model.client import Chains, Client, Process, must
from tests.model.world import Clock, Ground, Size, World

# What a scheduler chose: a verb and its arguments. Names are given when a choice is made, so a choice keeps its
# meaning when others before it are left out.
Choice = tuple[Any, ...]

# One of the people wrote most of what there is at the start.
PROLIFIC = 2
# No quiet moment takes so many steps.
PATIENCE = 4_000


class Run:
    """The world under the hands of whoever chooses. Each `do_<verb>` gives False where the choice is not possible."""

    def __init__(self, ground: Ground, size: Size, clock: Clock, theme: str) -> None:
        self.theme = theme
        self.world = World(ground, size, clock, self._published)
        self.scheduler, self.history, self.conveyor = self.world.scheduler, self.world.history, self.world.conveyor
        self.chains = Chains(self.history)
        self.processes = {name: Process(name, self.world) for name in "ab"}
        self.clients = [
            Client(person, self.world, self.chains, self.page) for person in self.world.people[: size.clients]
        ]
        self.tweets: dict[str, Tweet] = {}
        self.clock = clock
        self.published = 0

    def _published(self, channel: str, data: str) -> None:
        self.published += 1
        self.chains.note(channel, data)
        for process in self.processes.values():
            process.publish(channel, data)

    async def plant(self, rng: Random) -> None:
        """Some follows and tweets from before, all handled."""
        services, people = self.processes["a"].services, self.world.people
        dense = rng.choice([0.2, 0.6])
        for follower in people:
            for author in people:
                if follower != author and rng.random() < dense:
                    await services.follows.add(follower, author, self.clock.ms)
        for number in range(rng.choice([0, 3, 8])):
            self.clock.ms += 1
            author = people[PROLIFIC] if rng.random() < 0.6 else rng.choice(people)
            self.tweets[f"old{number}"] = await services.tweets.add(author, "old", self.clock.ms)
        if rng.random() < 0.6:
            await self.world.worker_rooms.top_users.promote(people[PROLIFIC])
        self.conveyor.all_handled()

    async def do(self, choice: Choice) -> bool:
        """Carry a choice out, if it is possible now."""
        self.clock.ms += 1
        verb, *args = choice
        self.scheduler.log.append(f"* {' '.join(map(str, choice))}" if verb != "step" else "")
        if await getattr(self, f"do_{verb}")(*args) is False:
            self.scheduler.log.pop()
            return False
        await self.scheduler.idle()
        for error in self.scheduler.errors:
            raise error
        return True

    async def end(self) -> None:
        """Nobody is under way any more."""
        for actor in list(self.scheduler.actors.values()):
            await self.scheduler.cancel(actor, orphans_too=True)

    # What people do: (name of the actor, process, who, ...).

    async def _request(self, name: str, process: str, work: Callable[[Services], Awaitable[object]]) -> None:
        async def asked() -> None:
            with suppress(DomainError):
                await work(self.processes[process].services)

        await self.scheduler.start(name, process, asked())

    async def do_post(self, name: str, process: str, who: int, answered: str | None) -> bool:
        if answered is not None and answered not in self.tweets:
            return False
        now_ms, author = self.clock.ms, self.world.people[who]

        async def post(services: Services) -> None:
            to = self.tweets[answered] if answered is not None else None
            self.tweets[name] = await services.tweets.add(author, name, now_ms, to)

        await self._request(name, process, post)
        return True

    async def do_change(self, verb: str, name: str, process: str, who: int, what: str) -> bool:
        """Something done to a tweet: delete, retweet, undo."""
        if (tweet := self.tweets.get(what)) is None:
            return False
        now_ms, person = self.clock.ms, self.world.people[who]
        works: dict[str, Callable[[Services], Awaitable[object]]] = {
            "delete": lambda services: services.tweets.remove(tweet.author_id, tweet.id),
            "retweet": lambda services: services.retweets.add(person, tweet, now_ms),
            "undo": lambda services: services.retweets.remove(person, tweet.id),
        }
        await self._request(name, process, works[verb])
        return True

    async def do_relate(self, verb: str, name: str, process: str, who: int, whom: int) -> None:
        """Something done to a person: follow, unfollow, block, unblock, mute, unmute."""
        person, other = self.world.people[who], self.world.people[whom]
        info = self.world.info(self.processes[process].services, person)
        works: dict[str, Callable[[Services], Awaitable[object]]] = {
            "follow": lambda _: follows.follow(info, other),
            "unfollow": lambda _: follows.unfollow(info, other),
            "block": lambda _: blocks.hide(info, other, Hiding.BLOCK),
            "mute": lambda _: blocks.hide(info, other, Hiding.MUTE),
            "unblock": lambda _: blocks.show(info, other, Hiding.BLOCK),
            "unmute": lambda _: blocks.show(info, other, Hiding.MUTE),
        }
        await self._request(name, process, works[verb])

    async def do_read(self, name: str, process: str, who: int, first: int, live: bool) -> None:
        """Two pages of `first` entries."""
        person = self.world.people[who]
        await self._request(name, process, lambda services: self.scroll(person, services, first, live, 2))

    async def scroll(
        self, person: int, services: Services, first: int, live: bool = False, pages: int = 100
    ) -> list[int]:
        """Every entry that so many pages of `first` show one after the other."""
        entries: list[int] = []
        before, more = None, True
        while more and (pages := pages - 1) >= 0:
            page = await self.page(person, services, first, before, live)
            entries += [edge.entry_id for edge in page.edges]
            before, more = page.end_id, page.has_next
        return entries

    async def page(self, person: int, services: Services, first: int, before: int | None, live: bool) -> HomeTimeline:
        """A page, held against what the documents allowed and demanded while it was read."""
        since = self.history.now
        demanded = [id_ for id_ in self.history.visible(person, since) if self._settled(person, id_)]
        page = await home(self.world.info(services, person, live), first, (before,) if before is not None else None)
        entries = [edge.entry_id for edge in page.edges]
        must(all(a > b for a, b in pairwise(entries)), f"a page not in order: {entries}")
        must(len(entries) <= first, f"a page too long: {entries}")
        for id_ in entries:
            must(before is None or id_ < before, f"{id_} is not behind {before}")
            must(self.history.allowed(person, id_, since), f"a page shows {id_}, which may not be seen")
        end = page.end_id if page.has_next else 0
        stayed = set(self.history.throughout(person, since))
        for id_ in demanded:
            reached = (before is None or id_ < before) and id_ >= (end or 0)
            must(not reached or id_ in entries or id_ not in stayed, f"a page of {entries} lacks {id_}")
        return page

    def _settled(self, person: int, id_: int) -> bool:
        """Whether all has been handled that brings this entry to this person."""
        author = self.history.entries[id_].author
        return author == person or (self.conveyor.settled(id_) and self.conveyor.settled((person, author)))

    # What the scheduler does.

    async def do_step(self, name: str, which: int) -> bool:
        actor = self.scheduler.actors.get(name)
        if not actor or not actor.waiting:
            return False
        await self.scheduler.step(actor, which)
        return True

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
        return bool(self.world.line.send("DEL", name))

    async def do_lapse(self, who: int) -> bool:
        """The leases of whoever builds this person's timeline or recent entries run out."""
        lapsed = [self._lapse(name(self.world.people[who])) for name in (keys.timeline, keys.recent)]
        return any(lapsed)

    def _lapse(self, name: str) -> bool:
        sentinel = self.world.line.send("ZRANGE", name, 0, 0, "WITHSCORES")
        if not sentinel or not sentinel[0].startswith("b:") or sentinel[0].endswith(":0"):
            return False
        self.world.line.send("ZREM", name, sentinel[0])
        self.world.line.send("ZADD", name, sentinel[1], sentinel[0].rpartition(":")[0] + ":0")
        return True

    async def do_flush(self, back: int) -> None:
        self.world.line.send("FLUSHALL")
        self.conveyor.forget(back)

    # Quiet moments.

    async def do_quiet(self) -> None:
        """Let all that is under way come to its end, then compare."""
        for who in range(len(self.clients)):
            await self.do_connect(f"live{who} {self.scheduler.steps}", "a", who)
        await self._drain()
        await self._compare()
        # The pages just read may have rebuilt what was evicted unseen, and that is a resync.
        await self._drain()
        taken = [client.taken for client in self.clients]
        for name in [name for name in self.scheduler.actors if name.startswith("live")]:
            await self.scheduler.cancel(self.scheduler.actors[name], orphans_too=False)
        for who in range(len(self.clients)):
            await self.do_connect(f"live{who} again {self.scheduler.steps}", "b", who)
        await self._drain()
        must(taken == [client.taken for client in self.clients], "a second resume replays")

    async def _drain(self) -> None:
        """Until a look by every sweep finds nothing new."""
        start, before = self.scheduler.steps, None
        while before != (now := (self.conveyor.worked, self.published, [client.taken for client in self.clients])):
            before = now
            await self._lapse_all()
            for name, process in self.processes.items():
                await self.scheduler.start(f"sweep@{name} {self.scheduler.steps}", name, process.sweep())
            while await self._go_on():
                must(self.scheduler.steps - start < PATIENCE, "it never comes to rest")
                for error in self.scheduler.errors:
                    raise error

    async def _lapse_all(self) -> None:
        for who in range(len(self.world.people)):
            await self.do_lapse(who)

    async def _go_on(self) -> bool:
        """Whether there was anything left to do."""
        if runnable := self.scheduler.runnable():
            # Who waits for a dead builder to end asks again and again.
            if self.scheduler.steps % 100 == 0:
                await self._lapse_all()
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
