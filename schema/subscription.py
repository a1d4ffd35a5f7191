"""Subscriptions: what happens, as it happens."""

from collections.abc import AsyncGenerator
from typing import Annotated

import strawberry
from strawberry import UNSET

from resolvers import live
from resolvers.context import Info
from schema import cursors
from schema.timelines import HomeTimelineEvent


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
