"""Subscriptions: what happens, as it happens."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry
from strawberry import UNSET

from resolvers import live, top_tweets
from resolvers.context import Info
from schema import cursors
from schema.enums import TopWindow
from schema.timelines import HomeTimelineEvent
from schema.top_tweets import TopTweetsChanged, Window
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
        description="Sends the present list at once, then each change, at most two a second. It has no cursor and "
        "replays nothing: a new subscription starts with the list as it is then. Scores that only age are not sent."
    )
    async def top_tweets_changed(
        self, info: Info, first: First = 10, window: Window = TopWindow.DAY
    ) -> AsyncGenerator[TopTweetsChanged, None]:
        async for event in top_tweets.changed(info, first, window or TopWindow.DAY):
            yield event
