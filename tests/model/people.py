"""People: what they ask for. Each `do_<verb>` starts a request, under the name of its actor, at one of the processes,
by a person; it gives False where that is not possible."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from datastore.errors import DomainError
from datastore.records import Hiding
from resolvers import blocks, follows
from resolvers.context import Services
from tests.model.stage import Stage


class People(Stage):
    """The stage under the hands of those who write, relate and read."""

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

    async def do_crowd(self, who: int, comes: bool) -> bool:
        """A crowd that reads nothing begins to follow somebody, or stops. Its events are as good as handled, but for
        one, at which the author's road is looked at."""
        author, follows_ = self.world.people[who], self.processes["a"].services.follows
        if comes:
            changed = [await follows_.add(one, author, self.clock.ms) for one in self.world.crowd]
        else:
            changed = [await follows_.remove(one, author) for one in self.world.crowd]
        if not all(changed):
            return False
        edge = [(self.world.crowd[0], author)]
        self.conveyor.happened("follows", *((edge, []) if comes else ([], edge)))
        return True
