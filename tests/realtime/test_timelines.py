"""Timelines: kept sets with a floor, rebuilt on a miss, never trusted below it."""

import asyncio

from datastore import ids
from realtime import keys
from realtime.compare_timelines import kept_entries
from realtime.scripts import Scripts
from tests.realtime.conftest import House

DAY_MS = 24 * 3600 * 1000


async def posted(house: House, author: int, count: int) -> list[int]:
    """Ids of tweets one second apart, the newest now, oldest first."""
    start = ids.now_ms() - count * 1000
    return [(await house.tweet(author, start + number * 1000)).id for number in range(count)]


async def members(house: House, reader: int) -> list[str]:
    """The sentinel without its floor, and the entries, oldest first."""
    rows = await house.redis.lrange(keys.timeline(reader), 0, -1)
    return [*(row.rpartition(":")[0] for row in rows[-1:]), *rows[-2::-1]]


async def floor_of(house: House, reader: int) -> int:
    kept = await kept_entries(house.redis, keys.timeline(reader))
    assert kept
    return kept[0]


async def test_a_rebuild_keeps_the_newest_and_says_so_with_its_floor(house: House) -> None:
    reader, author = house.people(2)
    await house.follows.add(reader, author, ids.now_ms())
    tweets = await posted(house, author, 25)
    page = await house.timelines.page(reader, 5)
    assert page.entry_ids == tweets[:-6:-1]
    assert page.more
    assert await members(house, reader) == ["floor", *map(str, tweets[-10:])]
    assert await floor_of(house, reader) == tweets[-10] - 1


async def test_a_page_crosses_the_floor_without_a_hole_or_a_repeat(house: House) -> None:
    reader, author, other = house.people(3)
    await house.follows.add(reader, author, ids.now_ms())
    await house.follows.add(reader, other, ids.now_ms())
    everything = sorted([*await posted(house, author, 25), *await posted(house, other, 25)], reverse=True)
    for first in (1, 3, 10, 11, 49, 50):
        seen: list[int] = []
        before = None
        while True:
            page = await house.timelines.page(reader, first, before)
            seen += page.entry_ids
            if not page.more:
                break
            before = page.entry_ids[-1]
        assert seen == everything


async def test_a_small_timeline_is_complete_and_asks_mongodb_for_nothing_older(house: House) -> None:
    reader, author = house.people(2)
    await house.follows.add(reader, author, ids.now_ms())
    tweets = await posted(house, author, 3)
    page = await house.timelines.page(reader, 5)
    assert (page.entry_ids, page.more) == (tweets[::-1], False)
    assert await floor_of(house, reader) == 0


async def test_pushes_go_only_to_timelines_that_are_kept(house: House) -> None:
    kept, missing, author = house.people(3)
    await house.timelines.page(kept, 5)
    tweet = await house.tweet(author)
    await house.fanout.push([kept, missing], tweet.id)
    await house.fanout.flush()
    assert await members(house, kept) == ["floor", str(tweet.id)]
    assert await members(house, missing) == []


async def test_a_trim_raises_the_floor_to_the_highest_that_goes(house: House) -> None:
    reader, author = house.people(2)
    await house.timelines.page(reader, 5)
    tweets = await posted(house, author, 15)
    for tweet in tweets[:14]:
        await house.fanout.push([reader], tweet)
    await house.fanout.flush()
    assert len(await members(house, reader)) == 15
    await house.fanout.push([reader], tweets[14])
    await house.fanout.flush()
    assert await members(house, reader) == ["floor", *map(str, tweets[-10:])]
    assert await floor_of(house, reader) == tweets[4]


async def test_a_push_below_the_floor_changes_nothing(house: House) -> None:
    reader, author = house.people(2)
    await house.follows.add(reader, author, ids.now_ms())
    await posted(house, author, 12)
    await house.timelines.page(reader, 5)
    before = await members(house, reader)
    await house.fanout.push([reader], ids.new(ids.now_ms() - DAY_MS, author))
    await house.fanout.flush()
    assert await members(house, reader) == before


async def test_pushing_and_unpushing_twice_is_doing_it_once(house: House) -> None:
    reader, author = house.people(2)
    await house.timelines.page(reader, 5)
    tweet = await house.tweet(author)
    for _ in range(2):
        await house.fanout.push([reader], tweet.id)
    await house.fanout.flush()
    assert await members(house, reader) == ["floor", str(tweet.id)]
    for _ in range(2):
        await house.fanout.unpush([reader], tweet.id, tweet.id)
    await house.fanout.flush()
    assert await members(house, reader) == ["floor"]


async def test_a_merge_brings_entries_above_the_floor_and_raises_it_where_it_was_cut(house: House) -> None:
    reader, author, prolific = house.people(3)
    await house.follows.add(reader, author, ids.now_ms())
    own = await posted(house, author, 4)
    await house.timelines.page(reader, 5)
    await house.follows.add(reader, prolific, ids.now_ms())
    many = await posted(house, prolific, 30)
    await house.timelines.merge(reader, prolific)
    everything = sorted([*own, *many], reverse=True)
    assert (await house.timelines.page(reader, 34)).entry_ids == everything
    floor = await floor_of(house, reader)
    kept = [int(member) for member in (await members(house, reader))[1:]]
    assert kept == sorted(entry for entry in everything if entry > floor)


