"""Records: the frozen shapes that cross rooms. Standard library only; no behaviour beyond what their own fields say."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from datastore import ids

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class User:
    """A profile, as anyone may see it."""

    id: int
    username: str
    display_name: str
    bio: str
    follower_count: int
    following_count: int
    tweet_count: int
    is_top_user: bool

    @property
    def created_at(self) -> datetime:
        return ids.created_at(self.id)


@dataclass(frozen=True, slots=True)
class Roads:
    """How an author's entries reach their followers, by entry id: pushed into timelines, or pulled by pages (the top
    road). `switches` are (first id, whether it is the top road from there), oldest first."""

    follower_count: int
    is_top: bool
    switches: tuple[tuple[int, bool], ...]

    def is_pulled(self, entry_id: int) -> bool:
        """Whether this entry takes the top road: a function of its id and the log, the same at every retry."""
        pulled = False
        for first_id, top in self.switches:
            if entry_id >= first_id:
                pulled = top
        return pulled


@dataclass(frozen=True, slots=True)
class Account:
    """What one logs into. Only its owner sees `email`; `password_hash` is None for imported people."""

    user: User
    email: str | None
    password_hash: str | None


@dataclass(frozen=True, slots=True)
class Session:
    """One log-in on one device."""

    id: int
    user_id: int
    last_used_at: datetime
    user_agent: str | None
    expires_at: datetime

    @property
    def created_at(self) -> datetime:
        return ids.created_at(self.id)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a log-in hands out. The refresh token is shown once and kept only as a hash."""

    access_token: str
    access_token_expires_at: datetime
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Tweet:
    """A tweet that is not deleted. `reply_author_id` is the author of the answered tweet, None if it answers none.

    `hashtags` are as written, without the sign; `mention_ids` the people it names.
    """

    id: int
    author_id: int
    text: str
    in_reply_to_id: int | None
    reply_author_id: int | None
    like_count: int
    retweet_count: int
    reply_count: int
    hashtags: tuple[str, ...] = ()
    mention_ids: tuple[int, ...] = ()

    @property
    def created_at(self) -> datetime:
        return ids.created_at(self.id)

    @property
    def is_reply(self) -> bool:
        return self.in_reply_to_id is not None

    def concerns(self, retweeter_id: int | None = None) -> tuple[int, ...]:
        """Whose standing with a viewer decides whether they are shown it, as it is or passed on. It never changes."""
        people = (self.author_id, retweeter_id, self.reply_author_id)
        return tuple(person for person in people if person is not None)


class Hiding(StrEnum):
    """How one person hides another."""

    BLOCK = "block"
    MUTE = "mute"


@dataclass(frozen=True, slots=True)
class Regard:
    """How the viewer and another person stand."""

    blocks: bool
    mutes: bool
    blocked_by: bool

    @property
    def apart(self) -> bool:
        """One of the two blocks the other: neither is shown what the other writes."""
        return self.blocks or self.blocked_by


@dataclass(frozen=True, slots=True)
class Retweet:
    """A tweet passed on by `author_id`. `id` is its entry in timelines."""

    id: int
    author_id: int
    tweet_id: int


class CursorKind(StrEnum):
    """Which list a cursor belongs to: a cursor of one list is refused by another."""

    HOME = "h"
    USER_TWEETS = "t"
    FOLLOWERS = "f"
    FOLLOWING = "g"
    LIKERS = "l"
    USER_LIKES = "k"
    RETWEETERS = "r"
    REPLIES = "p"
    BLOCKED = "b"
    MUTED = "m"
    LIVE = "e"
    FOUND_TWEETS = "s"
    FOUND_USERS = "u"
    TOP_TWEETS = "o"


# A keyset position: the sort key of one edge, most significant part first.
Key = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Edge(Generic[T]):
    """One row of a page. `key` is its keyset position; `since` says when a follow or like was made."""

    kind: CursorKind
    key: Key
    node: T
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of edges in list order. `has_previous` is true when a cursor was given: relay allows the cheap answer."""

    edges: list[Edge[T]]
    has_next: bool
    has_previous: bool
    # Where the next page starts if rows at the end of this one were left out; None: behind the last edge.
    end: tuple[CursorKind, Key] | None = None

    @property
    def nodes(self) -> list[T]:
        return [edge.node for edge in self.edges]


class TopWindow(StrEnum):
    """Over what time a tweet's score halves."""

    HOUR = "HOUR"
    DAY = "DAY"
    WEEK = "WEEK"


