"""Queries: the fields one can ask for."""

import asyncio
from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET

from datastore.errors import bad_input
from datastore.records import CursorKind
from resolvers import accounts, guards, search, timelines, top_tweets, tweets
from resolvers.context import Info
from schema import cursors, globalid
from schema.enums import SearchScope, TopWindow
from schema.timelines import HomeTimelineConnection
from schema.top_tweets import TopTweetConnection, Window
from schema.tweets import Tweet, TweetConnection
from schema.users import After, First, Node, User, UserConnection, Viewer

NODES_LIMIT = 100


async def _node(info: Info, global_id: str) -> object | None:
    type_name, id_ = globalid.decode(global_id)
    if type_name == "User":
        return await info.context.loaders.users.get(id_)
    if type_name == "Tweet":
        return await tweets.by_id(info, id_)
    raise bad_input("This is not an id of Perch.")


@strawberry.type(description="What the caller may ask for, counted in objects of answers.")
class RateLimit:
    limit: int = strawberry.field(description="What may be asked at once, refilled over an hour.")
    cost: int = strawberry.field(description="What this operation was charged; extensions.cost has what it needed.")
    remaining: int = strawberry.field(description="What is left.")
    resets_at: datetime = strawberry.field(name="resetAt", description="When nothing will be missing any more.")


@strawberry.type(description="What can be asked.")
class Query:
    viewer: Viewer | None = strawberry.field(
        resolver=accounts.viewer, description="Null when the request carries no access token."
    )

    @strawberry.field(description="Any object by its global id; null when there is none.")
    async def node(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="A global id.")]
    ) -> Node | None:
        return await _node(info, id)

    @strawberry.field(description="Objects by their global ids, in order, null where there is none. At most 100.")
    async def nodes(
        self, info: Info, ids: Annotated[list[strawberry.ID], strawberry.argument(description="Global ids.")]
    ) -> list[Node | None]:
        if len(ids) > NODES_LIMIT:
            raise bad_input(f"At most {NODES_LIMIT} ids.")
        # Side by side, so that the loaders batch them.
        return await asyncio.gather(*(_node(info, global_id) for global_id in ids))

    @strawberry.field(description="A profile by username, case ignored; null when there is none.")
    async def user(
        self, info: Info, username: Annotated[str, strawberry.argument(description="Without an @.")]
    ) -> User | None:
        return await accounts.user(info, username)

    @strawberry.field(description="A tweet; null when there is none, it was deleted, or a block hides it.")
    async def tweet(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="A tweet's global id.")]
    ) -> Tweet | None:
        return await tweets.alone(info, globalid.of_type(id, "Tweet"))

    @strawberry.field(description="The viewer's own tweets and those of the people they follow, newest first.")
    async def home_timeline(self, info: Info, first: First = 20, after: After = UNSET) -> HomeTimelineConnection:
        key = cursors.decode(CursorKind.HOME, after)
        return await timelines.home(info, first, key)

    @strawberry.field(
        description="Tweets that have all the words, #hashtags and @usernames, newest first; `from:username` asks for "
        "an author, more than one for any of them. Case, accents and width are ignored. One request looks at so much "
        "only: a page may hold fewer tweets than asked for, even none, and still have a next page."
    )
    async def search_tweets(
        self,
        info: Info,
        query: Annotated[str, strawberry.argument(description="At most 200 characters and 10 words, at least one.")],
        scope: Annotated[
            SearchScope | None, strawberry.argument(description="Whose tweets; FOLLOWING needs an access token.")
        ] = SearchScope.EVERYONE,
        first: First = 15,
        after: After = UNSET,
    ) -> TweetConnection:
        key = cursors.decode(CursorKind.FOUND_TWEETS, after)
        return await search.tweets(info, query, scope, first, key)

    @strawberry.field(
        description="People whose username begins with the query, then those whose display name has a word from which "
        "on it does, each by username. Case, accents and a leading @ are ignored."
    )
    async def search_users(
        self,
        info: Info,
        query: Annotated[
            str, strawberry.argument(description="At most 200 characters, at least a letter or a digit; 15 count.")
        ],
        first: First = 15,
        after: After = UNSET,
    ) -> UserConnection:
        key = cursors.decode(CursorKind.FOUND_USERS, after)
        return await search.users(info, query, first, key)

    @strawberry.field(
        description="The most popular tweets by likes, retweets, repliers and the author's followers, best first; at "
        "most 1,000. The pages behind a cursor are of the list as it stood at the first page, for five minutes."
    )
    async def top_tweets(
        self, info: Info, first: First = 10, after: After = UNSET, window: Window = TopWindow.DAY
    ) -> TopTweetConnection:
        key = cursors.decode(CursorKind.TOP_TWEETS, after)
        return await top_tweets.top(info, first, key, window or TopWindow.DAY)

    @strawberry.field(description="How the budget of the caller stands: of the account, or without one of the address.")
    def rate_limit(self, info: Info) -> RateLimit:
        return guards.bill(info.context)
