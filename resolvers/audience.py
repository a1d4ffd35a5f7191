"""Audience: which of this process's readers may see a live entry, asked of MongoDB for many readers at once.

It keeps nothing beyond a batch: what was read for one event is never shown for a later one.
"""

import asyncio
import secrets
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datastore import ids
from datastore.ids import Kind
from datastore.records import HomeTimelineEvent, Regard, TweetAdded
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
# By entry, whose standing with a viewer decides whether they see it.
Concerned = Mapping[int, Sequence[int]]
# By person, some of the viewers.
Viewers = Mapping[int, Collection[int]]


@dataclass(slots=True, eq=False)
class Scene:
    """What one batch read, for all readers it was read for: `loaders` holds the records, `made` whatever the readers
    share of what they make of them. It goes with the last of them."""

    loaders: Loaders
    made: dict[Hashable, Any] = field(default_factory=dict)
    # The entries that anybody is shown.
    shown: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """One event, and to whom it is told: `viewers`, and their places among all that was asked."""

    said: Said
    viewers: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Read:
    """The entries of a batch, whose standing with a viewer decides whether they see each, and how all of them stand;
    `followers` are those of the viewers who follow a person."""

    shown: Shown
    concerned: Concerned
    followers: Viewers
    regards: Mapping[Pair, Regard]

    def events(self, told: _Told) -> list[TweetAdded | None]:
        """What each of the viewers is shown of it, in order: one object for all who stand alike."""
        said, people = told.said, self.concerned.get(told.said.entry_id, ())
        following = self.followers.get(people[0], ()) if len(people) == 1 else ()
        # With all others of a tweet that concerns its author alone there is one thing to ask.
        particular = {*people, *(viewer for viewer, _ in self.regards)} if len(people) == 1 else {*told.viewers}
        made: dict[Hashable, TweetAdded | None] = {}
        events: list[TweetAdded | None] = []
        for viewer in told.viewers:
            key = viewer in following if viewer not in particular else self._standing(viewer, people)
            if key not in made:
                made[key] = self._event(viewer, said, people)
            events.append(made[key])
        return events

    def _standing(self, viewer: int, people: Iterable[int]) -> Hashable:
        """All that `_event` asks of a viewer."""
        return tuple(
            (viewer in self.followers.get(person, ()), viewer == person, self.regards.get((viewer, person)))
            for person in people
        )

    def _event(self, viewer: int, said: Said, people: Iterable[int]) -> TweetAdded | None:
        """The entry as a page would show it to them."""
        followed = {person for person in people if viewer in self.followers.get(person, ())}
        regards = {person: regard for person in people if (regard := self.regards.get((viewer, person)))}
        hydrated = Hydrated(self.shown.tweets, self.shown.retweeters, followed, regards)
        # No author: 0, who wrote nothing.
        edge = shown_as(viewer, said.entry_id, hydrated, (said.author_id,))
        return TweetAdded(ANYWHERE, edge) if edge else None


