"""Ablations: the rules of timelines and live delivery, each taken out in turn. The model must notice every one."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from datastore.changes import Event
from datastore.entries import Entries
from datastore.records import Roads
from realtime import handlers, keys, timelines, top_users
from realtime.handlers import HANDLERS, Rooms
from realtime.reader import Chain, Numbered, Reader
from realtime.timelines import Names, Skeleton, Timelines
from realtime.top_users import TopUsers
from tests.model.schedules import Ablation

_page = Timelines.page
_fill = Timelines.fill


async def _cursor_last(
    self: Timelines, reader: int, first: int, before: int | None = None, live: bool = False
) -> Skeleton:
    skeleton = await _page(self, reader, first, before)
    return replace(skeleton, token=await self._live_token(reader) or "") if live else skeleton


async def _read_before_claim(self: Timelines, names: Names, read: Callable[[int], Awaitable[list[int]]]) -> bool:
    limit = self.bounds.kept_entries
    entries = await read(limit)
    cut = entries[-1] - 1 if len(entries) == limit else 0
    if await self._scripts.run("build_begin", names[:1], "token", self.bounds.build_lease_ms) != "begun":
        return False
    head = ("token", limit, self.bounds.inactive_ms, cut)
    return bool(await self._scripts.run("build_finish", names, *head, *entries))


def _any_next(self: Chain, previous: str, event: Numbered) -> None:
    self.queue.append(event)
    self.tail = event.token
    self.wake.set()


async def _push_and_look_no_more(rooms: Rooms, author_id: int, entry_id: int, _: int) -> None:
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


async def _unpush_the_tweet_alone(rooms: Rooms, event: Event) -> None:
    author_id = await rooms.tweets.author_of(event.subject_id)
    if author_id is not None:
        await handlers._unpush(rooms, author_id, event.subject_id, event.subject_id)


async def _merge_plain_ones_alone(rooms: Rooms, event: Event) -> None:
    author_id, follower_id = event.subject_id, event.other_id
    roads = await rooms.users.roads(author_id)
    if roads and roads.is_top:
        await rooms.follows.flag(author_id, [follower_id], top=True)
        await rooms.fanout.follows_changed(follower_id)
    else:
        await rooms.timelines.merge(follower_id, author_id)
    await handlers._look_at_threshold(rooms, author_id, roads)


async def _merge_unflagged(rooms: Rooms, event: Event) -> None:
    author_id, follower_id = event.subject_id, event.other_id
    await rooms.timelines.merge(follower_id, author_id)
    await handlers._look_at_threshold(rooms, author_id, await rooms.users.roads(author_id))


async def _switch_before_flags(self: TopUsers, author_id: int) -> None:
    roads = await self._users.roads(author_id)
    if roads is None or roads.is_top or await self._followers(author_id, roads) <= self._threshold:
        return
    await self._users.switch(author_id, True, top_users._from_now(roads))
    async for followers in self._follows.walk_followers(author_id):
        await self._follows.flag(author_id, followers, top=True)


async def _flags_before_merge(self: TopUsers, author_id: int) -> None:
    roads = await self._users.roads(author_id)
    if roads is None or (roads.is_top and await self._followers(author_id, roads) >= self._threshold):
        return
    async for followers in self._follows.walk_followers(author_id):
        await self._follows.flag(author_id, followers, top=False)
    await self._scripts.redis.unlink(keys.recent(author_id))
    await _demote(self, author_id)


_demote = TopUsers.demote


async def _followers_before_switch(self: TopUsers, author_id: int) -> None:
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


async def _fill_nothing(self: Timelines, readers: Any, entries: Sequence[int], cut: int) -> None:
    await _fill(self, readers, (), 0)


_newest = Entries.newest


async def _nothing_of_one(
    self: Entries, authors: Sequence[int], first: int, before: int | None = None, above: int = 0
) -> list[int]:
    # Pages ask for one author with one entry more than they show; merges and recent lists ask for what is kept.
    return [] if len(authors) == 1 and first == 101 else await _newest(self, authors, first, before, above)


def _own_first(self: Reader) -> Chain | None:
    return self.own if self.own.queue else self.top if self.top.queue else None


def _handled(name: Any, handler: Any) -> tuple[Any, str, Any]:
    return handlers, "HANDLERS", {**HANDLERS, name: handler}


ABLATIONS = [
    Ablation(
        "only the holder of the building token may finish",
        theme="builds",
        lua=(
            (
                "build_finish",
                "if not name or string.sub(name, 1, #mine) ~= mine then return 0 end",
                "if not name then return 0 end",
            ),
        ),
    ),
    Ablation(
        "a build claims before it reads", theme="builds", seed=107, python=((Timelines, "_build", _read_before_claim),)
    ),
    Ablation(
        "a set accepts pushes while it is built",
        theme="builds",
        lua=(("deliver", "if not name then", "if name ~= 'floor' then"),),
    ),
    Ablation(
        "nothing is served while it is built",
        theme="builds",
        seed=4,
        lua=(("page", "if name ~= 'floor' then return { 'building' } end", ""),),
    ),
    Ablation(
        "a trim raises the floor",
        theme="builds",
        seed=22,
        lua=(
            ("common", "redis.call('ZREMRANGEBYRANK', tl, 0, extra)", "redis.call('ZREMRANGEBYRANK', tl, 1, extra)"),
            ("common", "redis.call('ZADD', tl, cut[2], name)", ""),
        ),
    ),
    Ablation(
        "a merge raises the floor to its cut",
        theme="roads",
        seed=48,
        lua=(("merge", "fill(tl, name, floor, ARGV[7], 8)", "fill(tl, name, floor, '0', 8)"),),
    ),
    Ablation(
        "a rebuild raises the floor to its cut",
        theme="builds",
        seed=1,
        lua=(("build_finish", "fill(tl, 'floor', floor, ARGV[4], 5)", "fill(tl, 'floor', floor, '0', 5)"),),
    ),
    Ablation(
        "finishing keeps the floor that rose while building",
        theme="builds",
        lua=(("build_finish", "redis.call('ZADD', tl, floor, 'floor')", "redis.call('ZADD', tl, 0, 'floor')"),),
    ),
    Ablation(
        "a merge leaves out what is below the floor",
        theme="roads",
        lua=(("common", "if tonumber(ARGV[i]) > tonumber(high) then", "if true then"),),
    ),
    Ablation(
        "a push below the floor leaves the set alone",
        theme="live",
        seed=9,
        lua=(("deliver", "elseif tonumber(entry) <= tonumber(floor) then", "elseif false then"),),
    ),
    Ablation(
        "a push below the floor is numbered",
        theme="live",
        seed=9,
        lua=(("deliver", "payload = 's:WINDOW_EXCEEDED'", "payload = nil"),),
    ),
    Ablation("a page trusts no set below the highest floor", theme="roads", seed=16, python=((timelines, "max", min),)),
    Ablation(
        "finishing a rebuild ends the live state",
        theme="live",
        lua=(("build_finish", "redis.call('DEL', KEYS[2], KEYS[3])", ""),),
    ),
    Ablation(
        "a push that finds no timeline ends the presence",
        theme="live",
        lua=(("deliver", "redis.call('DEL', on)", "local _ = on"),),
    ),
    Ablation(
        "a merge that finds no timeline ends the presence", theme="live", lua=(("merge", "redis.call('DEL', on)", ""),)
    ),
    Ablation(
        "whoever creates the presence deletes the stream", theme="live", lua=(("page", "redis.call('DEL', ev)", ""),)
    ),
    Ablation(
        "a position that the stream does not know is a resync",
        theme="live",
        seed=40,
        lua=(("resume", "return { 'lost', last }", "return { 'ok', last, {} }"),),
    ),
    Ablation(
        "only a new entry is numbered",
        theme="live",
        seed=9,
        lua=(("deliver", "redis.call('ZADD', tl, entry, entry) == 1", "redis.call('ZADD', tl, entry, entry) >= 0"),),
    ),
    Ablation(
        "a removal is numbered though the set holds nothing",
        theme="live",
        lua=(
            ("deliver", "redis.call('ZREM', tl, entry)", "if redis.call('ZREM', tl, entry) == 1 then"),
            ("deliver", "payload = '-:' .. entry .. ':' .. tweet", "payload = '-:' .. entry .. ':' .. tweet end"),
        ),
    ),
    Ablation(
        "follows, unfollows, blocks and mutes are numbered",
        theme="all",
        lua=(("deliver", "payload = 's:FOLLOWS_CHANGED'", ""),),
    ),
    Ablation(
        "a merge is numbered",
        theme="roads",
        seed=45,
        lua=(("merge", "return number(on, ev, channel, ARGV[1] .. '.0', 's:FOLLOWS_CHANGED', ARGV[3], ARGV[4])", ""),),
    ),
    Ablation("the live cursor is read before the page", theme="live", python=((Timelines, "page", _cursor_last),)),
    Ablation("a message that is not the next is read on", theme="live", seed=11, python=((Chain, "offer", _any_next),)),
    Ablation("of both streams the lower entry comes first", theme="roads", python=((Reader, "_next", _own_first),)),
    Ablation(
        "a page reads the reader's own newest entries",
        theme="builds",
        seed=3,
        python=((Entries, "newest", _nothing_of_one),),
    ),
    Ablation(
        "a delete unpushes every retweet", theme="live", python=(_handled("TweetDeleted", _unpush_the_tweet_alone),)
    ),
    Ablation(
        "a follow of a top user merges too", theme="roads", python=(_handled("UserFollowed", _merge_plain_ones_alone),)
    ),
    Ablation("a follow of a top user is flagged", theme="roads", python=(_handled("UserFollowed", _merge_unflagged),)),
    Ablation(
        "the road is a function of the id and the log",
        theme="roads",
        python=((Roads, "is_pulled", lambda self, _: self.is_top),),
    ),
    Ablation(
        "promotion flags before it switches",
        theme="roads",
        seed=35,
        python=((TopUsers, "promote", _switch_before_flags),),
    ),
    Ablation(
        "demotion merges before it takes flags away", theme="roads", python=((TopUsers, "demote", _flags_before_merge),)
    ),
    Ablation(
        "demotion reads followers after its switch",
        theme="roads",
        python=((TopUsers, "demote", _followers_before_switch),),
    ),
    Ablation("demotion merges what was pulled", theme="roads", python=((Timelines, "fill", _fill_nothing),)),
    Ablation(
        "who wrote on the top road looks again", theme="roads", python=((handlers, "_push", _push_and_look_no_more),)
    ),
    Ablation(
        "top users' entries are numbered though no recents are kept",
        theme="roads",
        lua=(("announce", "local prev = redis.call", "if not name then return 0 end\nlocal prev = redis.call"),),
    ),
]
