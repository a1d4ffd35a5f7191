"""Ablated: steps of the product as they would be without one rule each. For tests/model/ablations.py only."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from datastore.entries import Entries
from datastore.events import Event
from datastore.users import Users
from realtime import handlers, keys, top_users
from realtime.handlers import Rooms
from realtime.hub import Hub
from realtime.reader import STATE_LOST, Chain, MissedBy, Reader, Said
from realtime.timelines import Names, Skeleton, Timelines
from realtime.top_users import TopUsers

_page = Timelines.page
_fill = Timelines.fill


async def cursor_last(
    self: Timelines, reader: int, first: int, before: int | None = None, live: bool = False
) -> Skeleton:
    skeleton = await _page(self, reader, first, before)
    return replace(skeleton, token=await self._live_token(reader) or "") if live else skeleton


async def read_before_claim(self: Timelines, names: Names, read: Callable[[int], Awaitable[list[int]]]) -> bool:
    limit = self.bounds.kept_entries
    entries = await read(limit)
    cut = entries[-1] - 1 if len(entries) == limit else 0
    if await self._scripts.run("build_begin", names[:1], "token", self.bounds.build_lease_ms) != "begun":
        return False
    head = ("token", limit, self.bounds.inactive_ms, cut)
    return bool(await self._scripts.run("build_finish", names, *head, *entries))


def any_next(self: Chain, previous: str, token: str, said: Said) -> None:
    self.queue.append((token, said))
    self.tail = token
    self.wake.call()


async def push_and_look_no_more(rooms: Rooms, author_id: int, entry_id: int, *_: Any) -> None:
    roads = await rooms.users.roads(author_id)
    if roads is None:
        return
    await rooms.fanout.push([author_id], entry_id)
    if roads.is_pulled(entry_id):
        await rooms.fanout.flush()
        await rooms.top_users.announce(author_id, entry_id)
        return
    async for followers in rooms.follows.walk_followers(author_id):
        await rooms.fanout.push(followers, entry_id)


async def unpush_the_tweet_alone(rooms: Rooms, event: Event) -> None:
    author_id = await rooms.tweets.author_of(event.subject_id)
    if author_id is not None:
        await handlers._unpush(rooms, author_id, event.subject_id, event.subject_id)


async def merge_plain_ones_alone(rooms: Rooms, event: Event) -> None:
    author_id, follower_id = event.subject_id, event.other_id
    roads = await rooms.users.roads(author_id)
    if roads and roads.is_top:
        await rooms.follows.flag(author_id, [follower_id], top=True)
        await rooms.fanout.follows_changed(follower_id)
    else:
        await rooms.timelines.merge(follower_id, author_id)
    await handlers._look_at_threshold(rooms, author_id, roads)


async def merge_unflagged(rooms: Rooms, event: Event) -> None:
    author_id, follower_id = event.subject_id, event.other_id
    await rooms.timelines.merge(follower_id, author_id)
    await handlers._look_at_threshold(rooms, author_id, await rooms.users.roads(author_id))


async def switch_before_flags(self: TopUsers, author_id: int) -> None:
    roads = await self._users.roads(author_id)
    if roads is None or roads.is_top or await self._followers(author_id, roads) <= self._threshold:
        return
    await self._users.switch(author_id, True, top_users._from_now(roads))
    async for followers in self._follows.walk_followers(author_id):
        await self._follows.flag(author_id, followers, top=True)


async def flags_before_merge(self: TopUsers, author_id: int) -> None:
    roads = await self._users.roads(author_id)
    if roads is None or (roads.is_top and await self._followers(author_id, roads) >= self._threshold):
        return
    async for followers in self._follows.walk_followers(author_id):
        await self._follows.flag(author_id, followers, top=False)
    await self._scripts.redis.unlink(keys.recent(author_id))
    await _demote(self, author_id)


_demote = TopUsers.demote


async def followers_before_switch(self: TopUsers, author_id: int) -> None:
    roads = await self._users.roads(author_id)
    if roads is None or (roads.is_top and await self._followers(author_id, roads) >= self._threshold):
        return
    found = [batch async for batch in self._follows.walk_followers(author_id)]
    newest = await self._entries.newest([author_id], self._bounds.kept_entries)
    if roads.is_top:
        await self._users.switch(author_id, False, top_users._from_now(roads))
        roads = await self._users.roads(author_id) or roads
    cut = newest[-1] - 1 if len(newest) == self._bounds.kept_entries else 0
    for followers in found:
        await self._timelines.fill(followers, [entry for entry in newest if roads.is_pulled(entry)], cut)
    for followers in found:
        await self._follows.flag(author_id, followers, top=False)


async def fill_nothing(self: Timelines, readers: Any, entries: Sequence[int], cut: int) -> None:
    await _fill(self, readers, (), 0)


_find_newest = Entries.find_newest


def nothing_of_ones_own(self: Entries, author_id: int, first: int, before: int | None = None) -> Any:
    # Nobody has this id.
    return _find_newest(self, -1, first, before)


def own_first(self: Reader) -> Chain | None:
    return self.own if self.own.queue else self.top if self.top.queue else None


def start_with_the_queue(self: Chain, position: str) -> None:
    self.position = self.tail = position
    self.doubt()


def own_unread(self: Reader) -> Chain | None:
    return self.own if self.own.queue and not self.top.queue else _next(self)


_next = Reader._next


def lower_head(self: Reader) -> Chain | None:
    if self.own.queue and self.top.queue:
        return min(self.own, self.top, key=lambda chain: chain.queue[0][1].entry_id)
    return _next(self)


async def switch_as_called(self: Users, user_id: int, top: bool, first_id: int) -> bool:
    change = {"$set": {"top": top}, "$push": {"switches": {"from": first_id, "top": top}}}
    result = await self._users.update_one({"_id": user_id, "top": not top}, change)
    return bool(result.modified_count)


async def believe_an_older_place(self: Reader, chain: Chain, missed_by: MissedBy) -> None:
    chain.stale, position = False, chain.position
    missed, last = await missed_by(self.reader_id, position)
    if missed is None:
        missed = [(last, STATE_LOST)]
        if chain is self.own:
            self.top.start(await self._source.top_position())
    chain.fill(missed, last)


async def newest_read_last(self: Hub, presence: str, stream: str, position: str, ttl_ms: int) -> Any:
    missed, newest = await _resume(self, presence, stream, position, ttl_ms)
    answer: Any = await self._resumes.get((presence, stream, position, ttl_ms, "+"))
    return missed, newest if missed is None or answer[0] == "lost" else answer[1]


_resume = Hub._resume
