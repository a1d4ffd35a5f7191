"""Retweets: passing on, taking back, and who passed a tweet on."""

from collections.abc import Awaitable

from strawberry import Parent

from datastore import ids
from datastore.records import CursorKind, Edge, HomeEdge, Key, Page, Tweet, User
from realtime.limits import Action
from resolvers import guards
from resolvers.context import Info
from resolvers.follows import people
from resolvers.paging import one
from resolvers.regard import readable
from resolvers.tweets import as_it_is_now, existing, open_to


async def retweet(info: Info, tweet_id: int) -> Tweet:
    """Retweet; a success if it was so already. The tweet comes back with its new count. Raises NOT_FOUND, BLOCKED."""
    context = info.context
    viewer_id = guards.viewer(context)
    await guards.spend(context, Action.TWEET)
    tweet = await open_to(context, tweet_id)
    await context.services.retweets.add(viewer_id, tweet, context.now_ms())
    await context.services.cache.drop(viewer_id, [tweet_id])
    return await as_it_is_now(context, tweet)


async def undo(info: Info, tweet_id: int) -> Tweet | None:
    """Take a retweet back; a success if there was none. The tweet comes back if the viewer may see it. Raises
    NOT_FOUND."""
    context = info.context
    viewer_id = guards.viewer(context)
    tweet = await existing(context, tweet_id)
    await context.services.retweets.remove(viewer_id, tweet_id)
    await context.services.cache.drop(viewer_id, [tweet_id])
    return await readable(context, await as_it_is_now(context, tweet))


async def retweeters(tweet: Tweet, info: Info, first: int | None, after: Key | None) -> Page[User]:
    """Who retweeted it, newest retweet first."""
    retweets = info.context.services.retweets

    async def read(count: int, key: Key | None) -> list[Edge[int]]:
        found = await retweets.of_tweet(tweet.id, count, one(key))
        return [Edge(CursorKind.RETWEETERS, (row.id,), row.author_id, ids.created_at(row.id)) for row in found]

    return await people(info.context, read, first, after)


def viewer_has_retweeted(tweet: Parent[Tweet], info: Info) -> bool | Awaitable[bool]:
    """Whether the viewer retweeted it; false for nobody."""
    viewer_id = info.context.viewer_id
    return info.context.loaders.retweets.load((viewer_id, tweet.id)) if viewer_id is not None else False


def retweeted_by(edge: Parent[HomeEdge], info: Info) -> User | None | Awaitable[User | None]:
    """Who passed the tweet on, None if it came from its author."""
    return info.context.loaders.users.load(edge.retweeter_id) if edge.retweeter_id is not None else None
