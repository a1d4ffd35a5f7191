"""Every Redis key and channel of Perch, with its type, bound and lifetime. Nothing else spells one.

The Lua scripts build the same names from (bucket, reader): a change here is a change there (lua/common.lua).
"""

from functools import lru_cache

from datastore import ids
from datastore.records import TopWindow

# The hash tag of Redis Cluster: a reader's keys lie in one slot, and there are few enough buckets to group by.
READER_BUCKETS = 64
# Spreading an id costs ten times what looking it up does; so many take some 10 MB.
TAILS_KEPT = 65_536


# What may be dropped at any moment and is rebuilt on read: timelines, presence, streams, recent lists.
REBUILT_ON_READ = ("tl:*", "on:*", "ev:*", "recent:*")
# Of these: who is present, and what they have been told. In this order, since a presence begins its stream anew.
LIVE = ("on:*", "ev:*")
# Copies of records: what may be dropped at any moment and is read from MongoDB again.
COPIES = ("tweet:*", "user:*")
# The first words of all that can be rebuilt: a primary of a cluster is emptied of it when it may have missed something.
DERIVED = frozenset({"tl", "on", "ev", "recent", "top", "tweet", "user"})


def bucket(reader_id: int) -> int:
    """The reader's bucket, in [0, 64)."""
    return ids.spread(reader_id, READER_BUCKETS)


@lru_cache(TAILS_KEPT)
def tail(reader_id: int) -> str:
    """What follows the colon in every key of this reader's."""
    return f"{{{bucket(reader_id)}}}:{reader_id}"


def timeline(reader_id: int) -> str:
    """List of entry ids, newest first, and behind them one sentinel (see lua/common.lua).

    At most TRIM_AT + 1 of them; lives INACTIVE_DAYS from the last read.
    """
    return f"tl:{tail(reader_id)}"


def presence(reader_id: int) -> str:
    """Hash with one field, `last`: the token of the newest numbered event. Lives PRESENCE_SECONDS, renewed by open
    subscriptions."""
    return f"on:{tail(reader_id)}"


def reader_stream(reader_id: int) -> str:
    """Stream of (p: previous token, t: token, d: payload), about EVENTS_KEPT entries, lives PRESENCE_SECONDS."""
    return f"ev:{tail(reader_id)}"


def reader_channel(reader_id: int) -> str:
    """Sharded channel: "previous token:token:payload" of each numbered event, and behind the payload of a push whom it
    concerns (realtime.reader.Said)."""
    return f"live:{tail(reader_id)}"


def top_tweets(window: TopWindow) -> str:
    """Sorted set, member = tweet id in 16 digits, score = its place (datastore.popularity), and one sentinel at the
    highest rank (see lua/top_rank.lua). At most 11,001 members; lives an hour from its rebuild."""
    return f"top:{{top}}:{window.lower()}"


def top_snapshots(window: TopWindow) -> str:
    """List of the ids of this window's snapshots, newest first; at most 64, lives 5 minutes from the newest.

    A snapshot is the sorted set `<this key>:<id>`: at most 1,000 of the list's members, and above them `at:` with when
    it was made, in ms; lives 5 minutes."""
    return f"top:{{top}}:{window.lower()}:snaps"


def top_latest(window: TopWindow) -> str:
    """String: the id of a snapshot that is still the present list. Lives a second, dropped by the first change."""
    return f"top:{{top}}:{window.lower()}:latest"


def top_channel(window: TopWindow) -> str:
    """Sharded channel: a message says that the best of the list changed, not how."""
    return f"live:{{top}}:{window.lower()}"


def recent(author_id: int) -> str:
    """List of a top user's newest entry ids, in the form of a timeline. Same bound and lifetime; one slot for
    all, since a page reads several together."""
    return f"recent:{{top}}:{author_id}"


def tweet_copy(tweet_id: int) -> str:
    """String: a tweet's fields as JSON, without any viewer's; lives CACHE_SECONDS. Or the lease of who is about to
    make one, which lives a second (realtime/cache.py)."""
    return f"tweet:{{{bucket(tweet_id)}}}:{tweet_id}"


def user_copy(user_id: int) -> str:
    """String: a profile's fields as JSON; email and password are not among them. Otherwise as a tweet's."""
    return f"user:{{{bucket(user_id)}}}:{user_id}"


def wrote(user_id: int) -> str:
    """String: this person has just changed something. Lives two seconds."""
    return f"wrote:{{{bucket(user_id)}}}:{user_id}"


def of_user(user_id: int) -> list[str]:
    """Every key here whose name holds this person's id. Budgets are in realtime/limits.py.

    NOTE: a new kind of key with a person's id in it belongs here, or it outlives the person.
    """
    own = [timeline(user_id), presence(user_id), reader_stream(user_id), recent(user_id)]
    return [*own, user_copy(user_id), wrote(user_id)]


# The shared stream of top users' entries, numbered as a reader's own is: hash, stream (about TOP_EVENTS_KEPT entries)
# and channel. No lifetime: there is one of each.
TOP_PRESENCE = "on:{top}"
TOP_STREAM = "ev:{top}"
TOP_CHANNEL = "live:{top}"


def activity_channel(user_id: int) -> str:
    """Sharded channel: "deed:id" of what this person does (realtime/topics.py)."""
    return f"act:{{{bucket(user_id)}}}:{user_id}"


def tweet_channel(tweet_id: int) -> str:
    """Sharded channel: an empty message when something happened to this tweet."""
    return f"tw:{{{bucket(tweet_id)}}}:{tweet_id}"


def events(partition: int) -> str:
    """Stream of events by author bucket, ids only; trimmed to what is not yet acknowledged.

    All that the pipeline keeps is in one slot of Redis Cluster: a batch is appended whole or not at all, and the server
    of that slot can be one that keeps what it has on disk.
    """
    return f"events:{{events}}:{partition}"


def lease(partition: int) -> str:
    """String: the worker that reads the partition now. Lives LEASE_SECONDS, renewed."""
    return f"lease:{{events}}:{partition}"


# Sorted set, worker -> when its registration ends, in milliseconds; workers share the partitions evenly.
WORKERS = "lease:{events}:workers"
# String: who relays into this very data set. Gone after a flush, and then the relay rewinds.
RELAY_MARK = "relay:{events}:mark"
# Sorted set, partition by the last heartbeat that was handled there with everything before it. It only grows.
HEARTBEATS = "relay:{events}:passed"
# Stream of events that failed five times, with the reason; at most 10,000.
DEAD_LETTERS = "events:{events}:dead"
# On Redis Cluster only. Sets of slots whose primary missed writes and is to be emptied of what can be rebuilt when it
# answers again (realtime/primaries.py): those that wait, and those that are at it.
MISSED = "relay:{events}:missed"
CLEARING = "relay:{events}:clearing"
# On Redis Cluster only. Hash, id of a primary -> its run id when the relay last saw it.
PRIMARIES = "relay:{events}:primaries"
# The one consumer group of every event stream.
GROUP = "workers"


def budget(action: str, who: str) -> str:
    """String: the theoretical arrival time of GCRA in microseconds. Lives until the budget is full again."""
    return f"rate:{action}:{who}"
