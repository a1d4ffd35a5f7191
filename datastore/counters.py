"""Counters: those of users and tweets compared with what they count, and put right. Never raises an event itself.

A verdict is exact: its edges were counted while nothing came or went (datastore/quiet.py), and it is written in a
transaction that began before the quiet was proved, so that any other write to the document in between undoes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from datastore import popularity
from datastore.bulk import atomically
from datastore.drift import Drift, Judged, Kind, Look, Position, Repairing
from datastore.mongo import Doc, Mongo, Session, Timestamp, UpdateOne
from datastore.quiet import UNKNOWN, Quiet, Touch
from datastore.recounts import Recounts, Replies, engagement
from datastore.repliers import pair_of

_USER: Mapping[str, Kind] = {"followers": Kind.FOLLOWERS, "following": Kind.FOLLOWING, "tweets": Kind.TWEETS}
_TWEET: Mapping[str, Kind] = {
    "likes": Kind.LIKES,
    "retweets": Kind.RETWEETS,
    "replies": Kind.REPLIES,
    "engagement": Kind.ENGAGEMENT,
}
# Platforms' logarithms may part in the last bit of a place, which is at most some 200,000.
_SAME_PLACE = 1e-6


class UserCounters(Repairing):
    """Followers, following and tweets of everybody who has not deleted their account."""

    name: ClassVar[str] = "user counters"
    kinds: ClassVar[Sequence[Kind]] = tuple(_USER.values())

    def __init__(self, mongo: Mongo, recounts: Recounts, quiet: Quiet) -> None:
        self._mongo = mongo
        self._recounts = recounts
        self._quiet = quiet

    async def look(self, after: Position, size: int) -> Look[int]:
        docs = await slice_of(self._mongo.users, after, size, dict.fromkeys((*_USER, "deleted_at"), 1))
        living = {doc["_id"]: doc for doc in docs if "deleted_at" not in doc}
        truth = await self._truth(list(living))
        suspects = [user for user, doc in living.items() if _differing(doc, truth[user])]
        return Look(len(living), suspects, next_after(docs, size))

    async def judge(self, suspects: Sequence[int], since: Timestamp, repair: bool) -> Judged[int]:
        truth = await self._truth(suspects)

        async def work(session: Session) -> Judged[int]:
            docs = await _living(self._mongo.users, suspects, {"deleted_at": None}, session)
            touched = await self._quiet.touched(since, suspects, [])
            judged: Judged[int] = Judged([], [])
            updates = []
            for doc in docs:
                wrong = _differing(doc, truth[doc["_id"]])
                busy = {name for name in wrong if {(name, doc["_id"]), UNKNOWN} & touched}
                right = {name: truth[doc["_id"]][name] for name in wrong if name not in busy}
                judged.drifts.extend(_drifts(_USER, doc, right, repair))
                judged.busy.extend([doc["_id"]] if busy else [])
                updates.extend([UpdateOne({"_id": doc["_id"]}, {"$set": right})] if right else [])
            if updates and repair:
                await self._mongo.users.bulk_write(updates, ordered=False, session=session)
            return judged

        return await atomically(self._mongo, work)

    async def _truth(self, user_ids: Sequence[int]) -> dict[int, dict[str, int]]:
        followers = await self._recounts.edges("follows", "a", "f", user_ids)
        following = await self._recounts.edges("follows", "f", "a", user_ids)
        tweets = await self._recounts.entries("tweets", "author", user_ids)
        return {
            user: {"followers": followers[user], "following": following[user], "tweets": tweets[user]}
            for user in user_ids
        }


@dataclass(frozen=True, slots=True)
class _Truth:
    """What a tweet's counters should say, and its repliers."""

    numbers: dict[str, int]
    replies: Replies


