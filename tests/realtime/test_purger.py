"""The purger: a purge that is cut off between any two of its steps goes on, and what others counted is right."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from datastore import ids
from datastore.purges import Purges
from datastore.records import Hiding, Tweet
from datastore.tweets import GONE
from datastore.users import Users
from realtime import keys, limits
from realtime.limits import Action
from realtime.purger import Purger, PurgeWaits
from tests.realtime.conftest import House

WAITS = PurgeWaits(look=0.01, lease=0.05, again=0)


class CutError(Exception):
    """The worker died here."""


class Cut:
    """Purges of which the call number `at` never happens, nor any after it."""

    def __init__(self, purges: Purges, at: int) -> None:
        self._purges = purges
        self.left = at

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._purges, name)

        async def counted(*args: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise CutError
            return await call(*args)

        return counted


async def settled() -> None:
    """No pipeline runs here: nobody has to be waited for."""


def purger(house: House, purges: Any) -> Purger:
    return Purger(purges, house.clients.redis, settled, WAITS)


async def account(house: House) -> int:
    name = f"u{ids.new(ids.now_ms()) % 10**12}"
    made = await Users(house.clients.mongo).add(name, f"{name}@perch.example", "a hash", name, ids.now_ms())
    return made.user.id


async def world(house: House) -> tuple[int, int, Tweet, Tweet]:
    """A deleted account with three of everything towards another; gives both, the other's tweet and their answer."""
    ann, bob = await account(house), await account(house)
    mongo, now_ms = house.clients.mongo, ids.now_ms()
    tweet = await house.tweet(bob)
    await house.follows.add(ann, bob, now_ms)
    await house.follows.add(bob, ann, now_ms)
    for n in range(3):
        own = await house.tweets.add(ann, "text", now_ms + n, answered=tweet, idempotency_key=f"{n}")
        await mongo.likes.insert_one({"_id": {"t": own.id, "u": bob}, "at": now_ms})
        await mongo.likes.insert_one({"_id": {"t": (await house.tweet(bob, now_ms + n + 9)).id, "u": ann}, "at": n})
    await mongo.tweets.update_many({"author": bob, "_id": {"$ne": tweet.id}}, {"$inc": {"likes": 1}})
    await house.rooms.retweets.add(ann, tweet, now_ms)
    await house.rooms.retweets.add(bob, own, now_ms)
    await house.rooms.retweets.add(ann, own, now_ms)
    await house.rooms.retweets.remove(ann, own.id)
    for owner, target in ((ann, bob), (bob, ann)):
        await house.rooms.blocks.add(owner, Hiding.MUTE, target, now_ms)
    answer = await house.tweets.add(bob, "text", now_ms + 99, answered=own)
    for follower in house.people(2):
        await house.follows.add(follower, ann, now_ms)
    assert await Users(mongo).delete(ann, "a hash", datetime.now(UTC))
    return ann, bob, tweet, answer


async def run(house: House, purges: Any) -> bool:
    """Take and purge what is due until nothing is; False if it was cut off."""
    try:
        # An hour later, so that no lease is in the way: a dead worker keeps none, a slow one may lose it.
        while purge := await purges.take(datetime.now(UTC) + timedelta(hours=1), timedelta()):
            await purger(house, purges).round(purge)
    except CutError:
        return False
    return True


async def check(house: House, ann: int, bob: int, tweet: Tweet, answer: Tweet) -> None:
    mongo = house.clients.mongo
    tombstone = await mongo.users.find_one({"_id": ann})
    assert tombstone
    assert set(tombstone) == {"_id", "name_key", "deleted_at"}
    profile = await Users(mongo).get(bob)
    assert profile
    assert (profile.follower_count, profile.following_count, profile.tweet_count) == (0, 0, 5)
    assert await mongo.tweets.count_documents({"likes": {"$ne": 0}}) == 0
    (mine, theirs) = await house.tweets.get_many([tweet.id, answer.id])
    assert mine
    assert theirs
    assert (mine.reply_count, mine.retweet_count, theirs.reply_author_id) == (0, 0, GONE)
    for name in ("follows", "likes", "retweets", "blocks", "idempotency", "sessions"):
        assert await mongo.db[name].count_documents({}) == 0, name
    assert await mongo.tweets.count_documents({"author": ann}) == 0


async def test_a_purge_cut_off_before_any_of_its_steps_goes_on(house: House) -> None:
    steps = 0
    for at in range(200):
        ann, bob, tweet, answer = await world(house)
        cut = Cut(Purges(house.clients.mongo, size=2), at)
        if not await run(house, cut):
            assert await run(house, Purges(house.clients.mongo, size=2))
        await check(house, ann, bob, tweet, answer)
        for name in ("users", "tweets"):
            await house.clients.mongo.db[name].delete_many({})
        if cut.left >= 0:
            break
        steps += 1
    assert 20 < steps < 199


async def test_two_workers_with_one_purge_count_once(house: House) -> None:
    ann, bob, tweet, answer = await world(house)
    purges = Purges(house.clients.mongo, size=1)
    assert all(await asyncio.gather(*(run(house, purges) for _ in range(3))))
    await check(house, ann, bob, tweet, answer)


async def test_a_purge_is_taken_by_one_worker_until_its_lease_ends(house: House) -> None:
    ann = await account(house)
    now = datetime.now(UTC)
    await Users(house.clients.mongo).delete(ann, "a hash", now)
    purges = Purges(house.clients.mongo)
    lease = timedelta(seconds=60)
    taken = await asyncio.gather(*(purges.take(now, lease) for _ in range(10)))
    assert [purge.user_id for purge in taken if purge] == [ann]
    assert await purges.take(now + timedelta(seconds=59), lease) is None
    assert await purges.take(now + timedelta(seconds=61), lease)


async def test_no_key_of_the_person_stays_and_others_keep_theirs(house: House) -> None:
    ann, bob = await account(house), await account(house)
    for user_id in (ann, bob):
        await house.timelines.page(user_id, 5, live=True)
        await house.redis.set(keys.budget(Action.TWEET, str(user_id)), "1")
        await house.redis.xadd(keys.DEAD_LETTERS, {"e": "UserFollowed", "s": str(user_id), "o": "1", "why": "x"})
    assert set(await house.redis.keys(f"*{ann}*")) <= {*keys.of_user(ann), *limits.keys_of(ann)}
    kept = sorted(await house.redis.keys(f"*{bob}*"))
    assert len(kept) == 3
    await Users(house.clients.mongo).delete(ann, "a hash", datetime.now(UTC))
    assert await run(house, Purges(house.clients.mongo))
    assert await house.redis.keys(f"*{ann}*") == []
    assert sorted(await house.redis.keys(f"*{bob}*")) == kept
    assert [fields["s"] for _, fields in await house.redis.xrange(keys.DEAD_LETTERS)] == [str(bob)]


@pytest.mark.parametrize("error", [TimeoutError(), ValueError("a bug")])
async def test_a_round_that_fails_is_taken_again(house: House, error: Exception) -> None:
    ann, bob, tweet, answer = await world(house)
    failures = [error, error]

    async def settle() -> None:
        if failures:
            raise failures.pop()

    task = asyncio.create_task(Purger(Purges(house.clients.mongo, size=2), house.clients.redis, settle, WAITS).run())
    try:
        async with asyncio.timeout(10):
            while await house.clients.mongo.users.find_one({"purge": {"$exists": True}}):
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert failures == []
    await check(house, ann, bob, tweet, answer)
