"""Events: what may happen, which changes of MongoDB's documents tell of it, and how each is read. Reads no stream.

A write is its own announcement: nothing else has to happen after it for its event to be seen, however the writer dies.
"""

from dataclasses import dataclass
from enum import StrEnum

from datastore import ids, popularity
from datastore.mongo import Doc
from datastore.records import Hiding


class EventName(StrEnum):
    """What happened."""

    TWEET_POSTED = "TweetPosted"
    TWEET_DELETED = "TweetDeleted"
    TWEET_LIKED = "TweetLiked"
    TWEET_UNLIKED = "TweetUnliked"
    TWEET_RANKED = "TweetRanked"
    TWEET_CHANGED = "TweetChanged"
    TWEET_RETWEETED = "TweetRetweeted"
    RETWEET_UNDONE = "RetweetUndone"
    USER_FOLLOWED = "UserFollowed"
    USER_UNFOLLOWED = "UserUnfollowed"
    USER_CHANGED = "UserChanged"
    USER_DELETED = "UserDeleted"
    USER_PROMOTED = "UserPromoted"
    USER_DEMOTED = "UserDemoted"
    FOLLOW_DOUBTED = "FollowDoubted"
    BLOCK_CHANGED = "BlockChanged"
    MUTE_CHANGED = "MuteChanged"
    HEARTBEAT = "Heartbeat"


@dataclass(frozen=True, slots=True)
class Event:
    """Ids only. `bucket` is the author's, in [0, 1024): events of one author keep their order.

    TweetPosted, TweetDeleted: subject_id is the tweet. TweetPosted, TweetRetweeted: other_id is who made it, 0 where an
    older version relayed it. TweetLiked, TweetUnliked: subject_id is the tweet, other_id who
    likes it; the counter may not have moved yet. TweetRanked: a counter has moved, and with it the place of the tweet
    subject_id among the top tweets (datastore.popularity); tweets that are not eligible raise none.
    TweetChanged, UserChanged: something of the tweet or the person that is shown is another now, be it a counter.
    TweetRetweeted, RetweetUndone: it is the retweet, and the
    bucket is the retweeter's. UserFollowed, UserUnfollowed: it is the author, other_id the follower. UserPromoted,
    UserDemoted: it crossed the threshold of top users; raised by the worker that handled the follow or unfollow.
    FollowDoubted: the follow may not say which road its author takes; raised by the reconciler, ids as of UserFollowed.
    BlockChanged, MuteChanged (made or ended): it is who did it, other_id whom it is about. UserDeleted: it is the
    user. Heartbeat: it is a number that grows; it goes to every partition.
    """

    name: EventName
    bucket: int
    subject_id: int
    other_id: int = 0


# Those whose subject is a new entry of timelines: its id says when it was made.
ENTRY_MADE = frozenset({EventName.TWEET_POSTED, EventName.TWEET_RETWEETED})


# What is shown of a tweet or a person and may change; counters move behind what they count, in a write of their own.
_SHOWN = {
    "tweets": ("likes", "retweets", "replies", "mentions", "reply_author"),
    "users": ("display_name", "bio", "followers", "following", "tweets", "top"),
}


def _changed(collection: str) -> Doc:
    """Matches updates of what is shown, but for the counters that an import moves: it drops every copy at its end."""
    shown = _SHOWN[collection]
    fields: list[Doc] = [{f"updateDescription.updatedFields.{field}": {"$exists": True}} for field in shown]
    shortened = {"updateDescription.truncatedArrays.field": {"$in": shown}}
    return {
        "ns.coll": collection,
        "operationType": "update",
        "updateDescription.updatedFields.imports": {"$exists": False},
        "$or": [*fields, shortened],
    }


