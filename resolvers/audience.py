"""Audience: which of this process's readers may see a live entry, asked of MongoDB for many readers at once.

It keeps nothing beyond a batch: what was read for one event is never shown for a later one.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datastore import ids
from datastore.ids import Kind
from datastore.records import HomeTimelineEvent, Regard, Resync, TweetAdded
from datastore.together import Asked as Find
from datastore.together import together
from realtime import telemetry
from realtime.copies import Copies
from realtime.reader import Said
from resolvers.context import Services
from resolvers.live import bodiless
from resolvers.loaders import Loaders
from resolvers.timelines import Hydrated, Shown, read_shown, shown_as, shown_by

# Stands for a reader's position in what all readers share. Random: nobody can write a tweet that holds it.
ANYWHERE = f"{secrets.token_hex(16)}/0"
# (viewer, event): one reader's question about one event.
Asked = tuple[int, Said]
Pair = tuple[int, int]


@dataclass(slots=True, eq=False)
class Scene:
    """What one batch read, for all readers it was read for: `loaders` holds the records, `made` whatever the readers
    share of what they make of them. It goes with the last of them."""

    loaders: Loaders
    made: dict[Hashable, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Read:
    """The entries of a batch, whose standing with a viewer decides whether they see each, and how all of them stand."""

    shown: Shown
    concerned: Mapping[int, Collection[int]]
    followed: Collection[Pair]
    regards: Mapping[Pair, Regard]

    def standing(self, viewer_id: int, entry_id: int) -> tuple[Hashable, ...]:
        """All that `event` asks of a viewer: those who stand alike are shown the same."""
        found: list[Hashable] = []
        for person in self.concerned.get(entry_id, ()):
            pair = viewer_id, person
            found += (pair in self.followed, viewer_id == person, self.regards.get(pair))
        return tuple(found)

    def event(self, viewer_id: int, said: Said) -> TweetAdded | None:
        """The entry as a page would show it to them."""
        people = self.concerned.get(said.entry_id, ())
        followed = {person for person in people if (viewer_id, person) in self.followed}
        regards = {person: regard for person in people if (regard := self.regards.get((viewer_id, person)))}
        hydrated = Hydrated(self.shown.tweets, self.shown.retweeters, followed, regards)
        # No author: 0, who wrote nothing.
        edge = shown_as(viewer_id, said.entry_id, hydrated, (said.author_id,))
        return TweetAdded(ANYWHERE, edge) if edge else None


class Audience:
    """The readers of this process, asked about together."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def look(self, asked: Sequence[Asked]) -> tuple[list[HomeTimelineEvent | None], Scene]:
        """Each event as its viewer may see it now, None if they may not, as a page would show it; in order. Those who
        are shown the same are given the same object, whose token is `ANYWHERE`. All that is read is read after the
        call, in a number of queries that does not grow with it; nothing is read for removals and resyncs."""
        scene = Scene(self._services.loaders())
        bodiless_ = {said: bodiless(ANYWHERE, said) for said in {said for _, said in asked}}
        if all(bodiless_.values()):
            events = [bodiless_[said] for _, said in asked]
        else:
            added = [one for one in asked if bodiless_[one[1]] is None]
            shown = _shown(added, await self._read(added, scene))
            events = [bodiless_[said] or next(shown) for _, said in asked]
        for kind, count in Counter(type(event) for event in events if event).items():
            telemetry.LIVE_EVENTS_BY_KIND[kind].inc(count)
        for event in bodiless_.values():
            if isinstance(event, Resync):
                telemetry.RESYNCS_BY_REASON[event.reason].inc(events.count(event))
        telemetry.LIVE_ROUNDS.inc()
        return events, scene

    async def _read(self, asked: Sequence[Asked], scene: Scene) -> _Read:
        """As resolvers.timelines.hydrate, for many viewers: nothing that the filter needs is read before the tweets."""
        loaders, told = scene.loaders, {said for _, said in asked}
        if all(said.people for said in told):
            return await self._read_at_once(asked, told, loaders)
        if not any(said.author_id for said in told):
            # A tweet this new is in Redis only if a worker has put it there, as it does for the many readers of top
            # users. To ask for it, and to put it there, costs more than to read it.
            loaders.tweet_copies = Copies.NONE
        shown = await read_shown(self._services, loaders, list({said.entry_id for said in told}))
        concerned = {entry: tweet.concerns(shown.retweeters.get(entry)) for entry, tweet in shown.tweets.items()}
        finds = self._finds(asked, concerned)
        (followed, regards), present_ = await asyncio.gather(together(*finds), loaders.present(shown.people()))
        living = Shown(shown.living(loaders, present_), shown.retweeters)
        return _Read(living, concerned, followed, regards)

    async def _read_at_once(self, asked: Sequence[Asked], told: Collection[Said], loaders: Loaders) -> _Read:
        """The same where the events tell what to ask for: one round trip."""
        services = self._services
        concerned = {said.entry_id: said.people for said in told}
        tweet_ids = {said.entry_id: said.tweet_id for said in told}
        finds = [*self._finds(asked, concerned), services.tweets.find_many([*{*tweet_ids.values()}])]
        if retweet_ids := [entry for entry in tweet_ids if ids.kind(entry) is Kind.RETWEET]:
            finds.append(services.retweets.find_many(retweet_ids))
        people = {person for some in concerned.values() for person in some}
        (followed, regards, tweets, *more), present_ = await asyncio.gather(together(*finds), loaders.present(people))
        shown = shown_by(tweet_ids, tweets, *more)
        return _Read(Shown(shown.living(loaders, present_), shown.retweeters), concerned, followed, regards)

    def _finds(self, asked: Sequence[Asked], concerned: Mapping[int, Collection[int]]) -> list[Find[Any]]:
        """The follows and regards that decide who is shown what."""
        pairs = {(viewer_id, person) for viewer_id, said in asked for person in concerned.get(said.entry_id, ())}
        return [self._services.follows.find_existing(pairs), self._services.blocks.find_regards(pairs)]


def _shown(asked: Sequence[Asked], read: _Read) -> Iterator[TweetAdded | None]:
    """The event for each, in order: one object for all who stand alike."""
    made: dict[Hashable, TweetAdded | None] = {}
    for viewer_id, said in asked:
        key = said, read.standing(viewer_id, said.entry_id)
        if key not in made:
            made[key] = read.event(viewer_id, said)
        yield made[key]
