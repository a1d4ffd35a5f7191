"""Audience: which of this process's readers may see a live entry, asked of MongoDB for many readers at once.

It keeps nothing beyond a batch: what was read for one event is never shown for a later one.
"""

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from datastore.records import HomeEdge, Regard
from datastore.together import together
from realtime.reader import Numbered
from resolvers.context import Services
from resolvers.loaders import Loaders
from resolvers.timelines import Hydrated, Shown, present, read_shown, visible

# (reader, entry) pairs of one batch: each is some three keys of an $in.
BATCH_LIMIT = 1000
# Behind a batch the next one gathers for so long: a lone event waits for nobody, and at 200 events a second four of
# them share their queries.
GATHER_SECONDS = 0.02


@dataclass(slots=True, eq=False)
class Scene:
    """What one batch read, for all readers it was read for: `loaders` holds the records, `made` whatever the readers
    share of what they make of them. It goes with the last of them."""

    loaders: Loaders
    made: dict[Hashable, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One reader's question about one numbered entry, and where the answer goes."""

    viewer_id: int
    numbered: Numbered
    answer: "asyncio.Future[tuple[HomeEdge | None, Scene]]"


class Audience:
    """The readers of this process who wait for an answer. While one batch is read, and for a moment behind it, the
    next one gathers: the busier, the larger the batches and the cheaper a reader."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._waiting: list[Look] = []
        self._working: asyncio.Task[None] | None = None

    async def look(self, viewer_id: int, numbered: Numbered) -> tuple[HomeEdge | None, Scene]:
        """The entry as the viewer may see it now, None if they may not: as a page would show it. All that is read is
        read after the call."""
        answer: asyncio.Future[tuple[HomeEdge | None, Scene]] = asyncio.get_running_loop().create_future()
        self._waiting.append(Look(viewer_id, numbered, answer))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH_LIMIT], self._waiting[BATCH_LIMIT:]
            try:
                await self._answer(batch)
            except Exception as error:
                for look in batch:
                    if not look.answer.done():
                        look.answer.set_exception(error)
            await asyncio.sleep(GATHER_SECONDS)

    async def _answer(self, batch: list[Look]) -> None:
        """As resolvers.timelines.hydrate, for many viewers: the follows and regards are read last."""
        scene = Scene(self._services.loaders())
        shown = await read_shown(self._services, scene.loaders, list({look.numbered.entry_id for look in batch}))
        pairs = {(look.viewer_id, person) for look in batch for person in _concerned(shown, look.numbered.entry_id)}
        finds = self._services.follows.find_existing(pairs), self._services.blocks.find_regards(pairs)
        (followed, regards), present_ = await asyncio.gather(together(*finds), scene.loaders.present(shown.people()))
        living = shown.living(scene.loaders, present_)
        follows_of: dict[int, set[int]] = {}
        for viewer_id, author_id in followed:
            follows_of.setdefault(viewer_id, set()).add(author_id)
        regards_of: dict[int, dict[int, Regard]] = {}
        for (viewer_id, other), regard in regards.items():
            regards_of.setdefault(viewer_id, {})[other] = regard
        for look in batch:
            if not look.answer.done():
                viewer_id = look.viewer_id
                hydrated = Hydrated(
                    living, shown.retweeters, follows_of.get(viewer_id, set()), regards_of.get(viewer_id, {})
                )
                look.answer.set_result((_edge(look, hydrated), scene))


def _concerned(shown: Shown, entry_id: int) -> list[int]:
    """Whose standing with the viewer decides whether they see the entry."""
    tweet = shown.tweets.get(entry_id)
    if tweet is None:
        return []
    people = (tweet.author_id, shown.retweeters.get(entry_id), tweet.reply_author_id)
    return [person for person in people if person is not None]


def _edge(look: Look, hydrated: Hydrated) -> HomeEdge | None:
    kept = visible(look.viewer_id, [look.numbered.entry_id], hydrated)
    pulled = [look.numbered.author_id] if look.numbered.author_id else []
    return present(look.viewer_id, kept, hydrated, pulled)[0] if kept else None
