"""People who do everything at once, for as long as somebody looks; and some whose writes take their time."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from datastore import ids, popularity
from datastore.errors import DomainError
from datastore.records import Tweet
from tests.flows.reconciling import World

ACTORS = 6


@asynccontextmanager
async def load(world: World, tweets: Sequence[Tweet], seed: int) -> AsyncIterator[list[int]]:
    """Runs meanwhile; gives the number of deeds so far, in a list of one."""
    done = [0]
    stop = asyncio.Event()
    actors = [_Actor(world, list(tweets), random.Random(seed + n), done) for n in range(ACTORS)]
    tasks = [asyncio.create_task(actor.run(stop)) for actor in actors]
    try:
        yield done
    finally:
        stop.set()
        # Not cancelled: a deed that is cut off in the middle is a fault.
        await asyncio.gather(*tasks)


class _Actor:
    def __init__(self, world: World, tweets: list[Tweet], chance: random.Random, done: list[int]) -> None:
        self.world, self.tweets, self.chance, self.done = world, tweets, chance, done

    async def run(self, stop: asyncio.Event) -> None:
        deeds = [self.like, self.like, self.follow, self.post, self.reply, self.delete, self.retweet, self.read]
        while not stop.is_set():
            try:
                await self.chance.choice(deeds)()
            except DomainError:  # somebody deleted it first
                continue
            self.done[0] += 1
            if self.chance.random() < 0.04:
                # Nobody may write faster than workers follow, for ever.
                await self.world.settle()

    def person(self) -> int:
        return self.chance.choice(self.world.people)

    async def like(self) -> None:
        verb = self.chance.choice([self.world.likes.add, self.world.likes.add])
        tweet, person = self.chance.choice(self.tweets), self.person()
        if self.chance.random() < 0.4:
            await self.world.likes.remove(person, tweet.id)
        else:
            await verb(person, tweet.id, ids.now_ms())

    async def follow(self) -> None:
        follower, author = self.person(), self.person()
        if follower == author:
            return
        if self.chance.random() < 0.5:
            await self.world.rooms.follows.remove(follower, author)
        else:
            await self.world.rooms.follows.add(follower, author, ids.now_ms())

    async def post(self) -> None:
        self.tweets.append(await self.world.tweet(self.person(), "said #under load by @person1"))

    async def reply(self) -> None:
        if tweet := await self.world.rooms.tweets.get(self.chance.choice(self.tweets).id):
            self.tweets.append(await self.world.tweet(self.person(), "answered", tweet))

    async def delete(self) -> None:
        tweet = self.tweets.pop(self.chance.randrange(len(self.tweets)))
        await self.world.rooms.tweets.remove(tweet.author_id, tweet.id)

    async def retweet(self) -> None:
        tweet, person = self.chance.choice(self.tweets), self.person()
        if self.chance.random() < 0.4:
            await self.world.rooms.retweets.remove(person, tweet.id)
        elif await self.world.rooms.tweets.get(tweet.id):
            await self.world.rooms.retweets.add(person, tweet, ids.now_ms())

    async def read(self) -> None:
        await self.world.read([self.person()])


@asynccontextmanager
async def slow_likers(world: World, tweet: Tweet, between_seconds: float) -> AsyncIterator[None]:
    """People who like a tweet all the while, and whose counter moves so long after its edge: at each moment some of
    them are under way, never the same number for long."""
    begun, stop = asyncio.Event(), asyncio.Event()
    people = iter(range(1_000_000, 2_000_000))

    async def like(offset: float) -> None:
        await asyncio.sleep(offset)
        while not stop.is_set():
            await world.mongo.likes.insert_one({"_id": {"t": tweet.id, "u": next(people)}, "at": ids.now_ms()})
            begun.set()
            await asyncio.sleep(between_seconds)
            await world.mongo.tweets.update_one({"_id": tweet.id}, popularity.move("likes", 1, 1))

    tasks = [asyncio.create_task(like(between_seconds * n / 5)) for n in range(5)]
    try:
        await begun.wait()
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def delete_account(world: World, user_id: int) -> None:
    """The purge begins at once."""
    assert await world.rooms.users.delete(user_id, "x", datetime.now(UTC))
