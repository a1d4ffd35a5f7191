"""Likes: liking, unliking, and who likes a tweet."""

from datastore.records import Key, Page, Tweet, User
from realtime.limits import Action
from resolvers import guards
from resolvers.context import Info
from resolvers.follows import people
from resolvers.regard import readable
from resolvers.tweets import as_it_is_now, existing, open_to


async def like(info: Info, tweet_id: int) -> Tweet:
    """Like a tweet; a success if it was so already. Gives it with its new count. Raises NOT_FOUND, BLOCKED."""
    context = info.context
    viewer_id = guards.viewer(context)
    await guards.spend(context, Action.LIKE)
    tweet = await open_to(context, tweet_id)
    await context.services.likes.add(viewer_id, tweet_id, context.now_ms())
    await context.services.cache.drop(viewer_id, [tweet_id])
    context.loaders.likes.ready((viewer_id, tweet_id), True)
    return await as_it_is_now(context, tweet)


async def unlike(info: Info, tweet_id: int) -> Tweet | None:
    """Take a like back; a success if there was none. The tweet comes back if the viewer may see it. Raises
    NOT_FOUND."""
    context = info.context
    viewer_id = guards.viewer(context)
    tweet = await existing(context, tweet_id)
    await context.services.likes.remove(viewer_id, tweet_id)
    await context.services.cache.drop(viewer_id, [tweet_id])
    context.loaders.likes.ready((viewer_id, tweet_id), False)
    return await readable(context, await as_it_is_now(context, tweet))


async def likers(tweet: Tweet, info: Info, first: int | None, after: Key | None) -> Page[User]:
    """Who likes it, newest like first."""
    return await people(
        info.context, lambda count, key: info.context.services.likes.likers(tweet.id, count, key), first, after
    )
