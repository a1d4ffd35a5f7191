"""Top tweets: the list, its pages, and its changes."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import Parent

from datastore import records
from datastore.records import CursorKind
from schema import cursors, enums
from schema.tweets import Tweet
from schema.users import PageInfo, edge_cursor

Window = Annotated[
    enums.TopWindow | None, strawberry.argument(description="Over what time a score halves. Null is the default.")
]


@strawberry.type(description="A tweet among the most popular ones.")
class TopTweet:
    rank: int = strawberry.field(
        description="Its place, from 1, in the list that is the same for everybody: the rank of a tweet that the "
        "viewer may not see is skipped."
    )
    score: float = strawberry.field(
        description="(engagements - 1)^2 * (1 + log10(1 + followers)), halved for each window of age. Engagements are "
        "likes, two for each retweet, and distinct repliers, the author's own not counted."
    )
    tweet: Tweet = strawberry.field(description="The tweet.")


@strawberry.type(description="A top tweet in a list.")
class TopTweetEdge:
    cursor: str = edge_cursor()
    node: TopTweet = strawberry.field(description="The tweet and its rank.")


@strawberry.type(description="A page of top tweets.")
class TopTweetConnection:
    edges: list[TopTweetEdge] = strawberry.field(description="The tweets with their places in the list, best first.")
    nodes: list[TopTweet] = strawberry.field(description="The tweets and their ranks alone.")
    computed_at: datetime = strawberry.field(description="When the ranks and scores were so.")

    @strawberry.field(
        description="Where the page lies. It may hold fewer tweets than asked for and still have a next page."
    )
    def page_info(parent: Parent[records.TopTweetPage]) -> PageInfo:
        end_key = parent.end_key if parent.has_next or not parent.edges else parent.edges[-1].key
        return PageInfo(
            has_next_page=parent.has_next,
            has_previous_page=parent.has_previous,
            start_cursor=cursors.encode(CursorKind.TOP_TWEETS, parent.edges[0].key) if parent.edges else None,
            end_cursor=cursors.encode(CursorKind.TOP_TWEETS, end_key) if end_key is not None else None,
        )


@strawberry.type(description="The top tweets changed.")
class TopTweetsChanged:
    computed_at: datetime = strawberry.field(description="When the ranks and scores were so.")
    top_tweets: list[TopTweet] = strawberry.field(description="The whole list, best first.")
