"""Audience: which of this process's readers may see a live entry, asked of MongoDB for many readers at once.

It keeps nothing beyond a batch: what was read for one event is never shown for a later one.
"""

import asyncio
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from datastore.records import HomeEdge, HomeTimelineEvent, Regard, Resync, TweetAdded
from datastore.together import together
from realtime import telemetry
from realtime.copies import Copies
from realtime.reader import Numbered
from resolvers.context import Services
from resolvers.live import bodiless
from resolvers.loaders import Loaders
from resolvers.timelines import Hydrated, Shown, read_shown, shown_as

NOBODY: set[int] = set()
NOTHING: dict[int, Regard] = {}
# (viewer, event): one reader's question about one event.
Asked = tuple[int, Numbered]


@dataclass(slots=True, eq=False)
class Scene:
    """What one batch read, for all readers it was read for: `loaders` holds the records, `made` whatever the readers
    share of what they make of them. It goes with the last of them."""

    loaders: Loaders
    made: dict[Hashable, Any] = field(default_factory=dict)


class Audience:
    """The readers of this process, asked about together."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def look(self, asked: Sequence[Asked]) -> tuple[list[HomeTimelineEvent | None], Scene]:
        """Each event as its viewer may see it now, None if they may not, as a page would show it; in order. All that is
        read is read after the call, in a number of queries that does not grow with it; nothing is read for removals and
        resyncs."""
        scene = Scene(self._services.loaders())
        events: list[HomeTimelineEvent | None] = [bodiless(numbered) for _, numbered in asked]
        added = [place for place, event in enumerate(events) if event is None]
        if added:
            edges = await self._edges([asked[place] for place in added], scene)
            for place, edge in zip(added, edges, strict=True):
                events[place] = TweetAdded(asked[place][1].token, edge) if edge else None
        for kind, count in Counter(type(event) for event in events if event).items():
            telemetry.LIVE_EVENTS_BY_KIND[kind].inc(count)
        for event in events:
            if isinstance(event, Resync):
                telemetry.RESYNCS_BY_REASON[event.reason].inc()
        telemetry.LIVE_ROUNDS.inc()
        return events, scene

    async def _edges(self, asked: Sequence[Asked], scene: Scene) -> list[HomeEdge | None]:
        """As resolvers.timelines.hydrate, for many viewers: the follows and regards are read last."""
        loaders = scene.loaders
        if not any(numbered.author_id for _, numbered in asked):
            # A tweet this new is in Redis only if a worker has put it there, as it does for the many readers of top
            # users. To ask for it, and to put it there, costs more than to read it.
            loaders.tweet_copies = Copies.NONE
        shown = await read_shown(self._services, loaders, list({numbered.entry_id for _, numbered in asked}))
        concerned = {entry_id: _concerned(shown, entry_id) for entry_id in shown.tweets}
        pairs = {
            (viewer_id, person) for viewer_id, numbered in asked for person in concerned.get(numbered.entry_id, ())
        }
        finds = self._services.follows.find_existing(pairs), self._services.blocks.find_regards(pairs)
        (followed, regards), present_ = await asyncio.gather(together(*finds), loaders.present(shown.people()))
        living = shown.living(loaders, present_)
        follows_of: dict[int, set[int]] = {}
        for viewer_id, author_id in followed:
            follows_of.setdefault(viewer_id, set()).add(author_id)
        regards_of: dict[int, dict[int, Regard]] = {}
        for (viewer_id, other), regard in regards.items():
            regards_of.setdefault(viewer_id, {})[other] = regard
        found: list[HomeEdge | None] = []
        for viewer_id, numbered in asked:
            follows, standing = follows_of.get(viewer_id, NOBODY), regards_of.get(viewer_id, NOTHING)
            hydrated = Hydrated(living, shown.retweeters, follows, standing)
            # No author: 0, who wrote nothing.
            found.append(shown_as(viewer_id, numbered.entry_id, hydrated, (numbered.author_id,)))
        return found


def _concerned(shown: Shown, entry_id: int) -> list[int]:
    """Whose standing with the viewer decides whether they see the entry."""
    tweet = shown.tweets[entry_id]
    people = (tweet.author_id, shown.retweeters.get(entry_id), tweet.reply_author_id)
    return [person for person in people if person is not None]
