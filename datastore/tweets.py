"""Tweets: one document each, written once; counters move, a delete leaves a tombstone without text."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

from datastore import entities, ids, popularity, rules, terms, tracing
from datastore.errors import DomainError, ErrorCode
from datastore.indexes import TWEETS_BY_AUTHOR, TWEETS_BY_AUTHOR_AND_KIND, Keys
from datastore.mongo import Doc, DuplicateKeyError, Mongo
from datastore.records import TopWindow, Tweet
from datastore.repliers import Repliers
from datastore.reservations import Reserved
from datastore.together import Find, Keyed, Look, in_order
from datastore.trails import Trails

# Who was answered where the answered author is gone: an id that nobody has. Nobody follows them, so the reply's rule
# for home timelines holds as little as it would for a stranger.
GONE = 0

# Newest first, in words that only an author's index can answer without sorting: in place of a hint.
OF_AUTHOR = {"author": 1, "_id": -1}
_BODY: Doc = {"author": 1, "text": 1, "reply_to": 1, "reply_author": 1, "likes": 1, "retweets": 1, "replies": 1}
_BODY |= {"hashtags": 1, "mentions": 1}
_LIVING = Keyed("tweets", _BODY, where={"alive": True})
# What a tombstone must not have: whatever says what the text was.
SAID: Doc = dict.fromkeys(("alive", "text", "hashtags", "tags", "mentions", "terms", "reply_author"), "")


class Tweets:
    """Every tweet. What is deleted is absent from every answer here except `author_of`."""

    def __init__(self, mongo: Mongo) -> None:
        self._mongo = mongo
        self._tweets = mongo.tweets
        self._users = mongo.users
        self._idempotency = mongo.idempotency
        self._repliers = Repliers(mongo)
        self._trails = Trails(mongo)

    async def add(
        self,
        author_id: int,
        text: str,
        now_ms: int,
        answered: Tweet | None = None,
        idempotency_key: str | None = None,
        author_followers: int = 0,
    ) -> Tweet:
        """A new tweet; `text` has passed the rules. With a key, the same call again gives the same tweet.
        `author_followers` is how many the author has now; it weighs the tweet among the top tweets for good.

        Raises IDEMPOTENCY_CONFLICT if the key was used for something else, NOT_FOUND if its tweet was deleted since.
        The insert is the one atomic write; counters follow it and can be recounted.
        """
        mentioned = await self._mentioned(text)
        digest = _digest(text, answered.id if answered else None)
        more = {"author_followers": author_followers} | ({"key": idempotency_key} if idempotency_key else {})
        while True:
            tweet_id = ids.new(now_ms, author_id)
            if idempotency_key is not None:
                tweet_id = await self._reserve(author_id, idempotency_key, tweet_id, digest)
            doc = new_doc(tweet_id, author_id, text, answered, mentioned) | more
            if tracing.is_on():
                await self._trails.leave(tweet_id)
            try:
                await self._tweets.insert_one(doc)
                break
            except DuplicateKeyError:
                pass
            if idempotency_key is not None and await self._wrote(doc, idempotency_key):
                return await self._written(tweet_id)
            now_ms += 1
        await self._count(doc, 1)
        return _tweet(doc)

    async def _wrote(self, doc: Doc, key: str) -> bool:
        """Whether the id is taken by this very tweet, written by an earlier try. If not, it is another one of the same
        millisecond, and the key's reservation of the id is given up."""
        author_id = doc["author"]
        if await self._tweets.find_one(ids.key(doc["_id"]) | {"author": author_id, "key": key}, {"_id": 1}):
            return True
        await self._idempotency.delete_one({"_id": {"a": author_id, "k": key}, "tweet": doc["_id"]})
        return False

    async def _count(self, doc: Doc, by: int) -> None:
        """Move the counters behind a new tweet, or with -1 behind a deleted one."""
        await self._users.move_one({"_id": doc["author"]}, {"$inc": {"tweets": by}})
        if "reply_to" not in doc:
            return
        # Their first reply engages the tweet, their last takes that back; those of its own author do not.
        engages = doc["reply_author"] not in (doc["author"], GONE)
        begun = await self._repliers.move(doc["reply_to"], doc["author"], by) if engages else 0
        await self._tweets.move_one(ids.key(doc["reply_to"]), popularity.move("replies", by, begun))

    async def _mentioned(self, text: str) -> dict[str, int]:
        """Ids by username key of those the text names who exist. One round trip if it names anybody, else none."""
        keys = [rules.username_key(name) for name in entities.mentions(text)]
        if not keys:
            return {}
        cursor = self._users.find({"name_key": {"$in": keys}}, {"name_key": 1})
        return {doc["name_key"]: doc["_id"] async for doc in cursor}

    async def made_with(self, author_id: int, key: str, text: str, answered_id: int | None) -> Tweet | None:
        """The tweet that an earlier call with this key made; None if none did. Raises as `add` does."""
        kept = await self._idempotency.find_one({"_id": {"a": author_id, "k": key}})
        if kept is None:
            return None
        if kept["digest"] != _digest(text, answered_id):
            raise _conflict()
        made = await self._tweets.find_one(ids.key(kept["tweet"]) | {"author": author_id, "key": key}, {"_id": 1})
        return await self._written(kept["tweet"]) if made else None

    async def _reserve(self, author_id: int, key: str, tweet_id: int, digest: bytes) -> int:
        """The tweet id this key stands for: `tweet_id` if the key is new, else the id of the first try."""
        try:
            await self._idempotency.insert_one(
                {"_id": {"a": author_id, "k": key}, "tweet": tweet_id, "digest": digest, "at": datetime.now(UTC)}
            )
            return tweet_id
        except DuplicateKeyError:
            kept = await self._idempotency.find_one({"_id": {"a": author_id, "k": key}})
        if kept is None:
            return await self._reserve(author_id, key, tweet_id, digest)
        if kept["digest"] != digest:
            raise _conflict()
        reserved: int = kept["tweet"]
        return reserved

    async def _written(self, tweet_id: int) -> Tweet:
        tweet = await self.get(tweet_id)
        if tweet is None:
            raise DomainError(ErrorCode.NOT_FOUND, "The tweet of this key was deleted.", ("input", "idempotencyKey"))
        return tweet

    async def remove(self, author_id: int, tweet_id: int) -> int | None:
        """Delete one's own tweet: the text goes, a tombstone stays. Gives what it answered. Raises NOT_FOUND,
        NOT_ALLOWED.

        The check stands inside the write, so that of two deletes only one moves the counters.
        """
        # By the shard key: a sharded cluster changes no document by its other fields alone.
        query = ids.key(tweet_id) | {"author": author_id, "alive": True}
        fields = {"author": 1, "reply_to": 1, "reply_author": 1}
        before = await self._tweets.find_one_and_update(query, tombstone(datetime.now(UTC)), fields)
        if before is None:
            if await self.get(tweet_id):
                raise DomainError(ErrorCode.NOT_ALLOWED, "Only the author deletes a tweet.", ("input", "tweetId"))
            raise DomainError(ErrorCode.NOT_FOUND, "There is no such tweet.", ("input", "tweetId"))
        await self._count(before, -1)
        answered_id: int | None = before.get("reply_to")
        return answered_id

    async def get_many(self, tweet_ids: Sequence[int]) -> list[Tweet | None]:
        """Tweets in the order of `tweet_ids`, None where there is none or it was deleted. One round trip."""
        return await self.find_many(tweet_ids).alone()

    def find_many(self, tweet_ids: Sequence[int]) -> Look[list[Tweet | None]]:
        """`get_many`, to be asked together with others."""
        return in_order(self._mongo, _LIVING, tweet_ids, _tweet)

    async def get(self, tweet_id: int) -> Tweet | None:
        """One tweet, None if it is absent or deleted."""
        return (await self.get_many([tweet_id]))[0]

    async def answered_by(self, tweet_id: int) -> int | None:
        """The tweet that this one answers or answered, deleted or not; None if it answers none."""
        doc = await self._tweets.find_one(ids.key(tweet_id), {"reply_to": 1})
        return doc.get("reply_to") if doc else None

    async def author_of(self, tweet_id: int) -> int | None:
        """Who wrote it, deleted or not."""
        doc = await self._tweets.find_one(ids.key(tweet_id), {"author": 1})
        return doc["author"] if doc else None

    async def places(self, tweet_ids: Sequence[int]) -> dict[int, dict[TopWindow, float]]:
        """Where those of the tweets that are alive and eligible stand in each window. One round trip."""
        query = {"_id": {"$in": list(tweet_ids)}, "alive": True}
        projection = dict.fromkeys(popularity.FIELDS.values(), 1)
        return {
            doc["_id"]: {window: doc[field] for window, field in popularity.FIELDS.items()}
            async for doc in self._tweets.find(query, projection)
            if popularity.FIELDS[TopWindow.DAY] in doc
        }

    async def top(
        self, window: TopWindow, first: int, lowest: float, after: tuple[float, int] | None = None
    ) -> list[tuple[int, float]]:
        """Up to `first` (tweet id, place), best first, at or above the place `lowest`; `after` is exclusive.

        One round trip, answered from the window's index alone.
        """
        field = popularity.FIELDS[window]
        query: Doc = {field: {"$gte": lowest}}
        if after:
            query = {"$or": [{field: {"$gte": lowest, "$lt": after[0]}}, {field: after[0], "_id": {"$lt": after[1]}}]}
        cursor = self._tweets.find(query, {field: 1}).sort([(field, -1), ("_id", -1)]).limit(first)
        return [(doc["_id"], doc[field]) async for doc in cursor]

    async def by_author(self, author_id: int, first: int, before: int | None, replies: bool = False) -> list[Tweet]:
        """Up to `first` tweets of one author, newest first, with ids below `before`; with `replies` those too."""
        query: Doc = {"author": author_id, "alive": True}
        return await self._find_list(query if replies else query | {"is_reply": False}, first, before).alone()

    async def replies_to(self, tweet_id: int, first: int, before: int | None) -> list[Tweet]:
        """Up to `first` replies to a tweet, newest first, with ids below `before`."""
        return await self._find_list({"reply_to": tweet_id, "alive": True}, first, before).alone()

    def find_replies(self, tweet_id: int, first: int) -> Find[list[Tweet]]:
        """The newest of `replies_to`, to be asked together with others."""
        return self._find_list({"reply_to": tweet_id, "alive": True}, first, None)

    async def newest(self, author_ids: Sequence[int], bounds: Doc, first: int) -> list[int]:
        """The newest `first` ids of tweets by at most 200 authors within the id bounds, newest first. Covered."""
        return await self._newest(TWEETS_BY_AUTHOR, {"author": {"$in": list(author_ids)}, "_id": bounds}, first)

    def find_newest(self, author_id: int, bounds: Doc, first: int) -> Find[list[int]]:
        """`newest` for one author, to be asked together with others."""
        query = {"author": author_id, "alive": True, "_id": bounds}
        return Find(self._mongo, "tweets", query, {"_id": 1}, ids_of, OF_AUTHOR, first)

    async def newest_unprompted(self, author_ids: Sequence[int], bounds: Doc, first: int) -> list[int]:
        """As `newest`, without replies. Covered."""
        query = {"author": {"$in": list(author_ids)}, "is_reply": False, "_id": bounds}
        return await self._newest(TWEETS_BY_AUTHOR_AND_KIND, query, first)

    async def newest_replies(
        self, author_ids: Sequence[int], bounds: Doc, first: int, answered_ids: Sequence[int]
    ) -> list[int]:
        """As `newest`, only replies to tweets of the answered people. Covered; the others cost a key each."""
        query: Doc = {"author": {"$in": list(author_ids)}, "is_reply": True, "_id": bounds}
        query["reply_author"] = {"$in": list(answered_ids)}
        return await self._newest(TWEETS_BY_AUTHOR_AND_KIND, query, first)

    async def _newest(self, index: Keys, query: Doc, first: int) -> list[int]:
        cursor = self._tweets.find(query | {"alive": True}, {"_id": 1}).sort("_id", -1).hint(index)
        return [doc["_id"] async for doc in cursor.limit(first)]

    def _find_list(self, query: Doc, first: int, before: int | None) -> Find[list[Tweet]]:
        if before is not None:
            query["_id"] = {"$lt": before}
        return Find(self._mongo, "tweets", query, _BODY, lambda docs: [*map(_tweet, docs)], {"_id": -1}, first)