# An eligible tweet has a place in every window. They move together, except where a repair sets one of them right.
_PLACED: list[Doc] = [
    moved
    for field in popularity.FIELDS.values()
    for moved in (
        {f"updateDescription.updatedFields.{field}": {"$exists": True}},
        {"updateDescription.removedFields": field},
    )
]
# Imported documents raise no events. A tombstone is an update that sets deleted_at.
PIPELINE: list[Doc] = [
    {
        "$match": {
            "$or": [
                {"ns.coll": "tweets", "operationType": "insert", "fullDocument.imported": {"$ne": True}},
                {
                    "ns.coll": "tweets",
                    "operationType": "update",
                    "updateDescription.updatedFields.deleted_at": {"$exists": True},
                },
                {
                    "ns.coll": "tweets",
                    "operationType": "update",
                    "$or": _PLACED,
                },
                *map(_changed, _SHOWN),
                {"ns.coll": "likes", "operationType": "insert", "fullDocument.imported": {"$ne": True}},
                {"ns.coll": "likes", "operationType": "delete"},
                {"ns.coll": "retweets", "operationType": "insert", "fullDocument.imported": {"$ne": True}},
                {
                    "ns.coll": "retweets",
                    "operationType": "update",
                    "updateDescription.updatedFields.undone_at": {"$exists": True},
                },
                {"ns.coll": "follows", "operationType": "insert", "fullDocument.imported": {"$ne": True}},
                {"ns.coll": "follows", "operationType": "delete"},
                {
                    "ns.coll": "users",
                    "operationType": "update",
                    "updateDescription.updatedFields.deleted_at": {"$exists": True},
                },
                {"ns.coll": "blocks", "operationType": {"$in": ["insert", "delete"]}},
                {"ns.coll": "system", "documentKey._id": "heartbeat"},
            ]
        }
    },
    {
        "$project": {
            "operationType": 1,
            "ns.coll": 1,
            "documentKey": 1,
            "fullDocument.author": 1,
            "updateDescription.updatedFields.beat": 1,
            "updateDescription.updatedFields.deleted_at": 1,
            **{f"updateDescription.updatedFields.{field}": 1 for field in popularity.FIELDS.values()},
            "updateDescription.removedFields": 1,
        }
    },
]


def event_of(doc: Doc) -> Event:
    """What a document of the stream tells, as `PIPELINE` leaves it."""
    collection, key = doc["ns"]["coll"], doc["documentKey"]["_id"]
    inserted = doc["operationType"] == "insert"
    update = doc.get("updateDescription", {})
    updated = update.get("updatedFields", {})
    if collection == "tweets":
        name = EventName.TWEET_POSTED if inserted else _of_tweet(update)
        return Event(name, ids.bucket(key), key, _author(doc))
    if collection == "likes":
        name = EventName.TWEET_LIKED if inserted else EventName.TWEET_UNLIKED
        return Event(name, ids.bucket(key["t"]), key["t"], key["u"])
    if collection == "retweets":
        name = EventName.TWEET_RETWEETED if inserted else EventName.RETWEET_UNDONE
        return Event(name, ids.bucket(key), key, _author(doc))
    if collection == "blocks":
        name = EventName.BLOCK_CHANGED if key["k"] == Hiding.BLOCK else EventName.MUTE_CHANGED
        return Event(name, ids.spread(key["o"], ids.AUTHOR_BUCKETS), key["o"], key["t"])
    if collection == "follows":
        name = EventName.USER_FOLLOWED if inserted else EventName.USER_UNFOLLOWED
        return Event(name, ids.spread(key["a"], ids.AUTHOR_BUCKETS), key["a"], key["f"])
    if collection == "users":
        name = EventName.USER_DELETED if "deleted_at" in updated else EventName.USER_CHANGED
        return Event(name, ids.spread(key, ids.AUTHOR_BUCKETS), key)
    return Event(EventName.HEARTBEAT, 0, updated.get("beat", 0))


def _author(doc: Doc) -> int:
    """Who made what was inserted; 0 for what was updated, whose document is not told."""
    author_id: int = doc.get("fullDocument", {}).get("author", 0)
    return author_id


def _of_tweet(update: Doc) -> EventName:
    updated = update.get("updatedFields", {})
    if "deleted_at" in updated:
        return EventName.TWEET_DELETED
    moved = {*updated, *update.get("removedFields", ())} & {*popularity.FIELDS.values()}
    return EventName.TWEET_RANKED if moved else EventName.TWEET_CHANGED
