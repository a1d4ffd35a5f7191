"""Live: one reader's numbered events as a subscription, through the same steps as a page. For many readers at once see
resolvers/audience.py.
"""

from collections.abc import AsyncGenerator, Collection

from datastore.records import HomeTimelineEvent, Resync, TweetAdded, TweetRemoved
from realtime import telemetry
from realtime.reader import Said
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
        async for token, said in reader.events(after):
            # What one event read must not be shown for the next.
            context.loaders = context.services.loaders()
            event = await _event(context, viewer_id, token, said, wanted)
            if event:
                telemetry.LIVE_EVENTS_BY_KIND[type(event)].inc()
                if isinstance(event, Resync):
                    telemetry.RESYNCS_BY_REASON[event.reason].inc()
                yield event


def bodiless(token: str, said: Said) -> HomeTimelineEvent | None:
    """The event that shows nobody's tweet; None for one that does."""
    if said.reason:
        return Resync(token, said.reason)
    if said.kind == "-":
        return TweetRemoved(token, said.entry_id, said.tweet_id)
    return None


async def _event(
    context: Context, viewer_id: int, token: str, said: Said, wanted: Collection[str]
) -> HomeTimelineEvent | None:
    """The event as the viewer may see it, None if they may not."""
    if event := bodiless(token, said):
        return event
    hydrated = await hydrate(context, viewer_id, [said.entry_id], wanted)
    edge = shown_as(viewer_id, said.entry_id, hydrated, (said.author_id,))
    return TweetAdded(token, edge) if edge else None
