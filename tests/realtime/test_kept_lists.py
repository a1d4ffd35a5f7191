"""The lists that timelines are kept in: in order, each entry once, complete above their floor; of whatever is done."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datastore import ids
from realtime import keys
from realtime.compare_timelines import kept_entries
from realtime.fanout import Fanout
from realtime.scripts import Scripts
from tests.realtime.conftest import House

READER = 7
NAMES = (keys.timeline(READER), keys.presence(READER), keys.reader_stream(READER))

# Few enough to meet again, and of as many digits as there are.
entry = st.integers(0, 59).map(lambda number: ids.MAX_ID - 60 + number)
step = st.one_of(
    st.tuples(st.just("push"), entry),
    st.tuples(st.just("unpush"), entry),
    st.tuples(st.just("merge"), st.lists(entry, max_size=12), st.just(0) | entry),
    st.tuples(st.just("page"), st.none() | entry, st.integers(0, 20)),
)


class Told:
    """What must be kept: ten entries behind a trim, which a push above fourteen calls for, and the floor."""

    def __init__(self) -> None:
        self.floor = 0
        self.entries: set[int] = set()

    def push(self, entry: int) -> None:
        if entry > self.floor:
            self.entries.add(entry)
            self._trim(over=14)

    def unpush(self, entry: int) -> None:
        self.entries.discard(entry)

    def merge(self, entries: list[int], cut: int) -> None:
        self.floor = max(self.floor, cut)
        self.entries = {entry for entry in self.entries | set(entries) if entry > self.floor}
        self._trim(over=10)

    def page(self, before: int | None, count: int) -> list[int]:
        return [entry for entry in self.listed() if before is None or entry < before][:count]

    def listed(self) -> list[int]:
        return sorted(self.entries, reverse=True)

    def _trim(self, over: int) -> None:
        if len(self.entries) > over:
            self.floor = self.listed()[10]
            self.entries = {entry for entry in self.entries if entry > self.floor}


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(step, min_size=5, max_size=60))
async def test_whatever_is_done_a_list_holds_what_it_must_in_order(house: House, steps: list[Any]) -> None:
    told, scripts = Told(), Scripts(house.redis)
    await house.timelines.drop([READER])
    await house.timelines.page(READER, 1)
    for what, *given_ in steps:
        if what == "page":
            assert await page(scripts, *given_) == told.page(*given_)
            continue
        await done(house, scripts, what, *given_)
        getattr(told, what)(*given_)
        assert await kept_entries(house.redis, NAMES[0]) == (told.floor, told.listed())


async def done(house: House, scripts: Scripts, what: str, *given_: Any) -> None:
    if what == "merge":
        entries, cut = given_
        tag = keys.bucket(READER)
        await scripts.run("merge", NAMES, "", 10, 10, 1000, tag, READER, cut, *sorted(set(entries), reverse=True))
        return
    (number,) = given_
    await (house.fanout.push([READER], number) if what == "push" else house.fanout.unpush([READER], number, number))
    await house.fanout.flush()


async def page(scripts: Scripts, before: int | None, count: int) -> list[int]:
    end = "" if before is None else before
    _, _, _, entries, _ = await scripts.run("page", NAMES, end, count, 0, "", 1000, 60_000)
    return [int(one) for one in entries]


async def test_a_list_goes_on_living_as_long_as_it_would_have_without_a_merge(house: House) -> None:
    await house.timelines.page(READER, 1)
    await house.redis.pexpire(NAMES[0], 50_000)
    await done(house, Scripts(house.redis), "merge", [5, 6], 0)
    assert 0 < await house.redis.pttl(NAMES[0]) <= 50_000


async def test_pushes_of_one_moment_go_by_entry_and_what_else_is_done_keeps_its_place(house: House) -> None:
    await house.timelines.page(READER, 1, live=True)
    for number in (3, 1, 2):
        await house.fanout.push([READER], number)
    await house.fanout.unpush([READER], 2, 2)
    for number in (2, 1, 4):
        await house.fanout.push([READER], number)
    await house.fanout.flush()
    told = [fields["d"] for _, fields in await house.redis.xrange(NAMES[2])]
    assert told == ["+:1", "+:2", "+:3", "-:2:2", "+:2", "+:4"]


@pytest.mark.parametrize("what", ["page", "push", "unpush", "merge", "compare"])
async def test_a_sorted_set_of_the_version_before_is_no_timeline(house: House, what: str) -> None:
    (reader,) = house.people(1)
    tweet, name = await house.tweet(reader), keys.timeline(reader)
    await house.redis.zadd(name, {"floor": 0, "17": 17})
    if what == "compare":
        assert await kept_entries(house.redis, name) is None
        return
    if what == "page":
        assert (await house.timelines.page(reader, 5)).entry_ids == [tweet.id]
        assert await kept_entries(house.redis, name) == (0, [tweet.id])
        return
    await house.redis.hset(keys.presence(reader), "last", "a")
    fanout: Fanout = house.fanout
    if what == "merge":
        await house.timelines.merge(reader, reader)
    else:
        await (fanout.push([reader], tweet.id) if what == "push" else fanout.unpush([reader], tweet.id, tweet.id))
        await fanout.flush()
    # Whoever is present is told that they are not any longer, as where nothing is kept.
    assert await house.redis.exists(name, keys.presence(reader)) == 0
