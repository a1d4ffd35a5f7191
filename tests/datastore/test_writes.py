"""What requests write at the same time they send together, and each is told what became of their own."""

import asyncio
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import WriteConcern

from datastore import ids
from datastore.follows import Follows
from datastore.likes import Likes
from datastore.mongo import _WRITES, Doc, DuplicateKeyError, Mongo, PyMongoError, is_outage, within
from datastore.tweets import Tweets, new_doc
from datastore.writes import WRITES_AT_ONCE, Shared

NOW_MS = 1_780_000_000_000
# Longer than anything here takes, but for what hangs.
PATIENCE = 30
DUPLICATE = "duplicate"


class Held:
    """A collection whose writes wait until they are let go, however long."""

    def __init__(self, collection: Any, open_: bool = False) -> None:
        self._collection = collection
        self.sent: list[str] = []
        self.open = asyncio.Event()
        if open_:
            self.open.set()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._collection, name)

        async def held(*args: Any, **options: Any) -> Any:
            self.sent.append(name)
            await self.open.wait()
            return await call(*args, **options)

        return held if name in ("insert_one", "insert_many", "update_one", "bulk_write") else call

    async def has_sent(self, count: int) -> None:
        """Wait until so many commands have come."""
        async with asyncio.timeout(PATIENCE):
            while len(self.sent) < count:
                await asyncio.sleep(0)


def shared(collection: Any) -> Shared:
    return Shared(collection, _WRITES, partial(within, PATIENCE))


def doc(number: int, by: int = 0) -> Doc:
    return {"_id": {"t": number, "u": 1}, "at": NOW_MS, "by": by}


async def told(call: Coroutine[Any, Any, None]) -> Any:
    """What came of a write, in a word."""
    try:
        await call
    except DuplicateKeyError:
        return DUPLICATE
    return None


async def written(mongo: Mongo) -> dict[int, int]:
    """Who wrote each document."""
    return {one["_id"]["t"]: one["by"] async for one in mongo.likes.find({})}


async def test_inserts_of_one_moment_are_one_command_and_who_comes_second_is_the_only_one_refused(mongo: Mongo) -> None:
    held = Held(mongo.db["likes"], open_=True)
    lane = shared(held)
    await lane.insert_one(doc(3, by=99))
    outcomes = await asyncio.gather(*(told(lane.insert_one(doc(n, by=n))) for n in (1, 2, 3, 4, 4, 5)))
    assert outcomes == [None, None, DUPLICATE, None, DUPLICATE, None]
    assert await written(mongo) == {1: 1, 2: 2, 3: 99, 4: 4, 5: 5}
    assert held.sent == ["insert_one", "insert_many"]


async def test_tweets_likes_and_follows_of_one_moment_share_their_writes_and_each_counts(mongo: Mongo) -> None:
    people = [{"_id": n, "name_key": f"p{n}", "tweets": 0, "followers": 0, "following": 0} for n in range(1, 9)]
    await mongo.users.insert_many(people)
    tweet_id = ids.new(NOW_MS, 1)
    await mongo.tweets.insert_one(new_doc(tweet_id, 1, "like me"))
    tweets, likes, follows = Tweets(mongo), Likes(mongo), Follows(mongo)
    tweets._tweets = shared(seen := Held(mongo.db["tweets"], open_=True))
    follows._users = shared(counting := Held(mongo.db["users"], open_=True))
    calls: list[Any] = [tweets.add(n, f"from {n}", NOW_MS + n) for n in range(1, 9)]
    calls += [likes.add(n, tweet_id, NOW_MS) for n in range(1, 9)]
    calls += [follows.add(n, 1, NOW_MS) for n in range(2, 9)]
    await asyncio.gather(*calls)
    assert (seen.sent, counting.sent) == (["insert_many"], ["bulk_write"])
    counted = await mongo.users.find({}).sort("_id", 1).to_list(None)
    assert [(one["tweets"], one["followers"], one["following"]) for one in counted] == [(1, 7, 0), *[(1, 0, 1)] * 7]
    liked = await mongo.tweets.find_one({"_id": tweet_id})
    assert liked
    # The author's own like engages nobody.
    assert (liked["likes"], liked["engagement"]) == (8, 7)


@pytest.mark.parametrize("sent", [False, True])
async def test_who_gives_up_takes_nobody_along_whether_their_write_was_sent_or_not(mongo: Mongo, sent: bool) -> None:
    held = Held(mongo.db["likes"])
    lane = shared(held)

    async def hasty() -> None:
        with within(0.05):
            await lane.insert_one(doc(1))

    if not sent:  # somebody else's command is in the way
        first = asyncio.create_task(lane.insert_one(doc(9)))
        await held.has_sent(1)
    # The hasty one asks first: the command that they share must not have their deadline.
    hasty_, leaving, staying = (
        asyncio.create_task(one) for one in (hasty(), lane.insert_one(doc(2)), lane.insert_one(doc(3)))
    )
    if sent:
        await held.has_sent(1)
    else:
        await asyncio.sleep(0)
    leaving.cancel()
    (overdue,) = await asyncio.gather(hasty_, return_exceptions=True)
    assert is_outage(overdue)
    held.open.set()
    async with asyncio.timeout(PATIENCE):
        await staying
        if not sent:
            await first
    assert leaving.cancelled()
    # What was sent is written, as it would be had it been sent alone.
    assert set(await written(mongo)) == ({1, 2, 3} if sent else {3, 9})


