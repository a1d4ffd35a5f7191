"""Handlers: what each event does to Redis. Idempotent, in terms of MongoDB now: a vanished record means done."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from datastore.changes import Event, EventName
from datastore.follows import Follows
from datastore.tweets import Tweets
from realtime.fanout import Fanout
from realtime.timelines import Timelines


@dataclass(frozen=True, slots=True)
class Rooms:
    """What handlers work with."""

    follows: Follows
    tweets: Tweets
    timelines: Timelines
    fanout: Fanout


async def on_tweet_posted(rooms: Rooms, event: Event) -> None:
    """Push the tweet to its author's and their followers' timelines."""
    tweet = await rooms.tweets.get(event.subject_id)
    if tweet is None:
        return
    await rooms.fanout.push([tweet.author_id], tweet.id)
    async for followers in rooms.follows.walk_followers(tweet.author_id):
        await rooms.fanout.push(followers, tweet.id)


async def on_tweet_deleted(rooms: Rooms, event: Event) -> None:
    """Take the tweet out of the same timelines."""
    author_id = await rooms.tweets.author_of(event.subject_id)
    if author_id is None:
        return
    await rooms.fanout.unpush([author_id], event.subject_id, event.subject_id)
    async for followers in rooms.follows.walk_followers(author_id):
        await rooms.fanout.unpush(followers, event.subject_id, event.subject_id)


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


async def on_heartbeat(rooms: Rooms, event: Event) -> None:
    """Nothing: that it came through is the news, and the worker writes it down."""


HANDLERS: Mapping[EventName, Callable[[Rooms, Event], Awaitable[None]]] = {
    EventName.TWEET_POSTED: on_tweet_posted,
    EventName.TWEET_DELETED: on_tweet_deleted,
    EventName.USER_FOLLOWED: on_user_followed,
    EventName.USER_UNFOLLOWED: on_user_unfollowed,
    EventName.USER_DELETED: on_user_deleted,
    EventName.HEARTBEAT: on_heartbeat,
}
