"""The home timeline and its live events."""

from functools import lru_cache
from typing import Annotated

import strawberry
from strawberry import Parent

from datastore import records
from datastore.records import CursorKind
from resolvers import retweets, top_tweets
from resolvers.context import Info
from schema import cursors, globalid
from schema.enums import ResyncReason, TimelineSource
from schema.globalid import KEPT
from schema.top_tweets import TopTweet
from schema.tweets import Tweet
from schema.users import First, PageInfo, User


# By the number alone, which is quicker to find than by kind and key.
@lru_cache(KEPT)
def _home_cursor(entry_id: int) -> str:
    return cursors.encode(CursorKind.HOME, (entry_id,))


@strawberry.type(description="One entry of a home timeline.")
class HomeTimelineEdge:
    node: Tweet = strawberry.field(description="The tweet it shows.")
    source: TimelineSource = strawberry.field(description="Why it is here.")
    retweeted_by: User | None = strawberry.field(
        resolver=retweets.retweeted_by, description="The followed user whose retweet brought it here."
    )

    @strawberry.field(description="Its position, for `after`, and its name in live events.")
    def cursor(parent: Parent[records.HomeEdge]) -> str:
        return _home_cursor(parent.entry_id)


@strawberry.type(description="A page of the home timeline.")
class HomeTimelineConnection:
    edges: list[HomeTimelineEdge] = strawberry.field(description="The entries, newest first.")
    nodes: list[Tweet] = strawberry.field(description="Their tweets alone.")

    @strawberry.field(
        description="Where the page lies. It may hold fewer entries than asked for and still have a next page."
    )
    def page_info(parent: Parent[records.HomeTimeline]) -> PageInfo:
        end_id = parent.end_id if parent.has_next or not parent.edges else parent.edges[-1].entry_id
        return PageInfo(
            has_next_page=parent.has_next,
            has_previous_page=parent.has_previous,
            start_cursor=_home_cursor(parent.edges[0].entry_id) if parent.edges else None,
            end_cursor=_home_cursor(end_id) if end_id is not None else None,
        )

    @strawberry.field(
        description="Hand this to homeTimelineEvents(after:): nothing that arrives between the page and the socket "
        "is lost."
    )
    def live_cursor(parent: Parent[records.HomeTimeline]) -> str:
        return cursors.encode_live(parent.live_token)

    @strawberry.field(description="The most popular tweets of the day that the viewer may see, best first.")
    async def top_tweets(parent: Parent[records.HomeTimeline], info: Info, first: First = 5) -> list[TopTweet]:
        return await top_tweets.beside_home(info, first)


@strawberry.type(description="An entry joined the timeline.")
class TimelineTweetAdded:
    edge: HomeTimelineEdge = strawberry.field(description="The entry. Apply it by edge.cursor, idempotently.")

    @strawberry.field(description="The position behind this event, for homeTimelineEvents(after:).")
    def cursor(parent: Parent[records.TweetAdded]) -> str:
        return cursors.encode_live(parent.token)

    @classmethod
    def is_type_of(cls, obj: object, info: object) -> bool:
        return isinstance(obj, records.TweetAdded)


@strawberry.type(description="An entry left the timeline.")
class TimelineTweetRemoved:
    @strawberry.field(description="The position behind this event, for homeTimelineEvents(after:).")
    def cursor(parent: Parent[records.TweetRemoved]) -> str:
        return cursors.encode_live(parent.token)

    @strawberry.field(description="The cursor of the entry that left.")
    def edge_cursor(parent: Parent[records.TweetRemoved]) -> str:
        return _home_cursor(parent.entry_id)

    @strawberry.field(description="The tweet that it showed.")
    def tweet_id(parent: Parent[records.TweetRemoved]) -> strawberry.ID:
        return globalid.encode("Tweet", parent.tweet_id)

    @classmethod
    def is_type_of(cls, obj: object, info: object) -> bool:
        return isinstance(obj, records.TweetRemoved)


@strawberry.type(
    description="What the client holds may differ: fetch homeTimeline again. The subscription goes on: keep the "
    "events that arrive meanwhile and apply them on top of the page, by edge.cursor, idempotently."
)
class TimelineResync:
    reason: ResyncReason = strawberry.field(description="Why.")

    @strawberry.field(description="The position behind this event, for homeTimelineEvents(after:).")
    def cursor(parent: Parent[records.Resync]) -> str:
        return cursors.encode_live(parent.token)

    @classmethod
    def is_type_of(cls, obj: object, info: object) -> bool:
        return isinstance(obj, records.Resync)


HomeTimelineEvent = Annotated[
    TimelineTweetAdded | TimelineTweetRemoved | TimelineResync,
    strawberry.union("HomeTimelineEvent", description="Something happened in the viewer's home timeline."),
]
