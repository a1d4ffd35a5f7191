"""Tweets and their connection."""

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET, Parent

from datastore import records
from datastore.records import CursorKind
from resolvers import likes, retweets, tweets
from resolvers.context import Info
from schema import cursors, globalid
from schema.users import After, First, Node, PageInfo, User, UserConnection, edge_cursor, page_info


def _tweet_id(tweet: Parent[records.Tweet]) -> strawberry.ID:
    return globalid.encode("Tweet", tweet.id)


@strawberry.type(description="At most 140 characters by one author.")
class Tweet(Node):
    id: strawberry.ID = strawberry.field(resolver=_tweet_id, description="Opaque and unique over all types.")
    text: str = strawberry.field(description="At most 140 characters: code points after NFC.")
    created_at: datetime = strawberry.field(description="When it was posted.")
    author: User = strawberry.field(resolver=tweets.author, description="Who wrote it.")
    in_reply_to: "Tweet | None" = strawberry.field(
        resolver=tweets.in_reply_to,
        description="Null for a tweet that starts a conversation, and when the answered tweet is gone.",
    )
    is_reply: bool = strawberry.field(description="Whether it answers a tweet, be that one gone or not.")
    like_count: int = strawberry.field(description="How many like it.")
    retweet_count: int = strawberry.field(description="How many retweeted it.")
    reply_count: int = strawberry.field(description="How many tweets answer it.")
    viewer_has_liked: bool = strawberry.field(
        resolver=tweets.viewer_has_liked, description="Whether the viewer likes it; false for nobody."
    )

    viewer_has_retweeted: bool = strawberry.field(
        resolver=retweets.viewer_has_retweeted, description="Whether the viewer retweeted it; false for nobody."
    )

    @strawberry.field(description="The tweets that answer it, newest first.")
    async def replies(
        parent: Parent[records.Tweet], info: Info, first: First = 20, after: After = UNSET
    ) -> Annotated["TweetConnection", strawberry.lazy("schema.tweets")]:
        key = cursors.decode(CursorKind.REPLIES, after)
        return await tweets.replies(parent, info, first, key)

    @strawberry.field(description="Who retweeted it, newest retweet first.")
    async def retweeters(
        parent: Parent[records.Tweet], info: Info, first: First = 20, after: After = UNSET
    ) -> UserConnection:
        key = cursors.decode(CursorKind.RETWEETERS, after)
        return await retweets.retweeters(parent, info, first, key)

    @strawberry.field(description="Who likes it, newest like first.")
    async def likers(
        parent: Parent[records.Tweet], info: Info, first: First = 20, after: After = UNSET
    ) -> UserConnection:
        key = cursors.decode(CursorKind.LIKERS, after)
        return await likes.likers(parent, info, first, key)

    @classmethod
    def is_type_of(cls, obj: object, info: object) -> bool:
        return isinstance(obj, cls | records.Tweet)


@strawberry.type(description="A tweet in a list.")
class TweetEdge:
    cursor: str = edge_cursor()
    node: Tweet = strawberry.field(description="The tweet.")


@strawberry.type(description="A page of tweets.")
class TweetConnection:
    edges: list[TweetEdge] = strawberry.field(description="The tweets with their places in the list.")
    nodes: list[Tweet] = strawberry.field(description="The tweets alone.")
    page_info: PageInfo = page_info()
