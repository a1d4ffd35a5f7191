"""Handlers: what each event does to Redis. Idempotent, in terms of MongoDB now: a vanished record means done."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from datastore.blocks import Blocks
from datastore.changes import Event, EventName
from datastore.follows import Follows
from datastore.retweets import Retweets
from datastore.tweets import Tweets
from realtime.fanout import Fanout
from realtime.timelines import Timelines


@dataclass(frozen=True, slots=True)
class Rooms:
    """What handlers work with."""

    follows: Follows
    tweets: Tweets
    retweets: Retweets
    blocks: Blocks
    timelines: Timelines
    fanout: Fanout


async def on_tweet_posted(rooms: Rooms, event: Event) -> None:
    """Push the tweet to its author's and their followers' timelines."""
    tweet = await rooms.tweets.get(event.subject_id)
    if tweet is None:
        return
    await _push(rooms, tweet.author_id, tweet.id)


async def on_tweet_deleted(rooms: Rooms, event: Event) -> None:
    """Take the tweet and every retweet of it out of the timelines they were pushed to."""
    author_id = await rooms.tweets.author_of(event.subject_id)
    if author_id is not None:
        await _unpush(rooms, author_id, event.subject_id, event.subject_id)
    async for retweets in rooms.retweets.walk_tweet(event.subject_id):
        for retweet in retweets:
            await _unpush(rooms, retweet.author_id, retweet.id, retweet.tweet_id)


async def on_tweet_retweeted(rooms: Rooms, event: Event) -> None:
    """Push the retweet to the retweeter's and their followers' timelines; reading hides it from those who follow the
    author anyway."""
    retweet = await rooms.retweets.get(event.subject_id)
    if retweet and await rooms.tweets.get(retweet.tweet_id):
        await _push(rooms, retweet.author_id, retweet.id)


async def on_retweet_undone(rooms: Rooms, event: Event) -> None:
    """Take this retweet out again; another one of the same tweet stays."""
    retweet = await rooms.retweets.any_state(event.subject_id)
    if retweet:
        await _unpush(rooms, retweet.author_id, retweet.id, retweet.tweet_id)


async def on_user_followed(rooms: Rooms, event: Event) -> None:
    """Merge the author's entries into the follower's timeline."""
    await rooms.timelines.merge(reader_id=event.other_id, author_id=event.subject_id)


async def on_user_unfollowed(rooms: Rooms, event: Event) -> None:
    """Tell the reader; the set keeps the author's entries and reading filters them."""
    await rooms.fanout.follows_changed(event.other_id)


async def on_user_deleted(rooms: Rooms, event: Event) -> None:
    """Drop their own timeline and live state. All else is hidden already and goes with the purge (realtime/purger.py),
    which needs no event."""
    await rooms.timelines.drop([event.subject_id])


async def on_regard_changed(rooms: Rooms, event: Event) -> None:
    """Tell both: reading filters, so what either holds may differ now. Ends what a block must end, if the request that
    made it died before it could."""
    await rooms.fanout.follows_changed(event.subject_id)
    await rooms.fanout.follows_changed(event.other_id)
    regard = (await rooms.blocks.regards(event.subject_id, [event.other_id])).get(event.other_id)
    if regard and regard.blocks:
        await rooms.follows.remove(event.subject_id, event.other_id)
        await rooms.follows.remove(event.other_id, event.subject_id)


async def on_heartbeat(rooms: Rooms, event: Event) -> None:
    """Nothing: that it came through is the news, and the worker writes it down."""


async def _push(rooms: Rooms, author_id: int, entry_id: int) -> None:
    await rooms.fanout.push([author_id], entry_id)
    async for followers in rooms.follows.walk_followers(author_id):
        await rooms.fanout.push(followers, entry_id)


async def _unpush(rooms: Rooms, author_id: int, entry_id: int, tweet_id: int) -> None:
    await rooms.fanout.unpush([author_id], entry_id, tweet_id)
    async for followers in rooms.follows.walk_followers(author_id):
        await rooms.fanout.unpush(followers, entry_id, tweet_id)


HANDLERS: Mapping[EventName, Callable[[Rooms, Event], Awaitable[None]]] = {
    EventName.TWEET_POSTED: on_tweet_posted,
    EventName.TWEET_DELETED: on_tweet_deleted,
    EventName.TWEET_RETWEETED: on_tweet_retweeted,
    EventName.RETWEET_UNDONE: on_retweet_undone,
    EventName.USER_FOLLOWED: on_user_followed,
    EventName.USER_UNFOLLOWED: on_user_unfollowed,
    EventName.USER_DELETED: on_user_deleted,
    EventName.REGARD_CHANGED: on_regard_changed,
    EventName.HEARTBEAT: on_heartbeat,
}