class Audience:
    """The readers of this process, asked about together."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def look(self, asked: Sequence[Asked]) -> tuple[list[HomeTimelineEvent | None], Scene]:
        """Each event as its viewer may see it now, None if they may not, as a page would show it; in order. Those who
        are shown the same are given the same object, whose token is `ANYWHERE`. All that is read is read after the
        call, in a number of queries that does not grow with it; nothing is read for removals and resyncs."""
        scene, told = Scene(self._services.loaders()), _by_event(asked)
        without_body = [bodiless(ANYWHERE, one.said) for one in told]
        added = [one for one, event in zip(told, without_body, strict=True) if event is None]
        read = await self._read(added, scene.loaders) if added else None
        events: list[HomeTimelineEvent | None] = [None] * len(asked)
        for one, event in zip(told, without_body, strict=True):
            its = read.events(one) if event is None and read else [event] * len(one.places)
            for place, given in zip(one.places, its, strict=True):
                events[place] = given
            _note(one.said, its, scene)
        telemetry.LIVE_ROUNDS.inc()
        return events, scene

    async def _read(self, told: Sequence[_Told], loaders: Loaders) -> _Read:
        """As resolvers.timelines.hydrate, for many viewers."""
        if all(one.said.people for one in told):
            return await self._read_at_once(told, loaders)
        if not any(one.said.author_id for one in told):
            # A tweet this new is in Redis only if a worker has put it there, as it does for the many readers of top
            # users. To ask for it, and to put it there, costs more than to read it.
            loaders.tweet_copies = Copies.NONE
        shown = await read_shown(self._services, loaders, [one.said.entry_id for one in told])
        concerned = {entry: tweet.concerns(shown.retweeters.get(entry)) for entry, tweet in shown.tweets.items()}
        standing = self._read_standing(told, concerned, {})
        (followers, regards, _), present_ = await asyncio.gather(standing, loaders.present(shown.people()))
        return _Read(Shown(shown.living(loaders, present_), shown.retweeters), concerned, followers, regards)

    async def _read_at_once(self, told: Sequence[_Told], loaders: Loaders) -> _Read:
        """The same where the events say what there is to ask for: one round trip, not two or three."""
        services, tweet_ids = self._services, {one.said.entry_id: one.said.tweet_id for one in told}
        concerned = {one.said.entry_id: one.said.people for one in told}
        finds: dict[str, Find[Any]] = {"tweets": services.tweets.find_many([*{*tweet_ids.values()}])}
        if retweet_ids := [entry for entry in tweet_ids if ids.kind(entry) is Kind.RETWEET]:
            finds["retweets"] = services.retweets.find_many(retweet_ids)
        standing = self._read_standing(told, concerned, finds)
        people = {person for some in concerned.values() for person in some}
        (followers, regards, found), present_ = await asyncio.gather(standing, loaders.present(people))
        shown = shown_by(tweet_ids, found["tweets"], found.get("retweets", ()))
        return _Read(Shown(shown.living(loaders, present_), shown.retweeters), concerned, followers, regards)

    async def _read_standing(
        self, told: Sequence[_Told], concerned: Concerned, finds: Mapping[str, Find[Any]]
    ) -> tuple[Viewers, Mapping[Pair, Regard], dict[str, Any]]:
        """Who of the viewers follows whom of the people concerned, how they regard each other, and what else there is
        to find. One round trip; one more where somebody does not follow who once did."""
        follows, blocks = self._services.follows, self._services.blocks
        likely, others = _parted(told, concerned)
        viewers, people = {viewer for one in told for viewer in one.viewers}, {*likely, *others}
        asked = {"regards": blocks.find_regards_of_many(viewers, people), **finds}
        if likely:
            asked["count"] = follows.count_followers_among(likely)
        if others:
            asked["others"] = follows.find_followers_among(others)
        found = dict(zip(asked, await together(*asked.values()), strict=True))
        if found.get("count", 0) < sum(map(len, likely.values())):
            likely = await follows.find_followers_among(likely).alone()
        for person, some in found.get("others", {}).items():
            likely[person] = likely.get(person, set()) | some
        return likely, found["regards"], found


def _by_event(asked: Sequence[Asked]) -> list[_Told]:
    # By identity: all who are told the same have the same object.
    found: dict[int, _Told] = {}
    for place, (viewer, said) in enumerate(asked):
        told = found.get(id(said))
        if told is None:
            told = found[id(said)] = _Told(said)
        told.viewers.append(viewer)
        told.places.append(place)
    return [*found.values()]


def _parted(told: Iterable[_Told], concerned: Concerned) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
    """The viewers of each person concerned: of those whose entry it is, and so whom nearly every viewer follows, and of
    others."""
    likely: dict[int, set[int]] = {}
    others: dict[int, set[int]] = {}
    for one in told:
        people = concerned.get(one.said.entry_id, ())
        whose = people[1:2] if ids.kind(one.said.entry_id) is Kind.RETWEET else people[:1]
        for person in people:
            (likely if person in whose else others).setdefault(person, set()).update(one.viewers)
    for part in (likely, others):
        for person, viewers in part.items():
            # Nobody follows themselves.
            viewers.discard(person)
    return likely, others


def _note(said: Said, events: Sequence[HomeTimelineEvent | None], scene: Scene) -> None:
    """Export what was given of an event."""
    given = [event for event in events if event]
    if not given:
        return
    telemetry.LIVE_EVENTS_BY_KIND[type(given[0])].inc(len(given))
    if said.reason:
        telemetry.RESYNCS_BY_REASON[said.reason].inc(len(given))
    elif said.kind == "+":
        scene.shown.add(said.entry_id)
