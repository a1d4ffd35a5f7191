"""Live: one reader's numbered events as a subscription, through the same steps as a page. For many readers at once see
resolvers/audience.py.
"""

from collections.abc import AsyncGenerator, Collection

from datastore.records import HomeTimelineEvent, Resync, TweetAdded, TweetRemoved
from realtime import telemetry
from realtime.reader import Numbered
from resolvers import guards, selection
from resolvers.context import Context, Info, Watch
from resolvers.timelines import hydrate, shown_as


async def home_timeline_events(info: Info, after: str | None) -> AsyncGenerator[HomeTimelineEvent, None]:
    """What happens in the viewer's timeline behind the live token `after`, then as it happens, until cancelled.

    None: from now on. In order, each once, or a resync in their place (see realtime.hub). Raises UNAUTHENTICATED.
    Ends at once where the transport takes the subscription over: it then delivers the same for many at a time
    (resolvers.audience).
    """
    context = info.context
    viewer_id = guards.viewer(context)
    if context.take_over:
        context.take_over(Watch(info, viewer_id, after))
        return
    wanted = selection.names(info)
    async with context.services.hub.attach(viewer_id) as reader:
        async for numbered in reader.events(after):
            # What one event read must not be shown for the next.
            context.loaders = context.services.loaders()
            event = await _event(context, viewer_id, numbered, wanted)
            if event:
                telemetry.LIVE_EVENTS_BY_KIND[type(event)].inc()
                if isinstance(event, Resync):
                    telemetry.RESYNCS_BY_REASON[event.reason].inc()
                yield event


def bodiless(numbered: Numbered) -> HomeTimelineEvent | None:
    """The event of a number that shows nobody's tweet; None for one that does."""
    if numbered.kind == "s":
        return Resync(numbered.token, numbered.reason)
    if numbered.kind == "-":
        return TweetRemoved(numbered.token, numbered.entry_id, numbered.tweet_id)
    return None


async def _event(
    context: Context, viewer_id: int, numbered: Numbered, wanted: Collection[str]
) -> HomeTimelineEvent | None:
    """The event as the viewer may see it, None if they may not."""
    if event := bodiless(numbered):
        return event
    hydrated = await hydrate(context, viewer_id, [numbered.entry_id], wanted)
    edge = shown_as(viewer_id, numbered.entry_id, hydrated, (numbered.author_id,))
    return TweetAdded(numbered.token, edge) if edge else None
