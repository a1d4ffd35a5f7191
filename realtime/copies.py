"""Copies of tweets and people: how a record is written down, and the few that a process keeps for a moment. Never reads
a store."""

import time
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from typing import Generic, TypeVar

import orjson

from datastore.records import Session, Tweet, User

R = TypeVar("R", Tweet, User, Session)


class Copies(Enum):
    """Which copies a read may use."""

    # Redis has just been seen to be away: one wait for it is enough. Or nobody can have made one yet.
    NONE = "none"
    # Those in Redis, which whoever changed something has dropped before they were answered.
    SHARED = "shared"
    # Those of this process too: for who has changed nothing within the last two seconds.
    ALL = "all"


def tweet_copy(tweet: Tweet) -> str:
    """Everything of a tweet but its id, which is in the key."""
    return _text(
        [
            tweet.author_id,
            tweet.text,
            tweet.in_reply_to_id,
            tweet.reply_author_id,
            tweet.like_count,
            tweet.retweet_count,
            tweet.reply_count,
            tweet.hashtags,
            tweet.mention_ids,
        ]
    )


def tweet_of(tweet_id: int, copy: str) -> Tweet:
    """The tweet of a copy. Raises ValueError or TypeError for what another version of this program wrote."""
    author, text, reply_to, reply_author, likes, retweets, replies, hashtags, mention_ids = orjson.loads(copy)
    lists = tuple(hashtags), tuple(mention_ids)
    return Tweet(tweet_id, author, text, reply_to, reply_author, likes, retweets, replies, *lists)


def user_copy(user: User) -> str:
    """Everything of a profile but its id."""
    return _text(
        [
            user.username,
            user.display_name,
            user.bio,
            user.follower_count,
            user.following_count,
            user.tweet_count,
            user.is_top_user,
        ]
    )


def user_of(user_id: int, copy: str) -> User:
    """The profile of a copy. Raises ValueError or TypeError as `tweet_of` does."""
    return User(user_id, *orjson.loads(copy))


def _text(fields: list[object]) -> str:
    return orjson.dumps(fields).decode()


class ProcessCopies(Generic[R]):
    """The records that this process read last, each for `life_ms` from when its reading began; at most `bound`, the
    oldest go first. No copy outlives a drop in this process; one elsewhere it outlives by its life."""

    def __init__(self, bound: int, life_ms: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._bound = bound
        self._life = life_ms / 1000
        self._clock = clock
        # (when its reading began, the record; None after a drop), oldest first. NOTE: a plain dict has to look for its
        # oldest key behind all that were taken away before.
        self._kept: OrderedDict[int, tuple[float, R | None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def now(self) -> float:
        """When a reading that starts now begins."""
        return self._clock()

    def get(self, record_id: int) -> R | None:
        """The record, if its copy still lives."""
        kept = self._kept.get(record_id)
        return kept[1] if kept and kept[0] > self._clock() - self._life else None

    def put(self, record_id: int, record: R | None, began: float) -> None:
        """Keep what a reading that began then has found, unless what is kept is newer."""
        kept = self._kept.get(record_id)
        if kept and kept[0] >= began:
            return
        self._kept.pop(record_id, None)
        self._kept[record_id] = (began, record)
        if len(self._kept) > self._bound:
            self._kept.popitem(last=False)

    def drop(self, record_id: int) -> None:
        """Keep it no longer, and refuse what a reading that began before now will find."""
        self.put(record_id, None, self._clock())