def ids_of(docs: Sequence[Doc]) -> list[int]:
    """Their ids, in order."""
    return [doc["_id"] for doc in docs]


def new_doc(
    tweet_id: int,
    author_id: int,
    text: str,
    answered: Tweet | None = None,
    mentioned: Mapping[str, int] = MappingProxyType({}),
) -> Doc:
    """The document of a new tweet. `mentioned` gives ids by username key: whoever it lacks is not linked."""
    doc: Doc = ids.key(tweet_id) | {
        "author": author_id,
        "text": text,
        "is_reply": answered is not None,
        "likes": 0,
        "retweets": 0,
        "replies": 0,
        "engagement": 0,
        "alive": True,
    }
    if answered is not None:
        doc |= {"reply_to": answered.id, "reply_author": answered.author_id}
    return doc | parsed(text) | mentions_of(text, mentioned)


def parsed(text: str) -> Doc:
    """What a tweet's document says of its text alone: `hashtags` as written, `tags` that are equal where two tags
    are the same, and the `terms` that search finds it by. Pure; fields that would be empty are absent."""
    hashtags = entities.hashtags(text)
    found = {"hashtags": hashtags, "tags": [entities.key(tag) for tag in hashtags], "terms": terms.of_text(text)}
    return {name: values for name, values in found.items() if values}


