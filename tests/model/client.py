"""Clients: the documented recipe of a live client over the real Reader, and the delivery of messages to each process.
The hub's own loops are not here: the scheduler decides when a message comes, is lost, or a sweep looks."""

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable

from datastore.records import HomeTimeline, ResyncReason
from realtime import keys
from realtime.reader import Reader, Said, for_others, parse
from resolvers.context import Services
from resolvers.timelines import hydrate, visible
from tests.model.oracle import History
from tests.model.world import World


class CounterexampleError(AssertionError):
    """Something that must hold did not."""


def must(holds: bool, what: str) -> None:
    if not holds:
        raise CounterexampleError(what)


class Process:
    """An API process: its rooms, the messages on their way to it, and the readers it serves."""

    def __init__(self, name: str, world: World) -> None:
        self.name, self.world = name, world
        self.services: Services = world.services()
        self.readers: list[Reader] = []
        self.messages: deque[tuple[str, str]] = deque()
        self._unmatched: deque[tuple[str, str, Said]] = deque()

    def publish(self, channel: str, data: str) -> None:
        """A message sets out for here if anybody here listens to it."""
        if channel == keys.TOP_CHANNEL or any(keys.reader_channel(one.reader_id) == channel for one in self.readers):
            self.messages.append((channel, data))

    async def deliver(self) -> None:
        """The oldest message arrives."""
        channel, data = self.messages.popleft()
        previous, token, payload = data.split(":", 2)
        said = parse(payload)
        if channel == keys.TOP_CHANNEL:
            self._unmatched.append((previous, token, said))
            if len(self._unmatched) == 1:
                await self.world.scheduler.start(f"match@{self.name}", self.name, self._match())
        for reader in self.readers:
            if keys.reader_channel(reader.reader_id) == channel:
                reader.own.offer(previous, token, said)

    async def _match(self) -> None:
        while self._unmatched:
            previous, token, said = self._unmatched[0]
            readers = list(self.readers)
            pairs = {(reader.reader_id, said.author_id) for reader in readers}
            followed = await self.services.follows.existing(pairs) if pairs else set()
            for reader in readers:
                mine = (reader.reader_id, said.author_id) in followed
                reader.top.offer(previous, token, said if mine else for_others(said))
            self._unmatched.popleft()

    def reconnect(self) -> None:
        """The connection broke: what was on its way is gone, and a repeated confirmation says so."""
        self.messages.clear()
        for reader in self.readers:
            reader.own.doubt()
            reader.top.doubt()

    async def sweep(self) -> None:
        """Look for readers whose newest message never came."""
        redis = self.world.redis
        for reader in list(self.readers):
            top_last = await redis.hget(keys.TOP_PRESENCE, "last")
            last = await redis.hget(keys.presence(reader.reader_id), "last")
            if last != reader.own.tail:
                reader.own.doubt()
            if top_last != reader.top.tail and not self._unmatched:
                reader.top.doubt()


class Chains:
    """Every numbered event, as it was published: what a position leads to."""

    def __init__(self, history: History) -> None:
        self._history = history
        # (channel, previous token) -> the token of its event, what that says, and the moment of its numbering.
        self._links: dict[tuple[str, str], tuple[str, Said, int]] = {}

    def note(self, channel: str, data: str) -> None:
        """An event was numbered."""
        if data.count(":") >= 2:
            previous, token, payload = data.split(":", 2)
            self._links[channel, previous] = token, parse(payload), self._history.now

    def check(self, reader_id: int, after: str, position: str, said: Said) -> None:
        """The event must be the next one behind `after`, in its own stream or in the shared one. Passed over there is
        only what somebody wrote whom the reader did not follow."""
        if said.reason in (ResyncReason.STATE_LOST, ResyncReason.SLOW_CONSUMER):
            return
        (own, _, top), (own_then, _, top_then) = after.partition("/"), position.partition("/")
        last: Said | None = None
        if own_then != own:
            token, last, _ = self._links.get((keys.reader_channel(reader_id), own), ("", None, 0))
            must(token == own_then, f"a hole or a repeat in the stream at {said}")
        elif top_then == top:
            must(False, f"an event that moves no position: {said}")
        while top_then != top:
            link = self._links.get((keys.TOP_CHANNEL, top))
            must(link is not None, f"the shared stream does not lead from {after} to {said}")
            top, passed, numbered_at = link or (top_then, said, 0)
            if top == top_then and own_then == own:
                last = passed
            elif self._history.follows_throughout(reader_id, passed.author_id, numbered_at):
                must(False, f"passed over in the shared stream: {passed}")
        told = (said.kind, said.entry_id, said.reason)
        must(last is not None and (last.kind, last.entry_id, last.reason) == told, f"{said} is not {last}")