async def test_a_push_during_a_build_is_kept_and_nothing_is_served_meanwhile(house: House) -> None:
    reader, author = house.people(2)
    scripts = Scripts(house.redis)
    names = (keys.timeline(reader), keys.presence(reader), keys.reader_stream(reader))
    assert await scripts.run("build_begin", names[:1], "mine", 5000) == "begun"
    tweet = await house.tweet(author)
    await house.fanout.push([reader], tweet.id)
    await house.fanout.flush()
    assert await scripts.run("build_begin", names[:1], "other", 5000) == "building"
    assert await scripts.run("page", names, "", 5, 1, "token", 1000, 1000) == ["building"]
    assert await scripts.run("build_finish", names, "other", 10, 60_000, 0) == 0
    assert await scripts.run("build_finish", names, "mine", 10, 60_000, 0) == 1
    assert await members(house, reader) == ["floor", str(tweet.id)]


async def test_a_dead_builder_is_taken_over_and_may_not_finish(house: House) -> None:
    (reader,) = house.people(1)
    scripts = Scripts(house.redis)
    names = (keys.timeline(reader), keys.presence(reader), keys.reader_stream(reader))
    await scripts.run("build_begin", names[:1], "dead", 0)
    assert await scripts.run("build_begin", names[:1], "alive", 5000) == "begun"
    assert await scripts.run("build_finish", names, "dead", 10, 60_000, 0) == 0
    assert await scripts.run("build_finish", names, "alive", 10, 60_000, 0) == 1


async def test_pages_come_from_mongodb_while_somebody_else_builds(house: House) -> None:
    reader, author = house.people(2)
    await house.follows.add(reader, author, ids.now_ms())
    tweets = await posted(house, author, 3)
    await Scripts(house.redis).run("build_begin", [keys.timeline(reader)], "elsewhere", 60_000)
    page = await house.timelines.page(reader, 5, live=True)
    assert (page.entry_ids, page.token) == (tweets[::-1], "")


async def test_many_first_readers_in_one_process_build_once(house: House) -> None:
    reader, author = house.people(2)
    await house.follows.add(reader, author, ids.now_ms())
    tweets = await posted(house, author, 3)
    pages = await asyncio.gather(*(house.timelines.page(reader, 5) for _ in range(50)))
    assert all(page.entry_ids == tweets[::-1] for page in pages)


async def test_presence_is_made_beside_a_served_timeline_and_dies_with_a_rebuild(house: House) -> None:
    (reader,) = house.people(1)
    page = await house.timelines.page(reader, 5, live=True)
    assert page.token
    assert (await house.timelines.page(reader, 5, live=True)).token == page.token
    assert (await house.timelines.page(reader, 5)).token == ""
    await house.redis.unlink(keys.timeline(reader))
    assert (await house.timelines.page(reader, 5, live=True)).token not in ("", page.token)


async def test_a_push_that_finds_presence_without_a_timeline_ends_the_presence(house: House) -> None:
    reader, author = house.people(2)
    await house.timelines.page(reader, 5, live=True)
    await house.redis.unlink(keys.timeline(reader))
    await house.fanout.push([reader], (await house.tweet(author)).id)
    await house.fanout.flush()
    assert not await house.redis.exists(keys.presence(reader))


async def test_numbered_events_form_one_chain_from_the_page_on(house: House) -> None:
    reader, author = house.people(2)
    position = (await house.timelines.page(reader, 5, live=True)).token.split("/")[0]
    tweets = await posted(house, author, 5)
    for tweet in tweets:
        await house.fanout.push([reader], tweet)
        await house.fanout.flush()
    await house.fanout.unpush([reader], tweets[0], tweets[0])
    await house.fanout.follows_changed(reader)
    await house.fanout.flush()
    entries = await house.redis.xrange(keys.reader_stream(reader))
    for _, fields in entries:
        assert fields["p"] == position
        position = fields["t"]
    assert [fields["d"] for _, fields in entries] == [
        *(f"+:{tweet}" for tweet in tweets),
        f"-:{tweets[0]}:{tweets[0]}",
        "s:FOLLOWS_CHANGED",
    ]
    assert await house.redis.hget(keys.presence(reader), "last") == position


async def test_ids_keep_all_their_digits_in_redis(house: House) -> None:
    (reader,) = house.people(1)
    await house.timelines.page(reader, 5)
    # Odd numbers near 2**53: one digit lost would show.
    entries = [ids.MAX_ID - 2 * number for number in range(20)]
    await house.fanout.push([reader], entries[0])
    for entry in entries[1:]:
        await house.fanout.push([reader], entry)
    await house.fanout.flush()
    assert (await members(house, reader))[1:] == [str(entry) for entry in sorted(entries)[-10:]]
