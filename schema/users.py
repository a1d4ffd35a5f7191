"""People: User, Viewer and their connections."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry import UNSET, Parent

from datastore import records
from datastore.records import CursorKind, Hiding
from resolvers import blocks, follows, own_account, tweets
from resolvers.context import Info
from schema import cursors, globalid
from schema.enums import UserTweetFilter
from schema.sessions import Session

After = Annotated[str | None, strawberry.argument(description="An edge's cursor: the page starts behind it.")]
First = Annotated[int | None, strawberry.argument(description="How many, 1 to 100.")]
TweetConnection = Annotated["TweetConnection", strawberry.lazy("schema.tweets")]


def _edge_cursor(edge: Parent[records.Edge[Any]]) -> str:
    return cursors.encode(edge.kind, edge.key)


def edge_cursor() -> Any:
    """The cursor field of an edge."""
    return strawberry.field(resolver=_edge_cursor, description="Its position, for `after`.")


def _page_info(page: Parent[records.Page[Any]]) -> "PageInfo":
    ends = [(edge.kind, edge.key) for edge in page.edges]
    end = page.end or (ends[-1] if ends else None)
    return PageInfo(
        has_next_page=page.has_next,
        has_previous_page=page.has_previous,
        start_cursor=cursors.encode(*ends[0]) if ends else None,
        end_cursor=cursors.encode(*end) if end else None,
    )


def page_info() -> Any:
    """The pageInfo field of a keyset connection."""
    return strawberry.field(resolver=_page_info, description="Where the page lies in the list.")


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="There is more behind endCursor.")
    has_previous_page: bool = strawberry.field(description="The page does not start at the beginning.")
    start_cursor: str | None = strawberry.field(description="The first edge's cursor.")
    end_cursor: str | None = strawberry.field(description="Hand this to `after` for the next page.")


@strawberry.interface(description="Anything with a global id.")
class Node:
    id: strawberry.ID = strawberry.field(description="Opaque and unique over all types.")


def _user_id(user: Parent[records.User]) -> strawberry.ID:
    return globalid.encode("User", user.id)


@strawberry.type(description="A person's profile.")
class User(Node):
    id: strawberry.ID = strawberry.field(resolver=_user_id, description="Opaque and unique over all types.")
    username: str = strawberry.field(description="The name in the address: unique, case ignored.")
    display_name: str = strawberry.field(description="The name people read.")
    bio: str = strawberry.field(description="What they say of themselves.")
    created_at: datetime = strawberry.field(description="When they joined.")
    is_top_user: bool = strawberry.field(
        description="More than 5,000 followers: their tweets are read at query time instead of being fanned out."
    )
    follower_count: int = strawberry.field(description="How many follow them.")
    following_count: int = strawberry.field(description="How many they follow.")
    tweet_count: int = strawberry.field(description="How many tweets they have posted and not deleted.")
    viewer_is_following: bool = strawberry.field(
        resolver=follows.viewer_is_following, description="Whether the viewer follows them; false for nobody."
    )
    is_following_viewer: bool = strawberry.field(
        resolver=follows.is_following_viewer, description="Whether they follow the viewer; false for nobody."
    )

    viewer_has_blocked: bool = strawberry.field(
        resolver=blocks.viewer_has_blocked, description="Whether the viewer blocks them; false for nobody."
    )
    viewer_has_muted: bool = strawberry.field(
        resolver=blocks.viewer_has_muted, description="Whether the viewer mutes them; false for nobody."
    )

    @strawberry.field(description="Their tweets or retweets, newest first.")
    async def tweets(
        parent: Parent[records.User],
        info: Info,
        first: First = 20,
        after: After = UNSET,
        filter: Annotated[
            UserTweetFilter | None, strawberry.argument(description="Which of them. Null is the default.")
        ] = UserTweetFilter.TWEETS,
    ) -> TweetConnection:
        key = cursors.decode(CursorKind.USER_TWEETS, after)
        return await tweets.of_user(parent, info, first, key, filter or UserTweetFilter.TWEETS)

    @strawberry.field(description="What they like, newest like first.")
    async def likes(
        parent: Parent[records.User], info: Info, first: First = 20, after: After = UNSET
    ) -> TweetConnection:
        key = cursors.decode(CursorKind.USER_LIKES, after)
        return await tweets.liked_by(parent, info, first, key)

    @strawberry.field(description="Who follows them, newest follow first.")
    async def followers(
        parent: Parent[records.User], info: Info, first: First = 20, after: After = UNSET
    ) -> "UserConnection":
        key = cursors.decode(CursorKind.FOLLOWERS, after)
        return await follows.followers(parent, info, first, key)

    @strawberry.field(description="Whom they follow, newest follow first.")
    async def following(
        parent: Parent[records.User], info: Info, first: First = 20, after: After = UNSET
    ) -> "UserConnection":
        key = cursors.decode(CursorKind.FOLLOWING, after)
        return await follows.following(parent, info, first, key)

    @classmethod
    def is_type_of(cls, obj: object, info: object) -> bool:
        return isinstance(obj, cls | records.User)


@strawberry.type(description="A user in a list.")
class UserEdge:
    cursor: str = edge_cursor()
    node: User = strawberry.field(description="The user.")
    since: datetime | None = strawberry.field(description="When the follow or like that put them here was made.")


@strawberry.type(description="A page of users.")
class UserConnection:
    edges: list[UserEdge] = strawberry.field(description="The users with their places in the list.")
    nodes: list[User] = strawberry.field(description="The users alone.")
    page_info: PageInfo = page_info()


@strawberry.type(description="The account this request acts for.")
class Viewer:
    user: User = strawberry.field(description="Its public profile.")
    sessions: list[Session] = strawberry.field(
        resolver=own_account.sessions, description="Its open log-ins, newest first. At most 100."
    )

    @strawberry.field(description="Only its owner sees it; empty for an imported account.")
    def email(parent: Parent[records.Account]) -> str:
        return parent.email or ""

    @strawberry.field(description="Whom the viewer blocks, newest first.")
    async def blocked_users(
        parent: Parent[records.Account], info: Info, first: First = 20, after: After = UNSET
    ) -> UserConnection:
        key = cursors.decode(CursorKind.BLOCKED, after)
        return await blocks.hidden_people(parent, info, Hiding.BLOCK, first, key)

    @strawberry.field(description="Whom the viewer mutes, newest first.")
    async def muted_users(
        parent: Parent[records.Account], info: Info, first: First = 20, after: After = UNSET
    ) -> UserConnection:
        key = cursors.decode(CursorKind.MUTED, after)
        return await blocks.hidden_people(parent, info, Hiding.MUTE, first, key)
