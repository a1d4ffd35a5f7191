"""Top users: authors with too many followers to be fanned out. Their entries go to one recent list each and to one
shared live stream, and are merged into pages at read. Never reads tweet bodies.

Switching opens the new road before it closes the old one. Promotion: flag every follow (pages read the recent list),
then the switch in the author's log (new entries are no longer pushed). Demotion: the switch (new entries are pushed
again), then merge what was not pushed into every follower's timeline, then take the flags away. One worker at a time
handles an author's events; one that was taken for dead may end late, so both set right the flags behind their switch.
"""

from collections.abc import Sequence

from datastore import ids
from datastore.entries import Entries
from datastore.events import Event, EventName
from datastore.follows import Follows
from datastore.records import Roads
from datastore.users import Users
from realtime import keys
from realtime.scripts import Scripts, fresh_token
from realtime.timelines import Timelines

# Every process and every resume reads from one stream, so it reaches further back than a reader's own.
TOP_EVENTS_KEPT = 10_000
# So far from the threshold a counter is believed: more follows than this are never under way at once for one author.
COUNTED_WITHIN = 100


class TopUsers:
    """Who takes the top road, and what travels on it."""

    def __init__(
        self, scripts: Scripts, users: Users, follows: Follows, entries: Entries, timelines: Timelines, threshold: int
    ) -> None:
        self._scripts = scripts
        self._users = users
        self._follows = follows
        self._entries = entries
        self._timelines = timelines
        self._threshold = threshold
        self._bounds = timelines.bounds

    async def crossing(self, author_id: int, roads: Roads) -> Event | None:
        """The event to raise if the author is on the wrong road: promoted above the threshold, demoted below it; at
        exactly the threshold nobody changes."""
        followers = await self._followers(author_id, roads)
        bucket = ids.spread(author_id, ids.AUTHOR_BUCKETS)
        if not roads.is_top and followers > self._threshold:
            return Event(EventName.USER_PROMOTED, bucket, author_id)
        if roads.is_top and followers < self._threshold:
            return Event(EventName.USER_DEMOTED, bucket, author_id)
        return None

    async def _followers(self, author_id: int, roads: Roads) -> int:
        """The counter, or near the threshold the edges: a counter moves only after its edge, and nobody would look
        again."""
        if abs(roads.follower_count - self._threshold) > COUNTED_WITHIN:
            return roads.follower_count
        return await self._follows.count_followers(author_id, self._threshold + 2)

    async def promote(self, author_id: int) -> None:
        """Put the author's coming entries on the top road. Idempotent; nothing if they no longer qualify."""
        roads = await self._users.roads(author_id)
        if roads is None or roads.is_top or await self._followers(author_id, roads) <= self._threshold:
            return
        await self._flag_all(author_id, top=True)
        await self._users.switch(author_id, True, _from_now(roads))
        # NOTE: again. Held up until others took us for dead and went on, we switch behind follows whose handlers saw
        # the plain road: theirs would be top users nobody pulls (the model found it).
        await self._flag_all(author_id, top=True)

    async def demote(self, author_id: int) -> None:
        """Put the author's coming entries back on the plain road, and what was pulled so far into the timelines.
        Idempotent: a demotion that died is finished by the next call."""
        roads = await self._users.roads(author_id)
        if roads is None or (roads.is_top and await self._followers(author_id, roads) >= self._threshold):
            return
        if roads.is_top:
            await self._users.switch(author_id, False, _from_now(roads))
            roads = await self._users.roads(author_id) or roads
        limit = self._bounds.kept_entries
        newest = await self._entries.newest([author_id], limit)
        cut = newest[-1] - 1 if len(newest) == limit else 0
        pulled = [entry for entry in newest if roads.is_pulled(entry)]
        async for followers in self._follows.walk_followers(author_id):
            await self._timelines.fill(followers, pulled, cut)
        await self._flag_all(author_id, top=False)
        await self._scripts.redis.unlink(keys.recent(author_id))
        # NOTE: for the same reason: whoever went on without us may have promoted them again, and the flags were theirs.
        roads = await self._users.roads(author_id)
        if roads and roads.is_top:
            await self._flag_all(author_id, top=True)

    async def _flag_all(self, author_id: int, top: bool) -> None:
        async for followers in self._follows.walk_followers(author_id):
            await self._follows.flag(author_id, followers, top=top)

    async def announce(self, author_id: int, entry_id: int) -> None:
        """A new entry on the top road: a constant number of writes, whoever follows."""
        await self._announce(author_id, "+", entry_id, f"+:{entry_id}:0:{author_id}")

    async def withdraw(self, author_id: int, entry_id: int, tweet_id: int) -> None:
        """An entry of the top road is gone."""
        await self._announce(author_id, "-", entry_id, f"-:{entry_id}:{tweet_id}:{author_id}")

    async def _announce(self, author_id: int, op: str, entry_id: int, payload: str) -> None:
        names = [keys.recent(author_id), keys.TOP_PRESENCE, keys.TOP_STREAM]
        bounds = (self._bounds.kept_entries, self._bounds.trim_at, TOP_EVENTS_KEPT, keys.TOP_CHANNEL)
        await self._scripts.run_each("announce", [(names, (fresh_token(), op, entry_id, payload, *bounds))])

    async def promote_all(self) -> Sequence[int]:
        """Promote everybody who is due, without an event each: after an import."""
        due = await self._users.due(self._threshold)
        for author_id in due:
            await self.promote(author_id)
        return due


def _from_now(roads: Roads) -> int:
    """The first id of a new switch: now, and behind every switch before."""
    last = roads.switches[-1][0] if roads.switches else 0
    return max(ids.first_at(ids.now_ms()), last + 1)
