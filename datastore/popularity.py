"""Popularity: how a tweet's engagement and age place it among the top tweets. The rule, in Python and for MongoDB.

Engagement e = likes + 2 retweets + distinct repliers, its author's own not counted.
Weight S = (e - 1)^2 * (1 + log10(1 + followers)), with the followers its author had when tweeting.
Score at any moment = S * 0.5^(age / half-life).

Place = log2(S) + created / half-life orders tweets as their scores do at every moment, so it changes only with the
engagement: nothing is ever scored again because time went by. A tweet keeps one place for each window, written by the
very update that moves its counter.
"""

import math
from collections.abc import Mapping
from typing import Any

from datastore import ids
from datastore.records import TopWindow

# Fewer than five people is no public: a handful of friends would fill the list of a quiet hour.
ELIGIBLE_FROM = 5
RETWEET_WEIGHT = 2

HALF_LIFE_MS: Mapping[TopWindow, int] = {
    TopWindow.HOUR: 3600 * 1000,
    TopWindow.DAY: 24 * 3600 * 1000,
    TopWindow.WEEK: 7 * 24 * 3600 * 1000,
}
# The tweet's field with its place in each window; absent unless the tweet is alive and eligible.
FIELDS: Mapping[TopWindow, str] = {window: f"top_{window.lower()}" for window in TopWindow}
# Part of an update that takes a tweet out of every window.
UNPLACE: Mapping[str, str] = dict.fromkeys(FIELDS.values(), "")


def weight(engagement: int, followers: int) -> float:
    """S, for an eligible tweet."""
    return (engagement - 1) ** 2 * (1 + math.log10(1 + followers))


def places(tweet_id: int, engagement: int, followers: int) -> dict[str, float]:
    """The place fields of a live tweet; empty if it is not eligible."""
    if engagement < ELIGIBLE_FROM:
        return {}
    # Not log2: this is how MongoDB's $log computes it, to the last bit.
    log2 = math.log(weight(engagement, followers)) / math.log(2)
    since_ms = ids.at_ms(tweet_id) - ids.EPOCH_MS
    return {field: log2 + since_ms / HALF_LIFE_MS[window] for window, field in FIELDS.items()}


def lowest_place(window: TopWindow, now_ms: int) -> float:
    """The place of a score of 1: whoever stands below it now is listed no more, and comes back only by engagement."""
    return (now_ms - ids.EPOCH_MS) / HALF_LIFE_MS[window]


def score(place: float, window: TopWindow, now_ms: int) -> float:
    """S * 0.5^(age / half-life) of a place at this moment."""
    return float(2.0 ** (place - lowest_place(window, now_ms)))


# Aggregation expressions of MongoDB; what they give is written to the document that they read.
Expression = Any


def unless_author(user_id: int, by: int) -> Expression:
    """`by`, or 0 where the user wrote the tweet."""
    return {"$cond": [{"$eq": ["$author", user_id]}, 0, by]}


def move(counter: str, by: int, engagement: Expression) -> list[dict[str, Any]]:
    """An update that moves one of a tweet's counters and its engagement, and places it anew: one atomic write."""
    moved = {
        counter: {"$add": [f"${counter}", by]},
        "engagement": {"$add": [{"$ifNull": ["$engagement", 0]}, engagement]},
    }
    return [{"$set": moved}, _PLACED]


def restate(numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    """An update that sets counters or the engagement to these numbers, and places the tweet anew: one atomic write."""
    return [{"$set": dict(numbers)}, _PLACED] if numbers else [_PLACED]


def _place(window: TopWindow) -> Expression:
    """`places` as an expression."""
    eligible = {"$and": [{"$eq": ["$alive", True]}, {"$gte": ["$engagement", ELIGIBLE_FROM]}]}
    followers = {"$ifNull": ["$author_followers", 0]}
    factor = {"$add": [1, {"$log10": {"$add": [1, followers]}}]}
    log2 = {"$log": [{"$multiply": [{"$pow": [{"$subtract": ["$engagement", 1]}, 2]}, factor]}, 2]}
    since_ms = {"$floor": {"$divide": ["$_id", 1 << 12]}}
    place = {"$add": [log2, {"$divide": [since_ms, HALF_LIFE_MS[window]]}]}
    return {"$cond": [eligible, place, "$$REMOVE"]}


# The stage behind every change of a counter.
_PLACED: Expression = {"$set": {field: _place(window) for window, field in FIELDS.items()}}
