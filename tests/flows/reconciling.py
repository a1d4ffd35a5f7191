"""A world in which everything that is derived exists, and every way to make it wrong."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import app
from datastore import bulk, ids, popularity, rules, users
from datastore.drift import Kind
from datastore.likes import Likes
from datastore.mongo import Doc, Mongo
from datastore.records import TopWindow, Tweet
from datastore.settings import Settings
from datastore.tweets import GONE
from realtime import keys
from realtime.handlers import Rooms
from realtime.pipeline import Pipeline, open_rooms, settle
from realtime.reconcile import Reconciler, Report
from realtime.timelines import Bounds

# Of Redis' databases: what a test has for itself, and what those of a module share.
OWN, SHARED = 8, 9
# The way a test names a fault: what it is found as, of whom, and who else.
Fault = tuple[Kind, int, int]


@dataclass
class World:
    """People, open rooms, and a pipeline that runs."""

    mongo: Mongo
    # Any: redis-py's answers are typed as everything that they could be.
    redis: Any
    rooms: Rooms
    likes: Likes
    pipeline: Pipeline
    settings: Settings
    people: list[int]

    @property
    def reconciler(self) -> Reconciler:
        return self.pipeline.reconciler

    async def settle(self) -> None:
        for _ in range(2):
            beats = settle(self.pipeline.changes, self.redis, self.settings.partitions)
            await asyncio.wait_for(beats, 30)

    async def read(self, people: Sequence[int]) -> None:
        """Have the timelines and lists of what they see kept."""
        for person in people:
            await self.rooms.timelines.page(person, 20)
        for window in TopWindow:
            await self.rooms.top_tweets.page(window, 20, ids.now_ms())

    async def tweet(self, author: int, text: str = "words", answered: Tweet | None = None) -> Tweet:
        return await self.rooms.tweets.add(author, text, ids.now_ms(), answered)

    async def once(self, repair: bool = True) -> Report:
        return await self.reconciler.once(repair)


@asynccontextmanager
async def world(settings: Settings, number: int, redis: int = OWN, **more: Any) -> AsyncIterator[World]:
    """A database and a Redis of its own, with `number` people and a pipeline; no sweep is due for hours."""
    name = f"reconcile_{ids.new(ids.now_ms())}"
    redis_url = settings.redis_url.removesuffix("/0") + f"/{redis}"
    base = {"mongo_database": name, "redis_url": redis_url, "reconcile_grace_seconds": 0.2, "reconcile_slice": 50}
    own = settings.model_copy(update=base | more)
    async with app.clients(own) as clients:
        await clients.live.flushdb()
        async with app.working(own) as pipeline:
            rooms = open_rooms(clients.mongo, clients.live, own.partitions, Bounds.of(own), own.top_user_threshold)
            then = ids.now_ms() - 600_000
            docs = [users.new_doc(f"person{n}", f"Happy Person {n}", then + n) for n in range(number)]
            for doc in docs:
                doc |= {"password": "x", "email": f"{doc['username']}@perch.example"}
                doc |= {"email_key": rules.email_key(doc["email"])}
            await bulk.insert_people(clients.mongo, docs, None)
            people = [doc["_id"] for doc in docs]
            yield World(clients.mongo, clients.live, rooms, Likes(clients.mongo), pipeline, own, people)
        await clients.mongo.client.drop_database(name)


async def populate(world: World, chance: random.Random) -> list[Tweet]:
    """Follows, tweets, replies, likes and retweets; person 0 is a top user; everybody has read."""
    people, now = world.people, ids.now_ms
    pairs = [(follower, author) for follower in people[1:] for author in (people[0], *chance.sample(people[1:], 4))]
    await asyncio.gather(*(world.rooms.follows.add(*pair, now()) for pair in pairs if pair[0] != pair[1]))
    await world.settle()
    texts = [f"number {n} #tag{n} for @person{chance.randrange(len(people))}" for n in range(3)]
    tweets = [await world.tweet(person, text) for person in people for text in texts]

    async def answered(tweet: Tweet, person: int) -> None:
        answer = await world.tweet(person, "an answer", tweet)
        if person != tweet.author_id:
            await world.rooms.retweets.add(person, tweet, now())
            await world.tweet(person, "and another", answer)

    for tweet in tweets[: len(tweets) // 2]:
        likes = (world.likes.add(liker, tweet.id, now()) for liker in chance.sample(people, 7))
        await asyncio.gather(*likes, *(answered(tweet, person) for person in chance.sample(people, 2)))
    imported = {f"id:{tweet.id}": tweet.id for tweet in tweets[-9:]}
    for key, tweet_id in imported.items():
        await world.mongo.tweets.update_one({"_id": tweet_id}, {"$set": {"import_key": key}})
    await bulk.reserve(world.mongo.import_keys, imported, None)
    await world.settle()
    await world.read(people)
    return tweets


class Faults:
    """Plants faults, each in a place of its own, so that each is found for itself."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world = world
        self.chance = chance
        self._used: set[Any] = set()
        self.kinds: dict[str, Callable[[], Awaitable[list[Fault]]]] = {
            "followers": lambda: self._user("followers", Kind.FOLLOWERS),
            "following": lambda: self._user("following", Kind.FOLLOWING),
            "tweets": lambda: self._user("tweets", Kind.TWEETS),
            "likes": lambda: self._tweet("likes", Kind.LIKES),
            "retweets": lambda: self._tweet("retweets", Kind.RETWEETS),
            "replies": lambda: self._tweet("replies", Kind.REPLIES),
            "engagement": self._engagement,
            "repliers": self._repliers,
            "repliers lost": self._repliers_lost,
            "repliers surplus": self._repliers_surplus,
            "place": self._place,
            "terms": self._terms,
            "mentions": self._mentions,
            "reply author": self._reply_author,
            "retweeted": self._retweeted,
            "names": self._names,
            "name unreserved": lambda: self._unreserved("names", Kind.NAME_RESERVED),
            "name reserved": lambda: self._reserved("names", "nobody", Kind.NAME_RESERVED),
            "name of another": self._name_of_another,
            "email unreserved": lambda: self._unreserved("emails", Kind.EMAIL_RESERVED),
            "email reserved": lambda: self._reserved("emails", "nobody@perch.example", Kind.EMAIL_RESERVED),
            "pair unreserved": lambda: self._unreserved("retweet_pairs", Kind.PAIR_RESERVED),
            "pair reserved": lambda: self._reserved("retweet_pairs", {"a": 1, "t": 2}, Kind.PAIR_RESERVED),
            "import unreserved": lambda: self._unreserved("import_keys", Kind.IMPORT_RESERVED),
            "import reserved": lambda: self._reserved("import_keys", "nothing", Kind.IMPORT_RESERVED),
            "lost promotion": self._lost_promotion,
            "flag missing": lambda: self._flag(missing=True),
            "flag surplus": lambda: self._flag(missing=False),
            "timeline missing": lambda: self._timeline(missing=True),
            "timeline surplus": lambda: self._timeline(missing=False),
            "recent missing": lambda: self._recent(missing=True),
            "recent surplus": lambda: self._recent(missing=False),
            "top missing": lambda: self._top("missing"),
            "top surplus": lambda: self._top("surplus"),
            "top misplaced": lambda: self._top("misplaced"),
        }

    async def plant(self, kind: str) -> list[Fault]:
        return await self.kinds[kind]()

    async def _one(self, collection: str, query: Doc, per: str) -> Doc:
        """A document that no fault of this sort has touched yet."""
        docs = [doc async for doc in self.world.mongo.db[collection].find(query).sort("_id", 1)]
        free = [doc for doc in docs if (per, str(doc["_id"])) not in self._used]
        doc: Doc = self.chance.choice(free)
        self._used.add((per, str(doc["_id"])))
        return doc

    def _wrong(self, number: int) -> int:
        return self.chance.choice([number + self.chance.randint(1, 9), number - self.chance.randint(1, 9), -7])

    async def _user(self, field: str, kind: Kind) -> list[Fault]:
        # Not the top user: a wrong number would call for a switch.
        query = {"_id": {"$ne": self.world.people[0]}, "deleted_at": None}
        doc = await self._one("users", query, field)
        await self.world.mongo.users.update_one({"_id": doc["_id"]}, {"$set": {field: self._wrong(doc[field])}})
        return [(kind, doc["_id"], 0)]

    async def _tweet(self, field: str, kind: Kind) -> list[Fault]:
        doc = await self._one("tweets", {"alive": True}, field)
        await self.world.mongo.tweets.update_one({"_id": doc["_id"]}, {"$set": {field: self._wrong(doc[field])}})
        return [(kind, doc["_id"], 0)]

    async def _engagement(self) -> list[Fault]:
        """Too little or too much, and placed accordingly, as a lost move leaves it."""
        doc = await self._one("tweets", {"alive": True, "engagement": {"$gte": 5}}, "engagement")
        if ("likes", str(doc["_id"])) in self._used:
            return await self._engagement()
        by = self.chance.choice([2, -1])
        await self.world.mongo.tweets.update_one({"_id": doc["_id"]}, popularity.move("likes", by, by))
        self._used |= {("likes", str(doc["_id"])), ("place", str(doc["_id"]))}
        return [(Kind.LIKES, doc["_id"], 0), (Kind.ENGAGEMENT, doc["_id"], 0)]

    async def _repliers(self) -> list[Fault]:
        doc = await self._one("repliers", {}, "repliers")
        query, change = {"_id": doc["_id"]}, self.chance.choice([1, -1, -2])
        await self.world.mongo.repliers.update_one(query, {"$inc": {"n": change}})
        return [(Kind.REPLIERS, doc["_id"]["t"], doc["_id"]["a"])]

    async def _repliers_lost(self) -> list[Fault]:
        doc = await self._one("repliers", {}, "repliers")
        await self.world.mongo.repliers.delete_one({"_id": doc["_id"]})
        return [(Kind.REPLIERS, doc["_id"]["t"], doc["_id"]["a"])]

    async def _repliers_surplus(self) -> list[Fault]:
        """Of somebody who has not answered, or of the tweet's own author."""
        doc = await self._one("tweets", {"alive": True, "is_reply": False}, "repliers surplus")
        replier = self.chance.choice([4711, doc["author"]])
        number: Doc = {"_id": {"t": doc["_id"], "a": replier}, "n": 1}
        await self.world.mongo.repliers.insert_one(number)
        self._used.add(("repliers", str(number["_id"])))
        return [(Kind.REPLIERS, doc["_id"], replier)]

    async def _place(self) -> list[Fault]:
        doc = await self._one("tweets", {"alive": True, "top_day": {"$exists": True}}, "place")
        change: Doc = self.chance.choice([{"$set": {"top_week": 1.5}}, {"$unset": {"top_hour": "", "top_day": ""}}])
        await self.world.mongo.tweets.update_one({"_id": doc["_id"]}, change)
        self._used.add(("engagement", str(doc["_id"])))
        return [(Kind.PLACES, doc["_id"], 0)]

    async def _terms(self) -> list[Fault]:
        doc = await self._one("tweets", {"alive": True, "hashtags": {"$exists": True}}, "terms")
        change: Doc = self.chance.choice(
            [{"$unset": {"terms": ""}}, {"$push": {"tags": "odd"}}, {"$pop": {"terms": 1}}]
        )
        await self.world.mongo.tweets.update_one({"_id": doc["_id"]}, change)
        return [(Kind.TERMS, doc["_id"], 0)]

    async def _mentions(self) -> list[Fault]:
        doc = await self._one("tweets", {"alive": True, "mentions": {"$exists": True}}, "mentions")
        change: Doc = self.chance.choice([{"$unset": {"mentions": ""}}, {"$set": {"mentions": [4711]}}])
        await self.world.mongo.tweets.update_one({"_id": doc["_id"]}, change)
        return [(Kind.MENTIONS, doc["_id"], 0)]

    async def _reply_author(self) -> list[Fault]:
        doc = await self._one("tweets", {"alive": True, "reply_to": {"$exists": True}}, "reply author")
        await self.world.mongo.tweets.update_one({"_id": doc["_id"]}, {"$set": {"reply_author": GONE}})
        return [(Kind.REPLY_AUTHOR, doc["_id"], 0)]

    async def _retweeted(self) -> list[Fault]:
        doc = await self._one("retweets", {"alive": True}, "retweeted")
        await self.world.mongo.retweets.update_one({"_id": doc["_id"]}, {"$set": {"of": 4711}})
        return [(Kind.RETWEETED, doc["_id"], 0)]

    async def _names(self) -> list[Fault]:
        doc = await self._one("users", {"prefixes": {"$exists": True}}, "names")
        change: Doc = self.chance.choice([{"$unset": {"prefixes": ""}}, {"$set": {"prefixes": ["odd"]}}])
        await self.world.mongo.users.update_one({"_id": doc["_id"]}, change)
        return [(Kind.NAMES, doc["_id"], 0)]

    async def _unreserved(self, collection: str, kind: Kind) -> list[Fault]:
        doc = await self._one(collection, {}, collection)
        await self.world.mongo.db[collection].delete_one(doc)
        return [(kind, doc["of"], 0)]

    async def _reserved(self, collection: str, value: Any, kind: Kind) -> list[Fault]:
        """As a writer leaves it who died behind the first write."""
        never = ids.new(ids.now_ms())
        self._used.add((collection, str(value)))
        await self.world.mongo.db[collection].insert_one({"_id": value, "of": never})
        return [(kind, never, 0)]

    async def _name_of_another(self) -> list[Fault]:
        doc = await self._one("names", {}, "names")
        await self.world.mongo.names.update_one(doc, {"$set": {"of": 4711}})
        return [(Kind.NAME_RESERVED, doc["of"], 0)]

    async def _lost_promotion(self) -> list[Fault]:
        """More followers than a plain author may have, and nobody noticed: as if an import had brought them."""
        (author,) = await self._newcomers(1)
        now = ids.now_ms()
        threshold = self.world.settings.top_user_threshold
        followers = self.world.people[: threshold + 1]
        edges = [{"_id": {"a": author, "f": follower}, "at": now, "imported": True} for follower in followers]
        await self.world.mongo.follows.insert_many(edges)
        await self.world.mongo.users.update_many({"_id": {"$in": followers}}, {"$inc": {"following": 1}})
        await self.world.mongo.users.update_one({"_id": author}, {"$set": {"followers": len(followers)}})
        return [(Kind.ROAD, author, 0)]

    async def _newcomers(self, count: int) -> list[int]:
        made = [users.new_doc(f"late{ids.new(ids.now_ms() + n) % 10**8}", "Late", ids.now_ms()) for n in range(count)]
        await bulk.insert_people(self.world.mongo, made, None)
        return [doc["_id"] for doc in made]

    async def _flag(self, missing: bool) -> list[Fault]:
        doc = await self._one("follows", {"top": {"$exists": missing}, "imported": None}, "flag")
        change: Doc = {"$unset": {"top": ""}} if missing else {"$set": {"top": True}}
        await self.world.mongo.follows.update_one({"_id": doc["_id"]}, change)
        # Its repair merges the author's entries, and so would repair a missing one as well.
        self._used.add(("timeline", str(doc["_id"])))
        return [(Kind.FLAG, doc["_id"]["a"], doc["_id"]["f"])]

    async def _timeline(self, missing: bool) -> list[Fault]:
        """A push that was lost, or a removal."""
        follow = await self._one("follows", {"top": None, "imported": None}, "timeline")
        author, reader = follow["_id"]["a"], follow["_id"]["f"]
        if ("reader", reader) in self._used:
            return await self._timeline(missing)
        self._used.add(("reader", reader))
        name = keys.timeline(reader)
        if missing:
            query = {"author": author, "alive": True, "is_reply": False}
            tweet = await self.world.mongo.tweets.find_one(query, sort=[("_id", -1)])
            assert tweet
            assert await self.world.redis.lrem(name, 1, tweet["_id"]) == 1
        else:
            gone = await self._gone(author)
            await self.world.redis.lpush(name, gone)
        return [(Kind.TIMELINE, reader, 0)]

    async def _gone(self, author: int) -> int:
        tweet = await self.world.tweet(author, "regretted")
        await self.world.rooms.tweets.remove(author, tweet.id)
        await self.world.settle()
        return tweet.id

    async def _recent(self, missing: bool) -> list[Fault]:
        author = self.world.people[0]
        if ("recent", author) in self._used:
            # One list: its faults are one.
            return []
        self._used.add(("recent", author))
        if missing:
            (newest,) = await self.world.rooms.tweets.by_author(author, 1, None)
            assert await self.world.redis.lrem(keys.recent(author), 1, newest.id) == 1
        else:
            gone = await self._gone(author)
            await self.world.redis.lpush(keys.recent(author), gone)
        return [(Kind.RECENT, author, 0)]

    async def _top(self, how: str) -> list[Fault]:
        window = self.chance.choice(list(TopWindow))
        number = list(TopWindow).index(window)
        if how == "surplus":
            doc = await self._one("tweets", {"alive": True, "engagement": {"$lt": 5}}, "place")
            await self.world.redis.zadd(keys.top_tweets(window), {f"{doc['_id']:016d}": 1e7})
        else:
            doc = await self._one("tweets", {"alive": True, "top_day": {"$exists": True}}, "place")
            member = f"{doc['_id']:016d}"
            if how == "missing":
                assert await self.world.redis.zrem(keys.top_tweets(window), member) == 1
            else:
                await self.world.redis.zadd(keys.top_tweets(window), {member: 1e7})
        self._used |= {(each, str(doc["_id"])) for each in ("engagement", "likes")}
        return [(Kind.TOP_TWEETS, doc["_id"], number)]


def found(report: Report) -> set[Fault]:
    """What a report found, as faults."""
    return {(drift.kind, drift.subject_id, drift.other_id) for drift in report.drifts}


def all_repaired(report: Report) -> bool:
    return all(drift.repaired for drift in report.drifts)