class TweetCounters(Repairing):
    """Likes, retweets, replies, engagement and places of every living tweet, and how often each replier answers it."""

    name: ClassVar[str] = "tweet counters"
    kinds: ClassVar[Sequence[Kind]] = (*_TWEET.values(), Kind.REPLIERS, Kind.PLACES)

    def __init__(self, mongo: Mongo, recounts: Recounts, quiet: Quiet) -> None:
        self._mongo = mongo
        self._recounts = recounts
        self._quiet = quiet

    async def look(self, after: Position, size: int) -> Look[int]:
        fields = (*_TWEET, "author", "author_followers", "alive", *popularity.FIELDS.values())
        docs = await slice_of(self._mongo.tweets, after, size, dict.fromkeys(fields, 1))
        living = {doc["_id"]: doc for doc in docs if doc.get("alive")}
        truth = await self._truth({tweet: doc["author"] for tweet, doc in living.items()})
        suspects = [tweet for tweet, doc in living.items() if _suspicious(doc, truth[tweet])]
        return Look(len(living), suspects, next_after(docs, size))

    async def judge(self, suspects: Sequence[int], since: Timestamp, repair: bool) -> Judged[int]:
        authors = {doc["_id"]: doc["author"] for doc in await _living(self._mongo.tweets, suspects, {"alive": True})}
        truth = await self._truth(authors)

        async def work(session: Session) -> Judged[int]:
            docs = await _living(self._mongo.tweets, list(authors), {"alive": True}, session)
            touched = await self._quiet.touched(since, [], list(authors))
            judged: Judged[int] = Judged([], [])
            for doc in docs:
                await self._judge_one(doc, truth[doc["_id"]], touched, repair, judged, session)
            return judged

        return await atomically(self._mongo, work)

    async def _judge_one(
        self, doc: Doc, truth: _Truth, touched: set[Touch], repair: bool, judged: Judged[int], session: Session
    ) -> None:
        tweet = doc["_id"]
        busy = {name for name in ("likes", "retweets", "replies") if {(name, tweet), UNKNOWN} & touched}
        # Engagement is made of all three.
        uncertain = busy | ({"engagement"} if busy else set())
        wrong = _differing(doc, truth.numbers)
        right = {name: truth.numbers[name] for name in wrong if name not in uncertain}
        judged.drifts.extend(_drifts(_TWEET, doc, right, repair))
        if misplaced := _misplaced(doc):
            # Of the engagement that the document states: the two are written together, so nothing is ever late here.
            places = (sum(field in doc for field in popularity.FIELDS.values()), len(misplaced))
            judged.drifts.append(Drift(Kind.PLACES, tweet, *places, repaired=repair))
        if (right or misplaced) and repair:
            await self._mongo.tweets.update_one({"_id": tweet}, popularity.restate(right), session=session)
        if truth.replies.wrong and "replies" not in busy:
            judged.drifts.extend(await self._restate(tweet, truth.replies, repair, session))
        if (wrong.keys() & uncertain) or (truth.replies.wrong and "replies" in busy):
            judged.busy.append(tweet)

    async def _restate(self, tweet: int, replies: Replies, repair: bool, session: Session) -> list[Drift]:
        for replier, (_, right) in replies.wrong.items() if repair else ():
            number = {"_id": pair_of(tweet, replier)}
            if right:
                await self._mongo.repliers.update_one(number, {"$set": {"n": right}}, upsert=True, session=session)
            else:
                await self._mongo.repliers.delete_one(number, session=session)
        return [
            Drift(Kind.REPLIERS, tweet, stated, right, replier, repair)
            for replier, (stated, right) in replies.wrong.items()
        ]

    async def _truth(self, authors: Mapping[int, int]) -> dict[int, _Truth]:
        """`authors` by tweet."""
        tweets = list(authors)
        likes = await self._recounts.edges("likes", "t", "u", tweets)
        retweets = await self._recounts.entries("retweets", "tweet", tweets)
        liked = await self._recounts.own_likes(authors)
        passed_on = await self._recounts.own_retweets({tweet: authors[tweet] for tweet in tweets if retweets[tweet]})
        replies = await self._recounts.replies(authors)
        return {
            tweet: _Truth(
                {
                    "likes": likes[tweet],
                    "retweets": retweets[tweet],
                    "replies": replies[tweet].total,
                    "engagement": engagement(
                        likes[tweet] - (tweet in liked),
                        retweets[tweet] - (tweet in passed_on),
                        replies[tweet].repliers,
                    ),
                },
                replies[tweet],
            )
            for tweet in tweets
        }


async def slice_of(collection: Any, after: Position, size: int, fields: Doc) -> list[Doc]:
    """The next `size` documents in the order of their ids."""
    cursor = collection.find({"_id": {"$gt": after}} if after is not None else {}, fields).sort("_id", 1).limit(size)
    return [doc async for doc in cursor]


def next_after(docs: Sequence[Doc], size: int) -> Position:
    """Where the slice behind this one begins; None if this is the last."""
    return docs[-1]["_id"] if len(docs) == size else None


async def _living(collection: Any, ids: Sequence[int], alive: Doc, session: Session = None) -> list[Doc]:
    cursor = collection.find({"_id": {"$in": list(ids)}} | alive, session=session)
    return [doc async for doc in cursor]


def _differing(doc: Doc, truth: Mapping[str, int]) -> dict[str, Any]:
    return {name: doc.get(name) for name, number in truth.items() if doc.get(name) != number}


def _drifts(kinds: Mapping[str, Kind], doc: Doc, right: Mapping[str, int], repair: bool) -> list[Drift]:
    return [Drift(kinds[name], doc["_id"], doc.get(name), now, repaired=repair) for name, now in right.items()]


def _suspicious(doc: Doc, truth: _Truth) -> bool:
    return bool(_differing(doc, truth.numbers) or _misplaced(doc) or truth.replies.wrong)


def _misplaced(doc: Doc) -> list[str]:
    """The windows' fields in which the document does not stand where its engagement puts it."""
    right = popularity.places(doc["_id"], doc.get("engagement", 0), doc.get("author_followers", 0))
    return [
        name
        for name in popularity.FIELDS.values()
        if (name in doc) != (name in right) or abs(doc.get(name, 0) - right.get(name, 0)) > _SAME_PLACE
    ]
