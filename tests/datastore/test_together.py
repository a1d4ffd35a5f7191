"""What requests ask at the same time they share, and each has what they asked for, by their own deadline."""

import asyncio
from typing import Any

import pytest

from datastore import ids
from datastore.blocks import Blocks
from datastore.follows import Follows
from datastore.joined import TURNS
from datastore.likes import Likes
from datastore.mongo import Doc, Mongo, PyMongoError, is_outage, within
from datastore.records import Hiding
from datastore.retweets import Retweets
from datastore.together import BATCHES_AT_ONCE, QUESTIONS_AT_ONCE, Find, together
from datastore.tweets import Tweets
from datastore.users import Users
from tests.datastore.profiling import profiled

NOW_MS = 1_780_000_000_000


async def people(mongo: Mongo, count: int) -> list[int]:
    made = [
        await Users(mongo).add(f"p{number}", f"p{number}@perch.example", "", "P", NOW_MS + number)
        for number in range(count)
    ]
    return [account.user.id for account in made]


def slow(mongo: Mongo, user_id: int, milliseconds: int) -> Find[list[Doc]]:
    """What MongoDB takes so long to find."""
    waits = {"$function": {"body": f"function() {{ sleep({milliseconds}); return true }}", "args": [], "lang": "js"}}
    return Find(mongo, "users", {"_id": user_id, "$expr": waits}, {"_id": 1}, list)


def broken(mongo: Mongo) -> Find[Any]:
    """What MongoDB refuses."""
    return Find(mongo, "users", {"$nothing": 1}, {"_id": 1}, list)


async def test_requests_of_one_moment_share_a_round_trip_and_each_has_their_own(mongo: Mongo) -> None:
    ids_ = await people(mongo, 6)
    follows, likes, blocks, tweets = Follows(mongo), Likes(mongo), Blocks(mongo), Tweets(mongo)
    posted = [await tweets.add(author, "x", NOW_MS + place) for place, author in enumerate(ids_)]
    for place, viewer in enumerate(ids_):
        for other in ids_[:place]:
            await follows.add(viewer, other, NOW_MS)
        await likes.add(viewer, posted[place - 1].id, NOW_MS)
        await blocks.add(viewer, Hiding.MUTE, ids_[place - 2], NOW_MS)

    async def page(viewer: int) -> list[Any]:
        pairs = [(viewer, other) for other in ids_]
        return await together(
            tweets.find_newest(viewer, {"$gt": 0}, 3),
            follows.find_existing(pairs),
            blocks.find_regards(pairs),
            likes.find_liked(viewer, [tweet.id for tweet in posted]),
            Users(mongo).find_many([viewer, 7]),
        )

    alone = [await page(viewer) for viewer in ids_]
    async with profiled(mongo) as seen:
        assert await asyncio.gather(*map(page, ids_)) == alone
    assert seen == ["aggregate"]
    assert [len(followed) for _, followed, *_ in alone] == [*range(6)]
    assert [(own, liked) for own, _, _, liked, _ in alone] == [
        ([posted[place].id], {posted[place - 1].id}) for place in range(6)
    ]
    assert all([other for (_, other), regard in regards.items() if regard.mutes] for _, _, regards, _, _ in alone)
    assert [profile and profile.id for *_, (profile, nobody) in alone if nobody is None] == ids_


async def test_what_is_asked_behind_a_write_finds_it_however_many_reads_are_under_way(mongo: Mongo) -> None:
    ann, *others = await people(mongo, 40)
    follows, done = Follows(mongo), asyncio.Event()

    async def asking() -> None:
        while not done.is_set():
            await follows.existing([(ann, other) for other in others])

    crowd = [asyncio.create_task(asking()) for _ in range(2 * QUESTIONS_AT_ONCE)]
    try:
        for other in others:
            assert await follows.existing([(ann, other)]) == set()
            await follows.add(ann, other, NOW_MS)
            assert await follows.existing([(ann, other)]) == {(ann, other)}
            await follows.remove(ann, other)
            assert await follows.existing([(ann, other)]) == set()
    finally:
        done.set()
        await asyncio.gather(*crowd)


async def test_a_refusal_is_told_to_all_who_shared_it_and_to_nobody_else(mongo: Mongo) -> None:
    ann, bob = await people(mongo, 2)
    users = Users(mongo)
    told = await asyncio.gather(broken(mongo).alone(), users.get(ann), return_exceptions=True)
    assert all(isinstance(one, PyMongoError) and not is_outage(one) for one in told), told
    found = await users.get(bob)
    assert found
    assert found.id == bob


async def test_who_gives_up_does_so_at_their_own_deadline_and_takes_nobody_along(mongo: Mongo) -> None:
    (ann,) = await people(mongo, 1)

    async def hasty() -> Any:
        with within(0.05):
            return await slow(mongo, ann, 300).alone()

    async def leaving() -> Any:
        return await slow(mongo, ann, 300).alone()

    async def staying() -> Any:
        return await Users(mongo).get(ann)

    # The hasty one asks first: the read that they share must not be theirs.
    asked = [asyncio.create_task(one()) for one in (hasty, leaving, staying)]
    await asyncio.sleep(0)
    asked[1].cancel()
    told: list[Any] = await asyncio.gather(*asked, return_exceptions=True)
    assert is_outage(told[0])
    assert isinstance(told[1], asyncio.CancelledError)
    assert told[2].id == ann


async def test_a_slow_read_does_not_hold_up_those_who_ask_later(mongo: Mongo) -> None:
    (ann,) = await people(mongo, 1)
    asked: list[asyncio.Task[Any]] = []
    while len(asked) < BATCHES_AT_ONCE:
        asked.append(asyncio.create_task(slow(mongo, ann, 2_000).alone()))
        # Until it is under way.
        for _ in range(TURNS + 3):
            await asyncio.sleep(0)
    assert await Users(mongo).get(ann)
    assert not any(task.done() for task in asked)
    for task in asked:
        task.cancel()


@pytest.mark.parametrize("count", [1, 5])
async def test_more_documents_than_a_first_batch_come_in_one_round_trip(mongo: Mongo, count: int) -> None:
    docs: list[Doc] = [{"_id": ids.new(NOW_MS + number, 1), "alive": True, "author": 1} for number in range(150)]
    await mongo.retweets.insert_many([doc | {"tweet": number} for number, doc in enumerate(docs)])
    retweets, wanted = Retweets(mongo), [doc["_id"] for doc in docs]
    async with profiled(mongo) as seen:
        found = await asyncio.gather(*(retweets.get_many(wanted) for _ in range(count)))
    assert [len(one) for one in found] == [150] * count
    assert seen == ["find"]
