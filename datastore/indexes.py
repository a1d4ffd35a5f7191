"""Which collections there are, and the indexes of each. It knows no driver: `datastore.mongo` makes them."""

from collections.abc import Mapping, Sequence
from typing import Any

from datastore import popularity

ASCENDING, DESCENDING = 1, -1

# The fields of an index, in order.
Keys = list[tuple[str, int]]
# What else is said when it is made.
Options = dict[str, Any]

# A document of one of these has the listed secondary indexes; every query of the room is served by one of them or
# by _id. Partial on `alive`: a tombstone costs no entry in an index of lists and no list has to skip it.
# What timelines are read from, and by name: left to itself MongoDB may walk everybody's entries by _id, which is cheap
# for those who follow nearly everybody and ruinous when it keeps the plan for the others.
TWEETS_BY_AUTHOR: Keys = [("author", ASCENDING), ("_id", DESCENDING), ("alive", ASCENDING)]
# What stands behind the _id is looked at, never looked for.
TWEETS_BY_AUTHOR_AND_KIND: Keys = [
    ("author", ASCENDING),
    ("is_reply", ASCENDING),
    ("_id", DESCENDING),
    ("reply_author", ASCENDING),
    ("alive", ASCENDING),
]
REPLIES_BY_AUTHOR: Keys = [("reply_to", ASCENDING), ("author", ASCENDING), ("_id", ASCENDING)]
RETWEETS_BY_AUTHOR: Keys = [("author", ASCENDING), ("_id", DESCENDING), ("of", ASCENDING), ("alive", ASCENDING)]
_LIVE: Options = {"partialFilterExpression": {"alive": True}}
PEOPLE_BY_NAME: Keys = [("name_key", ASCENDING), ("_id", ASCENDING)]
# None is unique: a sharded cluster has no such thing but for the shard key. What one document alone may have is a
# reservation (datastore/reservations.py), whose _id is that value.
INDEXES: Mapping[str, Sequence[tuple[Keys, Options]]] = {
    "users": [
        (PEOPLE_BY_NAME, {}),
        (
            [("email_key", ASCENDING), ("_id", ASCENDING)],
            {"partialFilterExpression": {"email_key": {"$exists": True}}},
        ),
        (
            [("prefixes", ASCENDING), ("name_key", ASCENDING)],
            {"partialFilterExpression": {"prefixes": {"$exists": True}}},
        ),
        # Tombstones with an unfinished purge: empty nearly always.
        ([("purge.due", ASCENDING)], {"partialFilterExpression": {"purge.due": {"$exists": True}}}),
    ],
    "tweets": [
        (TWEETS_BY_AUTHOR, _LIVE),
        (TWEETS_BY_AUTHOR_AND_KIND, _LIVE),
        ([("reply_to", ASCENDING), ("_id", DESCENDING)], _LIVE),
        # Terms are there exactly as long as the tweet is alive. Partial on themselves and not on `alive`, since a query
        # that must also ask for `alive` reads documents where the index alone would answer.
        ([("terms", ASCENDING), ("_id", DESCENDING)], {"partialFilterExpression": {"terms": {"$exists": True}}}),
        # For purges alone: of those the text names, and of the author.
        ([("mentions", ASCENDING)], {"partialFilterExpression": {"mentions": {"$exists": True}}}),
        ([("author", ASCENDING)], {"partialFilterExpression": {"deleted_at": {"$exists": True}}}),
        # For recounts of what very many have answered: replier by replier.
        (
            REPLIES_BY_AUTHOR,
            {"partialFilterExpression": {"alive": True, "reply_to": {"$exists": True}}},
        ),
        # The place among the top tweets: only what is alive and eligible has one.
        *(
            ([(field, DESCENDING), ("_id", DESCENDING)], {"partialFilterExpression": {field: {"$exists": True}}})
            for field in popularity.FIELDS.values()
        ),
    ],
    # The pair {a: author, f: follower} is the _id, in this order: ranges over _id are "followers of a".
    "follows": [
        ([("_id.a", ASCENDING), ("at", DESCENDING), ("_id.f", DESCENDING)], {}),
        ([("_id.f", ASCENDING), ("at", DESCENDING), ("_id.a", DESCENDING)], {}),
        ([("_id.f", ASCENDING), ("_id.a", ASCENDING), ("top", ASCENDING)], {"partialFilterExpression": {"top": True}}),
    ],
    # The pair {t: tweet, u: user} is the _id.
    "likes": [
        ([("_id.t", ASCENDING), ("at", DESCENDING), ("_id.u", DESCENDING)], {}),
        ([("_id.u", ASCENDING), ("at", DESCENDING), ("_id.t", DESCENDING)], {}),
    ],
    # The triple {o: owner, k: "block" or "mute", t: target} is the _id.
    "blocks": [
        ([("_id.o", ASCENDING), ("_id.k", ASCENDING), ("at", DESCENDING), ("_id.t", DESCENDING)], {}),
        # Those of many owners or targets, and for the purge of the target.
        ([("_id.t", ASCENDING), ("_id.o", ASCENDING), ("_id.k", ASCENDING)], {}),
    ],
    "retweets": [
        # What stands behind the tweet is looked at, never looked for.
        ([("author", ASCENDING), ("tweet", ASCENDING), ("bucket", ASCENDING), ("alive", ASCENDING)], _LIVE),
        (RETWEETS_BY_AUTHOR, _LIVE),
        ([("tweet", ASCENDING), ("_id", DESCENDING)], _LIVE),
        # For the purge of their author alone.
        ([("author", ASCENDING)], {"partialFilterExpression": {"undone_at": {"$exists": True}}}),
    ],
    # Reservations: the _id is the value, `of` the document that has it.
    "names": [],
    # For the purge of who had the address: nothing else still tells which one it was.
    "emails": [([("of", ASCENDING)], {})],
    # The pair {a: author, t: tweet} is the _id.
    "retweet_pairs": [],
    "import_keys": [],
    # The pair {t: answered tweet, a: replier} is the _id.
    "repliers": [
        ([("_id.t", ASCENDING), ("_id.a", ASCENDING), ("n", ASCENDING)], {}),
        # For the purge of the replier alone.
        ([("_id.a", ASCENDING)], {}),
    ],
    "sessions": [
        ([("user", ASCENDING), ("_id", DESCENDING)], {}),
        ([("expires", ASCENDING)], {"expireAfterSeconds": 0}),
    ],
    "idempotency": [([("at", ASCENDING)], {"expireAfterSeconds": 24 * 3600})],
    "trails": [([("at", ASCENDING)], {"expireAfterSeconds": 600})],
    "system": [],
}
