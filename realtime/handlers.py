"""Handlers: what each event does to Redis. Idempotent, in terms of MongoDB now: a vanished record means done."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from datastore.changes import Event, EventName
from datastore.follows import Follows
from datastore.tweets import Tweets
from realtime.fanout import Fanout
from realtime.timelines import Timelines
from realtime.top_tweets import TopTweets


@dataclass(frozen=True, slots=True)
class Rooms:
    """What handlers work with."""

    follows: Follows
    tweets: Tweets
    timelines: Timelines
    fanout: Fanout
    top_tweets: TopTweets


async def on_tweet_posted(rooms: Rooms, event: Event) -> None:
    """Push the tweet to its author's and their followers' timelines."""
    tweet = await rooms.tweets.get(event.subject_id)
    if tweet is None:
        return
    await rooms.fanout.push([tweet.author_id], tweet.id)
    async for followers in rooms.follows.walk_followers(tweet.author_id):
        await rooms.fanout.push(followers, tweet.id)


async def on_tweet_deleted(rooms: Rooms, event: Event) -> None:
    """Take the tweet out of the same timelines, and out of the top tweets."""
    rooms.top_tweets.gather(event.subject_id)
    author_id = await rooms.tweets.author_of(event.subject_id)
    if author_id is None:
        return
    await rooms.fanout.unpush([author_id], event.subject_id, event.subject_id)
    async for followers in rooms.follows.walk_followers(author_id):
        await rooms.fanout.unpush(followers, event.subject_id, event.subject_id)


async def on_tweet_liked(rooms: Rooms, event: Event) -> None:
    """Nothing: the counter that moves raises an event of its own, behind which it can be read."""


async def on_tweet_unliked(rooms: Rooms, event: Event) -> None:
    """Nothing, as for a like."""


async def on_tweet_ranked(rooms: Rooms, event: Event) -> None:
    """Move the tweet to its new place among the top tweets. Written with the batch: a burst of likes is one write."""
    rooms.top_tweets.gather(event.subject_id)


async def on_user_followed(rooms: Rooms, event: Event) -> None:
    """Merge the author's entries into the follower's timeline."""
    await rooms.timelines.merge(reader_id=event.other_id, author_id=event.subject_id)


async def on_user_unfollowed(rooms: Rooms, event: Event) -> None:
    """Tell the reader; the set keeps the author's entries and reading filters them."""
    await rooms.fanout.follows_changed(event.other_id)


async def on_heartbeat(rooms: Rooms, event: Event) -> None:
    """Nothing: that it came through is the news, and the worker writes it down."""


HANDLERS: Mapping[EventName, Callable[[Rooms, Event], Awaitable[None]]] = {
    EventName.TWEET_POSTED: on_tweet_posted,
    EventName.TWEET_DELETED: on_tweet_deleted,
    EventName.TWEET_LIKED: on_tweet_liked,
    EventName.TWEET_UNLIKED: on_tweet_unliked,
    EventName.TWEET_RANKED: on_tweet_ranked,
    EventName.USER_FOLLOWED: on_user_followed,
    EventName.USER_UNFOLLOWED: on_user_unfollowed,
    EventName.HEARTBEAT: on_heartbeat,
}
