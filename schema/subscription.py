"""Subscriptions: what happens, as it happens."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry
from strawberry import UNSET

from resolvers import live, top_tweets, topics
from resolvers.context import Info
from schema import cursors, globalid
from schema.enums import TopWindow
from schema.timelines import HomeTimelineEvent
from schema.top_tweets import TopTweetsChanged, Window
from schema.topics import TweetEvent, UserActivityEvent
from schema.users import First


@strawberry.type(description="What can be watched.")
class Subscription:
    @strawberry.subscription(
        description="The viewer's home timeline as it changes: each event once and in order, or a TimelineResync in "
        "their place. Resume with the cursor of the last event."
    )
    async def home_timeline_events(
        self,
        info: Info,
        after: Annotated[
            str | None,
            strawberry.argument(description="A liveCursor, or the cursor of the last event seen. Null: from now on."),
        ] = UNSET,
    ) -> AsyncGenerator[HomeTimelineEvent, None]:
        async for event in live.home_timeline_events(info, cursors.decode_live(after)):
            yield event

    @strawberry.subscription(
        description="What happens to these tweets: changed counts, at most two a second for each, and deletions. It "
        "has no cursor and replays nothing; it ends when all of them are gone."
    )
    async def tweet_events(
        self,
        info: Info,
        tweet_ids: Annotated[list[strawberry.ID], strawberry.argument(description="1 to 100 tweets.")],
    ) -> AsyncGenerator[TweetEvent, None]:
        async for event in topics.tweet_events(info, [globalid.of_type(one, "Tweet") for one in tweet_ids]):
            yield event

    @strawberry.subscription(
        description="Anything a user does from now on, as it happens: the user's topic. It has no cursor and replays "
        "nothing; after a fault an event may come twice. Blocked viewers get none of the blocker's."
    )
    async def user_activity(
        self, info: Info, user_id: Annotated[strawberry.ID, strawberry.argument(description="Whose.")]
    ) -> AsyncGenerator[UserActivityEvent, None]:
        async for event in topics.user_activity(info, globalid.of_type(user_id, "User")):
            yield event

    @strawberry.subscription(
        description="Sends the present list at once, then each change, at most two a second. It has no cursor and "
        "replays nothing: a new subscription starts with the list as it is then. Scores that only age are not sent."
    )
    async def top_tweets_changed(
        self, info: Info, first: First = 10, window: Window = TopWindow.DAY
    ) -> AsyncGenerator[TopTweetsChanged, None]:
        async for event in top_tweets.changed(info, first, window or TopWindow.DAY):
            yield event
