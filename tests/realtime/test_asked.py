"""What handlers of a batch ask at the same moment is asked once, behind all of them, and answered to each."""

import asyncio
from collections.abc import Mapping

import pytest

from datastore import ids
from datastore.joined import KEYS_AT_ONCE, TURNS, Joined
from tests.realtime.conftest import House


class Read:
    """A read that tells what it was asked for, and waits to be let go on."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails: Exception | None = None

    async def __call__(self, keys: list[int]) -> Mapping[int, str]:
        self.asked.append(keys)
        await self.gate.wait()
        if self.fails:
            raise self.fails
        return {key: f"of {key}" for key in keys if key != 404}


async def test_questions_of_one_moment_are_one_read_and_each_has_its_answer() -> None:
    read = Read()
    joined = Joined(read)
    assert await asyncio.gather(*map(joined.get, (1, 2, 1, 404))) == ["of 1", "of 2", "of 1", None]
    assert read.asked == [[1, 2, 404]]


async def test_a_question_is_never_answered_by_a_read_that_had_begun_before_it() -> None:
    read = Read()
    joined = Joined(read)
    read.gate.clear()
    first = asyncio.create_task(joined.get(1))
    while not read.asked:
        await asyncio.sleep(0)
    second = asyncio.create_task(joined.get(1))
    while len(read.asked) < 2:
        await asyncio.sleep(0)
    read.gate.set()
    assert [await first, await second] == ["of 1", "of 1"]
    assert read.asked == [[1], [1]]


async def test_a_read_that_fails_fails_all_who_asked_and_nobody_after_them() -> None:
    read = Read()
    joined, read.fails = Joined(read), ConnectionError("away")
    answers = await asyncio.gather(joined.get(1), joined.get(2), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["away", "away"]
    read.fails = None
    assert await joined.get(1) == "of 1"


async def test_who_leaves_takes_no_answer_from_the_others() -> None:
    read = Read()
    joined = Joined(read)
    read.gate.clear()
    leaving, staying = asyncio.create_task(joined.get(1)), asyncio.create_task(joined.get(1))
    while not read.asked:
        await asyncio.sleep(0)
    leaving.cancel()
    read.gate.set()
    assert await staying == "of 1"
    assert leaving.cancelled()


async def test_more_questions_than_a_round_trip_takes_are_several_reads() -> None:
    read = Read()
    joined = Joined(read)
    await asyncio.gather(*map(joined.get, range(1000, 1001 + KEYS_AT_ONCE)))
    assert [len(keys) for keys in read.asked] == [KEYS_AT_ONCE, 1]


async def test_of_many_questions_so_many_reads_are_under_way_and_the_rest_go_together() -> None:
    read = Read()
    joined = Joined(read, keys_at_once=3, at_once=1)
    read.gate.clear()
    first = asyncio.create_task(joined.get(1))
    while not read.asked:
        await asyncio.sleep(0)
    others = [asyncio.create_task(joined.get(key)) for key in (1, 2, 3, 4)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert read.asked == [[1]]
    read.gate.set()
    assert await asyncio.gather(first, *others) == ["of 1", "of 1", "of 2", "of 3", "of 4"]
    assert read.asked == [[1], [1, 2, 3], [4]]


async def test_where_one_read_goes_at_a_time_it_waits_some_turns_for_company() -> None:
    read = Read()
    joined = Joined(read, at_once=1)
    first = asyncio.create_task(joined.get(1))
    for _ in range(TURNS):
        await asyncio.sleep(0)
    second = joined.ask(2)
    assert [await second, await first] == ["of 2", "of 1"]
    assert read.asked == [[1, 2]]


async def test_a_read_that_hangs_is_waited_for_by_those_alone_who_asked_for_it() -> None:
    read = Read()
    joined = Joined(read, at_once=1, patience_seconds=0.01)
    read.gate.clear()
    hanging = asyncio.create_task(joined.get(1))
    while not read.asked:
        await asyncio.sleep(0)
    asked, read.gate = read.gate, asyncio.Event()
    read.gate.set()
    assert await joined.get(2) == "of 2"
    assert not hanging.done()
    asked.set()
    assert await hanging == "of 1"


async def test_who_has_left_before_a_read_begins_is_asked_for_no_longer() -> None:
    read = Read()
    joined = Joined(read, at_once=1)
    read.gate.clear()
    first = asyncio.create_task(joined.get(1))
    while not read.asked:
        await asyncio.sleep(0)
    leaving, staying = asyncio.create_task(joined.get(2)), asyncio.create_task(joined.get(3))
    for _ in range(3):
        await asyncio.sleep(0)
    leaving.cancel()
    read.gate.set()
    assert [await first, await staying] == ["of 1", "of 3"]
    assert read.asked == [[1], [3]]


async def test_followers_of_several_authors_come_together_as_far_as_a_round_trip_goes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob, cid, *readers = house.people(8)
    for author, followers in ((ann, readers[:2]), (bob, readers), (cid, readers[:1])):
        for reader in followers:
            await house.follows.add(reader, author, ids.now_ms())
    found = await house.follows.followers_of([ann, bob, cid, readers[0]])
    assert {author: sorted(followers) for author, followers in found.items()} == {
        ann: readers[:2],
        bob: readers,
        cid: readers[:1],
        readers[0]: [],
    }
    # Two of them fit; of the second nobody knows whether all are there.
    monkeypatch.setattr("datastore.follows.EDGES_AT_ONCE", 4)
    assert await house.follows.followers_of([ann, bob, cid]) == {ann: found[ann]}
    assert await house.rooms.asked.followers(bob) is None
    assert await house.rooms.asked.followers(cid) == readers[:1]
