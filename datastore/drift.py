"""Drift: what the reconciler compares, and what it says about a difference. Standard library only; touches no store."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar

S = TypeVar("S")
# Where a comparison stands; opaque to everybody else, kept in MongoDB. None is the start, and the end.
Position: TypeAlias = Any


class Kind(StrEnum):
    """What is derived from something else, and so may differ from it."""

    FOLLOWERS = "user.followers"
    FOLLOWING = "user.following"
    TWEETS = "user.tweets"
    NAMES = "user.names"
    NAME_RESERVED = "user.name_reserved"
    EMAIL_RESERVED = "user.email_reserved"
    LIKES = "tweet.likes"
    RETWEETS = "tweet.retweets"
    REPLIES = "tweet.replies"
    ENGAGEMENT = "tweet.engagement"
    REPLIERS = "tweet.repliers"
    PLACES = "tweet.places"
    TERMS = "tweet.terms"
    MENTIONS = "tweet.mentions"
    REPLY_AUTHOR = "tweet.reply_author"
    IMPORT_RESERVED = "tweet.import_reserved"
    RETWEETED = "retweet.of"
    PAIR_RESERVED = "retweet.pair_reserved"
    ROAD = "author.road"
    FLAG = "follow.top"
    TIMELINE = "timeline"
    RECENT = "recent"
    TOP_TWEETS = "top_tweets"


@dataclass(frozen=True, slots=True)
class Drift:
    """A difference that is none of a write under way. `subject_id`: of the user, author, reader or tweet; `other_id`:
    the follower of a FLAG, the replier of a REPLIERS, the number of the window of a TOP_TWEETS. `was` and `now` are
    numbers, or how many; never a text."""

    kind: Kind
    subject_id: int
    was: Any
    now: Any
    other_id: int = 0
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Look(Generic[S]):
    """One slice, looked at once: how many were compared, those that differ now, and where the next slice begins."""

    compared: int
    suspects: list[S]
    after: Position


@dataclass(frozen=True, slots=True)
class Judged(Generic[S]):
    """Suspects looked at again: those that have drifted, and those that cannot be told from writes under way."""

    drifts: list[Drift]
    busy: list[S]


class Repairing:
    """For a comparison that writes its repairs itself."""

    async def repaired(self, drifts: Sequence[Drift]) -> set[tuple[int, int]]:
        """Those that were."""
        return {(drift.subject_id, drift.other_id) for drift in drifts if drift.repaired}


class Comparison(Protocol[S]):
    """One way to find drift. `name` is where a pass stands; each of `kinds` is compared for everything it looks at."""

    name: ClassVar[str]
    kinds: ClassVar[Sequence[Kind]]

    async def look(self, after: Position, size: int) -> Look[S]:
        """The slice behind `after`: at most about `size` of them. A difference seen once is only a suspicion."""

    async def judge(self, suspects: Sequence[S], since: Any, repair: bool) -> Judged[S]:
        """What is wrong with the suspects for good, repaired if asked for. Every write that began before `since` has
        ended by now, one way or the other, and every event of before has been handled."""

    async def repaired(self, drifts: Sequence[Drift]) -> set[tuple[int, int]]:
        """The (subject, other) of those that are right now; asked when all that `judge` raised has been handled."""