async def test_a_command_that_hangs_holds_up_nobody_who_has_no_part_in_it(mongo: Mongo) -> None:
    held = Held(mongo.db["likes"])
    lane = shared(held)
    hanging = asyncio.create_task(lane.insert_one(doc(1)))
    await held.has_sent(1)
    later = asyncio.create_task(lane.insert_one(doc(2)))
    await held.has_sent(2)
    assert not hanging.done()
    held.open.set()
    await asyncio.gather(hanging, later)
    assert held.sent == ["insert_one", "insert_one"]


async def test_what_comes_while_a_command_is_under_way_goes_with_the_next_ones_each_of_a_bounded_size(
    mongo: Mongo,
) -> None:
    held = Held(mongo.db["likes"])
    lane = shared(held)
    first = asyncio.create_task(lane.insert_one(doc(0)))
    await held.has_sent(1)
    others = [asyncio.create_task(lane.insert_one(doc(n))) for n in range(1, WRITES_AT_ONCE + 2)]
    await asyncio.sleep(0)
    held.open.set()
    await asyncio.gather(first, *others)
    assert held.sent == ["insert_one", "insert_many", "insert_one"]
    assert len(await written(mongo)) == WRITES_AT_ONCE + 2


async def test_that_no_majority_confirmed_it_is_told_to_all_who_were_not_refused_themselves(mongo: Mongo) -> None:
    # The set has one member.
    lane = shared(mongo.db.get_collection("likes", write_concern=WriteConcern(2)))
    await mongo.likes.insert_one(doc(2, by=99))
    found = await asyncio.gather(*(lane.insert_one(doc(n)) for n in (1, 2, 3)), return_exceptions=True)
    assert [isinstance(one, DuplicateKeyError) for one in found] == [False, True, False]
    assert all(isinstance(one, PyMongoError) for one in found)
    found = await asyncio.gather(*(lane.move_one(doc(n), {"$inc": {"by": 1}}) for n in (1, 3)), return_exceptions=True)
    assert all(isinstance(one, PyMongoError) for one in found)


async def test_what_mongodb_refuses_as_a_whole_is_told_to_all_who_shared_it_and_to_nobody_else(mongo: Mongo) -> None:
    found = await asyncio.gather(
        mongo.likes.move_one({"_id": 1}, {"$set": {"x": 1}}),
        mongo.likes.move_one({"_id": 1}, {"$nothing": {"x": 1}}),
        mongo.likes.move_one({"_id": 2}, {"$set": {"x": 1}}),
        return_exceptions=True,
    )
    assert [isinstance(one, PyMongoError) for one in found] == [False, True, False]
    await mongo.likes.insert_one(doc(1))


# Of some writers: which document they want, whether they move it instead, after how many turns of the loop they come,
# and after how many more they leave, if they do.
WRITERS = st.lists(
    st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 12), st.none() | st.integers(0, 8)),
    min_size=2,
    max_size=24,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WRITERS)
async def test_whoever_comes_and_leaves_when_each_document_is_one_writers_and_every_move_counts_once(
    mongo: Mongo, writers: Sequence[tuple[int, bool, int, int | None]]
) -> None:
    await mongo.likes.delete_many({})
    await mongo.users.delete_many({})
    await mongo.users.insert_many([{"_id": n, "name_key": f"p{n}", "followers": 0} for n in range(4)])
    # Two processes of one database.
    rooms = [(shared(mongo.db["likes"]), shared(mongo.db["users"])) for _ in range(2)]

    async def write(at: int, wanted: int, moves: bool, after: int) -> Any:
        for _ in range(after):
            await asyncio.sleep(0)
        likes, users = rooms[at % 2]
        if moves:
            return await users.move_one({"_id": wanted}, {"$inc": {"followers": 1}})
        return await told(likes.insert_one(doc(wanted, by=at)))

    async def leave(task: "asyncio.Task[Any]", turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()

    tasks = [asyncio.create_task(write(at, *one[:3])) for at, one in enumerate(writers)]
    leaving = [leave(task, one[2] + one[3]) for task, one in zip(tasks, writers, strict=True) if one[3] is not None]
    async with asyncio.timeout(PATIENCE):
        _, *outcomes = await asyncio.gather(asyncio.gather(*leaving), *tasks, return_exceptions=True)
        # What those who left had sent is on its way before these.
        last = [lane.insert_one(doc(9 + at)) for at, (lane, _) in enumerate(rooms)]
        await asyncio.gather(*last, *(lane.move_one({"_id": 9}, {"$inc": {"followers": 1}}) for _, lane in rooms))
    kept = await written(mongo)
    counted = {one["_id"]: one["followers"] async for one in mongo.users.find({})}
    for wanted in range(4):
        mine = {at: outcomes[at] for at, one in enumerate(writers) if one[:2] == (wanted, False)}
        won = [at for at, outcome in mine.items() if outcome is None]
        assert len(won) <= 1
        # Who left does not know.
        unsure = [at for at, outcome in mine.items() if isinstance(outcome, asyncio.CancelledError)]
        possible: list[int | None] = [*(won or unsure), *([None] if len(unsure) == len(mine) else [])]
        assert kept.get(wanted) in possible
        moved = [outcomes[at] for at, one in enumerate(writers) if one[:2] == (wanted, True)]
        assert moved.count(None) <= counted[wanted] <= len(moved)
