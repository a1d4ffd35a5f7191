"""Topics: subscriptions to what one person does and to what happens to some tweets. They replay nothing."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Sequence

from datastore.errors import DomainError, ErrorCode, bad_input
from datastore.records import (
    DeletedTweet,
    FollowedUser,
    LikedTweet,
    PostedTweet,
    Retweeted,
    Tweet,
    TweetCounts,
    TweetEvent,
    TweetGone,
    UserActivity,
)
from realtime import keys
from realtime.load import Burden
from realtime.topics import Activity, Deed, parse
from resolvers.context import Context, Info
from resolvers.regard import readable, regard_of
from resolvers.tweets import by_id

WATCHED_LIMIT = 100
# Counts are told at most twice a second for each tweet.
TOLD_EVERY_SECONDS = 0.5
# A tweet's counter moves behind the edge that was told: what is read too early is right one look later.
LOOKS = 2

_ABOUT_TWEETS: dict[Deed, Callable[[Tweet], UserActivity]] = {
    Deed.POSTED: PostedTweet,
    Deed.LIKED: LikedTweet,
    Deed.RETWEETED: Retweeted,
}


async def user_activity(info: Info, user_id: int) -> AsyncGenerator[UserActivity, None]:
    """What this person does from now on, as it happens, until cancelled; at least once. Nothing for those from whom
    they are apart, and nothing of tweets the viewer may not see. Raises NOT_FOUND."""
    context = info.context
    if await context.loaders.users.get(user_id) is None:
        raise DomainError(ErrorCode.NOT_FOUND, "There is no such user.", ("userId",))
    async with context.services.hub.listen(keys.activity_channel(user_id)) as messages:
        while True:
            activity = parse(await messages.get())
            # What one event read must not be shown for the next.
            context.loaders = context.services.loaders()
            if not (await regard_of(context, user_id)).apart and (event := await _event(info, activity)):
                yield event


async def _event(info: Info, activity: Activity) -> UserActivity | None:
    """The activity as the viewer may see it; None if they may not, or what it is about is gone."""
    if activity.deed is Deed.DELETED:
        return DeletedTweet(activity.subject_id)
    if activity.deed is Deed.FOLLOWED:
        user = await info.context.loaders.users.get(activity.subject_id)
        return FollowedUser(user) if user else None
    tweet = await by_id(info, activity.subject_id)
    return _ABOUT_TWEETS[activity.deed](tweet) if tweet else None


async def tweet_events(info: Info, tweet_ids: Sequence[int]) -> AsyncGenerator[TweetEvent, None]:
    """Changed counts of these tweets, at most twice a second each, and their deletion; ends when all are gone. Ids of
    tweets that the viewer cannot see are passed over. Raises BAD_USER_INPUT."""
    if not 1 <= len(tweet_ids) <= WATCHED_LIMIT:
        raise bad_input(f"1 to {WATCHED_LIMIT} tweets.")
    context, loop = info.context, asyncio.get_running_loop()
    async with context.services.hub.watch(*map(keys.tweet_channel, set(tweet_ids))) as news:
        told = {tweet.id: tweet for tweet in await _seen(context, set(tweet_ids))}
        while told:
            await news.wait()
            while not context.services.load.spares(Burden.LIVE_COUNTS):
                await asyncio.sleep(TOLD_EVERY_SECONDS)
            news.clear()
            for _ in range(LOOKS):
                at = loop.time()
                context.loaders = context.services.loaders()
                now = {tweet.id: tweet for tweet in await _seen(context, told)}
                for tweet_id, before in list(told.items()):
                    if tweet_id not in now:
                        del told[tweet_id]
                        yield TweetGone(tweet_id)
                    elif now[tweet_id] != before:
                        told[tweet_id] = now[tweet_id]
                        yield TweetCounts(now[tweet_id])
                await asyncio.sleep(at + TOLD_EVERY_SECONDS - loop.time())


async def _seen(context: Context, tweet_ids: Collection[int]) -> list[Tweet]:
    """Those of the tweets that are there and that the viewer may see."""
    found = await context.loaders.bodies(list(tweet_ids))
    living = await context.loaders.living([tweet for tweet in found if tweet])
    return [tweet for tweet in living if await readable(context, tweet)]
