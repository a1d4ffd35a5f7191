"""Stage: what a run plays on, and every page that is read there held against the oracle. Decides nothing."""

from itertools import pairwise

from datastore.records import HomeTimeline, Tweet
from resolvers.context import Services
from resolvers.timelines import home
from tests.model.client import Chains, Client, Process, must
from tests.model.themes import Theme
from tests.model.world import Clock, Ground, Size, World


class Stage:
    """A world, its processes, its live clients, and what people have written by the names of their requests."""

    def __init__(self, ground: Ground, size: Size, clock: Clock, theme: Theme) -> None:
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