@dataclass(frozen=True, slots=True)
class TopTweet:
    """A tweet and its place, from 1, in the list that is the same for everybody: where the viewer may not see one,
    its rank is skipped."""

    rank: int
    score: float
    tweet: Tweet


@dataclass(frozen=True, slots=True)
class TopTweetPage:
    """A page of top tweets, best first, as they stood at `computed_at`."""

    edges: list[Edge[TopTweet]]
    has_next: bool
    has_previous: bool
    computed_at: datetime
    # Behind the last row that was looked at, be it shown or filtered away; None if there was none.
    end_key: Key | None = None

    @property
    def nodes(self) -> list[TopTweet]:
        return [edge.node for edge in self.edges]


@dataclass(frozen=True, slots=True)
class TopTweetsChanged:
    """The top tweets as they stand at `computed_at`, best first."""

    computed_at: datetime
    top_tweets: list[TopTweet]


class UserTweetFilter(StrEnum):
    """Which of a user's tweets a list holds."""

    TWEETS = "TWEETS"
    TWEETS_AND_REPLIES = "TWEETS_AND_REPLIES"
    RETWEETS = "RETWEETS"


class SearchScope(StrEnum):
    """Whose tweets are searched."""

    EVERYONE = "EVERYONE"
    FOLLOWING = "FOLLOWING"


class TimelineSource(StrEnum):
    """Why an entry is in a home timeline."""

    FOLLOWING = "FOLLOWING"
    RETWEET = "RETWEET"
    TOP_USER = "TOP_USER"
    SELF = "SELF"


@dataclass(frozen=True, slots=True)
class HomeEdge:
    """One entry of a home timeline: `entry_id` orders it, `node` is the tweet it shows, `retweeter_id` is who passed
    it on if it is a retweet."""

    entry_id: int
    node: Tweet
    source: TimelineSource
    retweeter_id: int | None = None


@dataclass(frozen=True, slots=True)
class HomeTimeline:
    """A page of entries, newest first. `live_token` is the position in the reader's event stream read before the
    page was; empty when the page was served without Redis."""

    edges: list[HomeEdge]
    has_next: bool
    has_previous: bool
    live_token: str
    # Where the next page starts when the last rows of this one were filtered away; None: after the last edge.
    end_id: int | None = None

    @property
    def nodes(self) -> list[Tweet]:
        return [edge.node for edge in self.edges]


class ResyncReason(StrEnum):
    """Why what the client holds may differ from the timeline."""

    WINDOW_EXCEEDED = "WINDOW_EXCEEDED"
    STATE_LOST = "STATE_LOST"
    SLOW_CONSUMER = "SLOW_CONSUMER"
    FOLLOWS_CHANGED = "FOLLOWS_CHANGED"


@dataclass(frozen=True, slots=True)
class TweetAdded:
    """An entry joined the home timeline; `token` is the position after it."""

    token: str
    edge: HomeEdge


@dataclass(frozen=True, slots=True)
class TweetRemoved:
    """An entry left the home timeline."""

    token: str
    entry_id: int
    tweet_id: int


@dataclass(frozen=True, slots=True)
class Resync:
    """What the client holds may differ: it should fetch the timeline again."""

    token: str
    reason: ResyncReason


HomeTimelineEvent = TweetAdded | TweetRemoved | Resync


@dataclass(frozen=True, slots=True)
class Bill:
    """What an operation was charged, and how its caller's budget of `limit` stands after it; full again at
    `resets_at` if nothing more is asked."""

    limit: int
    cost: int
    remaining: int
    resets_at: datetime


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """What an import did, in rows."""

    read: int = 0
    added: int = 0
    present: int = 0
    bad: int = 0
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PostedTweet:
    """Somebody posted a tweet."""

    tweet: Tweet


@dataclass(frozen=True, slots=True)
class DeletedTweet:
    """Somebody deleted a tweet."""

    tweet_id: int


@dataclass(frozen=True, slots=True)
class LikedTweet:
    """Somebody liked a tweet."""

    tweet: Tweet


@dataclass(frozen=True, slots=True)
class Retweeted:
    """Somebody retweeted a tweet."""

    tweet: Tweet


@dataclass(frozen=True, slots=True)
class FollowedUser:
    """Somebody followed a user."""

    user: User


UserActivity = PostedTweet | DeletedTweet | LikedTweet | Retweeted | FollowedUser


@dataclass(frozen=True, slots=True)
class TweetCounts:
    """A watched tweet's counts have changed."""

    tweet: Tweet


@dataclass(frozen=True, slots=True)
class TweetGone:
    """A watched tweet is gone."""

    tweet_id: int


TweetEvent = TweetCounts | TweetGone
