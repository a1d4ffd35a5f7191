"""Ids: one 53-bit integer that is at once identity, order, score and shard. Standard library only; touches no store.

Layout, high to low: 41 bits of milliseconds since 2006-01-01 UTC (lasts to 2075) · 10 bits of author bucket ·
1 bit of kind · 1 tie-breaker. 53 bits are exact in a Redis score (a double) and in JavaScript.
"""

import time
from datetime import UTC, datetime
from enum import IntEnum
from random import SystemRandom

# Imports have a past, so the epoch is the year of the first tweet.
EPOCH_MS = 1_136_073_600_000
AUTHOR_BUCKETS = 1024
MAX_ID = (1 << 53) - 1
_LOW_BITS = 12
_MASK64 = (1 << 64) - 1
_random = SystemRandom()


class Kind(IntEnum):
    """What an id of a timeline entry names. Ids of people and sessions carry TWEET's bit and nobody reads it."""

    TWEET = 0
    RETWEET = 1


# By number: looked up, which is cheaper than being made.
_KINDS = tuple(Kind)


def now_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def spread(value: int, buckets: int) -> int:
    """The bucket of `value`, in [0, buckets): the same on every machine and in every version.

    The mix is the finaliser of splitmix64 (Steele, Lea, Flood 2014), so that neighbouring ids part.
    """
    value = (value + 0x9E3779B97F4A7C15) & _MASK64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK64
    return (value ^ (value >> 31)) % buckets


def new(at_ms: int, author_id: int | None = None, kind: Kind = Kind.TWEET, tie: int | None = None) -> int:
    """A fresh id for something made at `at_ms`; `author_id` decides its bucket (None: a random one, for people).

    Two of one author's ids of one kind in one millisecond share all but the tie-breaker: a clash is refused by the
    unique `_id`, and the writer tries again with a later `at_ms`. Raises ValueError outside 2006 to 2075.
    """
    since = at_ms - EPOCH_MS
    if not 0 <= since < 1 << 41:
        raise ValueError("an id's time lies between 2006 and 2075")
    bucket = _random.getrandbits(10) if author_id is None else spread(author_id, AUTHOR_BUCKETS)
    tie = _random.getrandbits(1) if tie is None else tie
    return since << _LOW_BITS | bucket << 2 | kind << 1 | tie


def first_at(at_ms: int) -> int:
    """The lowest id of that millisecond."""
    return (at_ms - EPOCH_MS) << _LOW_BITS


def at_ms(id_: int) -> int:
    """When the id was made, in milliseconds since the Unix epoch."""
    return (id_ >> _LOW_BITS) + EPOCH_MS


def created_at(id_: int) -> datetime:
    """When the id was made, in UTC."""
    return datetime.fromtimestamp(at_ms(id_) / 1000, UTC)


def bucket(id_: int) -> int:
    """The author bucket, in [0, 1024)."""
    return id_ >> 2 & (AUTHOR_BUCKETS - 1)


def key(id_: int) -> dict[str, int]:
    """The document of a tweet or retweet as a query: by its shard key, so that one shard is asked and not all."""
    return {"bucket": bucket(id_), "_id": id_}


def kind(id_: int) -> Kind:
    """Whether the id names a tweet or a retweet."""
    return _KINDS[id_ >> 1 & 1]