# (reader, rooms, how many, entry id to start behind, whether to ask for a live cursor) -> a page that was held
# against the oracle.
Fetch = Callable[[int, Services, int, int | None, bool], Awaitable[HomeTimeline]]


class Client:
    """One person's live client. `entries` is what it shows; `after` is all it remembers over a broken connection."""

    def __init__(self, person: int, world: World, chains: Chains, fetch: Fetch) -> None:
        self.person, self._world, self._chains, self._fetch = person, world, chains, fetch
        self.entries: set[int] = set()
        self.after: str | None = None
        self.taken = 0
        # Since the last resync: what was added, and author by author with the moment at which it was written.
        self._added: set[int] = set()
        self._of_author: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._set_lost = False

    async def run(self, process: Process) -> None:
        """Connected, until cancelled."""
        if self.after is None:
            self.after = await self._page(process)
        reader = Reader(self.person, process.services.hub)
        process.readers.append(reader)
        try:
            async for position, said in reader.events(self.after):
                self._chains.check(self.person, self.after, position, said)
                await self._take(process, said)
                self.after = position
                self.taken += 1
        finally:
            if reader in process.readers:
                process.readers.remove(reader)

    async def _page(self, process: Process) -> str:
        # Before it is read: a set that is lost meanwhile may be rebuilt behind the place where the page stands.
        self._set_lost = False
        page = await self._fetch(self.person, process.services, 100, None, True)
        self.entries = {edge.entry_id for edge in page.edges}
        self._added.clear()
        self._of_author.clear()
        return page.live_token

    def lost_set(self) -> None:
        """The person's set is lost: before the resync that its rebuilding brings, what is handled again may be new to
        the set that is being built."""
        self._set_lost = True

    async def _take(self, process: Process, said: Said) -> None:
        if said.kind == "s":
            await self._page(process)
        elif said.kind == "-":
            self.entries.discard(said.entry_id)
            self._added.discard(said.entry_id)
        elif await self._shows(process, said.entry_id):
            self._in_order(said)
            self.entries.add(said.entry_id)

    async def _shows(self, process: Process, entry_id: int) -> bool:
        """As resolvers.live: hydrated and filtered as on a page."""
        since = self._world.history.now
        context = self._world.info(process.services, self.person).context
        shown = visible(self.person, [entry_id], await hydrate(context, self.person, [entry_id]))
        allowed = self._world.history.allowed(self.person, entry_id, since)
        must(allowed or not shown, f"an event shows {entry_id}, which may not be seen")
        return bool(shown)

    def _in_order(self, said: Said) -> None:
        """One author's entries come in the order in which they were written, each once: those of top users at least
        once, for their author is named. What the page showed may come again, at any time."""
        history = self._world.history
        again = said.entry_id in self._added
        must(not again or self._set_lost or bool(said.author_id), f"added twice: {said}")
        author, born = history.entries[said.entry_id].author, history.born[said.entry_id]
        # Relayed again, an old tweet is new to whoever has followed since and is not merged yet: a resync follows.
        merged = author == self.person or self._world.conveyor.settled((self.person, author))
        known = again or said.entry_id in self.entries
        # Requests that overlap may take their ids in one order and be written in the other: then both are right.
        before = self._of_author[author]
        late = any(said.entry_id < id_ and born < moment for id_, moment in before)
        must(known or not merged or not late, f"out of order: {said}")
        self._added.add(said.entry_id)
        before.append((said.entry_id, born))