def mentions_of(text: str, mentioned: Mapping[str, int]) -> Doc:
    """The ids of those the text names, in order; absent if there are none."""
    keys = [rules.username_key(name) for name in entities.mentions(text)]
    found = [mentioned[key] for key in keys if key in mentioned]
    return {"mentions": found} if found else {}


def tombstone(now: datetime) -> Doc:
    """The update that deletes a tweet: what it said and whom it named goes, and its place among the top tweets; what
    its event needs stays."""
    return {"$set": {"deleted_at": now}, "$unset": SAID | dict(popularity.UNPLACE)}


def reserved_imports(mongo: Mongo) -> Reserved:
    """The keys of all imported tweets, deleted ones among them."""

    def tombstone(tweet_id: int, _: str, now: datetime) -> Doc:
        return ids.key(tweet_id) | {"author": GONE, "deleted_at": now}

    return Reserved(mongo.import_keys, mongo.tweets, ("import_key",), lambda doc: doc.get("import_key"), tombstone)


def _digest(text: str, answered_id: int | None) -> bytes:
    return hashlib.sha256(f"{answered_id or 0}:{text}".encode()).digest()


def _conflict() -> DomainError:
    message = "This idempotency key was used for another tweet."
    return DomainError(ErrorCode.IDEMPOTENCY_CONFLICT, message, ("input", "idempotencyKey"))


def _tweet(doc: Doc) -> Tweet:
    return Tweet(
        id=doc["_id"],
        author_id=doc["author"],
        text=doc["text"],
        in_reply_to_id=doc.get("reply_to"),
        reply_author_id=doc.get("reply_author"),
        like_count=max(doc["likes"], 0),
        retweet_count=max(doc["retweets"], 0),
        reply_count=max(doc["replies"], 0),
        hashtags=tuple(doc.get("hashtags", ())),
        mention_ids=tuple(doc.get("mentions", ())),
    )
