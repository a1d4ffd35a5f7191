"""Handlers: what each event does to Redis. Idempotent, in terms of MongoDB now: a vanished record means done."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from datastore.blocks import Blocks
from datastore.events import Event, EventName
from datastore.follows import WALK_BATCH, Follows
from datastore.records import Roads, Tweet
from datastore.retweets import Retweets
from datastore.trails import Trails
from datastore.tweets import Tweets
from datastore.users import Users
from realtime.asked import Asked
from realtime.cache import Cache
from realtime.fanout import Fanout
from realtime.timelines import Timelines
from realtime.top_tweets import TopTweets
from realtime.top_users import TopUsers
from realtime.topics import Deed, Topics

# Authors with fewer followers by their counter have them read together with those of others: some twenty at once, even
# where each has nearly so many.
FEW_FOLLOWERS = 500


@dataclass(frozen=True, slots=True)
class Rooms:
    """What handlers work with. `raise_event` puts an event on the queue of its partition; `asked` answers what most
    events ask, for all handlers of a batch together."""

    users: Users
    follows: Follows
    tweets: Tweets
    retweets: Retweets
    blocks: Blocks
    timelines: Timelines
    fanout: Fanout
    top_tweets: TopTweets
    topics: Topics
    top_users: TopUsers
    cache: Cache
    trails: Trails
    asked: Asked
    raise_event: Callable[[Event], Awaitable[None]]
    # Whether a handler may take long; where it may not, it gives up with TooManyError.
    patient: bool = False

    def apart(self, turn: asyncio.Lock) -> "Rooms":
        """The same rooms for an event that takes long, with nothing gathered that is another event's; the units of all
        such events take turns."""
        return replace(
            self,
            fanout=self.fanout.apart(turn),
            topics=self.topics.apart(),
            top_tweets=self.top_tweets.apart(),
            cache=self.cache.apart(),
            patient=True,
        )


class TooManyError(Exception):
    """The author has more readers than a batch may wait for: run the event again where it may take long."""


async def on_tweet_posted(rooms: Rooms, event: Event) -> None:
    """Push the tweet to its author's and their followers' timelines."""
    tweet, roads = await asyncio.gather(rooms.asked.tweet(event.subject_id), _roads(rooms, event.other_id))
    if tweet is None:
        return
    rooms.topics.did(tweet.author_id, Deed.POSTED, tweet.id)
    if tweet.in_reply_to_id is not None:
        rooms.topics.happened_to(tweet.in_reply_to_id)
    await _push(rooms, tweet.author_id, tweet.id, tweet, roads)


async def on_tweet_deleted(rooms: Rooms, event: Event) -> None:
    """Take the tweet and every retweet of it out of the timelines they were pushed to, and out of the top tweets."""
    rooms.cache.gather_tweet(event.subject_id)
    rooms.top_tweets.gather(event.subject_id)
    rooms.topics.happened_to(event.subject_id)
    author_id = await rooms.tweets.author_of(event.subject_id)
    if answered_id := await rooms.tweets.answered_by(event.subject_id):
        rooms.topics.happened_to(answered_id)
    if author_id is not None:
        rooms.topics.did(author_id, Deed.DELETED, event.subject_id)
        await _unpush(rooms, author_id, event.subject_id, event.subject_id)
    async for retweets in rooms.retweets.walk_tweet(event.subject_id):
        for retweet in retweets:
            await _unpush(rooms, retweet.author_id, retweet.id, retweet.tweet_id)


async def on_tweet_retweeted(rooms: Rooms, event: Event) -> None:
    """Push the retweet to the retweeter's and their followers' timelines; reading hides it from those who follow the
    author anyway."""
    retweet, roads = await asyncio.gather(rooms.retweets.get(event.subject_id), _roads(rooms, event.other_id))
    if retweet and (tweet := await rooms.asked.tweet(retweet.tweet_id)):
        rooms.topics.did(retweet.author_id, Deed.RETWEETED, retweet.tweet_id)
        rooms.topics.happened_to(retweet.tweet_id)
        await _push(rooms, retweet.author_id, retweet.id, tweet, roads)


async def on_retweet_undone(rooms: Rooms, event: Event) -> None:
    """Take this retweet out again; another one of the same tweet stays."""
    retweet = await rooms.retweets.any_state(event.subject_id)
    if retweet:
        rooms.topics.happened_to(retweet.tweet_id)
        await _unpush(rooms, retweet.author_id, retweet.id, retweet.tweet_id)


async def on_tweet_liked(rooms: Rooms, event: Event) -> None:
    """Tell who listens. The place among the top tweets moves with the counter, which raises an event of its own."""
    rooms.topics.did(event.other_id, Deed.LIKED, event.subject_id)
    rooms.topics.happened_to(event.subject_id)


async def on_tweet_unliked(rooms: Rooms, event: Event) -> None:
    """Tell who watches the tweet."""
    rooms.topics.happened_to(event.subject_id)


async def on_tweet_ranked(rooms: Rooms, event: Event) -> None:
    """Move the tweet to its new place among the top tweets. Written with the batch: a burst of likes is one write."""
    rooms.cache.gather_tweet(event.subject_id)
    rooms.top_tweets.gather(event.subject_id)


async def on_tweet_changed(rooms: Rooms, event: Event) -> None:
    """Drop the tweet's copy, whoever wrote and whether or not they could still do so."""
    rooms.cache.gather_tweet(event.subject_id)


async def on_user_followed(rooms: Rooms, event: Event) -> None:
    """Merge the author's entries into the follower's timeline; the follow of a top user is marked as one by pulling."""
    author_id, follower_id = event.subject_id, event.other_id
    roads = await rooms.users.roads(author_id)
    if roads and roads.is_top:
        await rooms.follows.flag(author_id, [follower_id], top=True)
    rooms.topics.did(follower_id, Deed.FOLLOWED, author_id)
    await rooms.timelines.merge(follower_id, author_id)
    await _look_at_threshold(rooms, author_id, roads)


async def on_user_unfollowed(rooms: Rooms, event: Event) -> None:
    """Tell the reader; the list keeps the author's entries and reading filters them."""
    await rooms.fanout.follows_changed(event.other_id)
    await _look_at_threshold(rooms, event.subject_id, await rooms.users.roads(event.subject_id))


async def on_user_changed(rooms: Rooms, event: Event) -> None:
    """Drop the profile's copy."""
    rooms.cache.gather_user(event.subject_id)


async def on_follow_doubted(rooms: Rooms, event: Event) -> None:
    """Mark the follow as its author's road says, here where no switch of roads can be under way; what one mark hid is
    merged before the other hides it."""
    author_id, follower_id = event.subject_id, event.other_id
    roads = await rooms.users.roads(author_id)
    if roads is None or not await rooms.follows.existing([(follower_id, author_id)]):
        return
    if roads.is_top:
        await rooms.follows.flag(author_id, [follower_id], top=True)
    await rooms.timelines.merge(follower_id, author_id)
    if not roads.is_top:
        await rooms.follows.flag(author_id, [follower_id], top=False)


async def on_user_deleted(rooms: Rooms, event: Event) -> None:
    """Drop their own timeline and live state. All else is hidden already and goes with the purge (realtime/purger.py),
    which needs no event."""
    rooms.cache.gather_user(event.subject_id)
    await rooms.timelines.drop([event.subject_id])


async def _look_at_threshold(rooms: Rooms, author_id: int, roads: Roads | None) -> None:
    """Put an event on the queue when the author has crossed it."""
    crossing = await rooms.top_users.crossing(author_id, roads) if roads else None
    if crossing:
        await rooms.raise_event(crossing)


async def on_user_promoted(rooms: Rooms, event: Event) -> None:
    """From here on the author's entries are pulled; what was gathered so far is pushed first, to keep their order."""
    await rooms.fanout.flush()
    await rooms.top_users.promote(event.subject_id)


async def on_user_demoted(rooms: Rooms, event: Event) -> None:
    """From here on the author's entries are pushed again."""
    await rooms.fanout.flush()
    await rooms.top_users.demote(event.subject_id)


async def on_block_changed(rooms: Rooms, event: Event) -> None:
    """Tell both: reading filters, so what either holds may differ now. Ends what a block must end, if the request that
    made it died before it could."""
    await rooms.fanout.follows_changed(event.subject_id)
    await rooms.fanout.follows_changed(event.other_id)
    regard = (await rooms.blocks.regards(event.subject_id, [event.other_id])).get(event.other_id)
    if regard and regard.blocks:
        await rooms.follows.remove(event.subject_id, event.other_id)
        await rooms.follows.remove(event.other_id, event.subject_id)


async def on_mute_changed(rooms: Rooms, event: Event) -> None:
    """Tell who muted, and nobody else."""
    await rooms.fanout.follows_changed(event.subject_id)


async def on_heartbeat(rooms: Rooms, event: Event) -> None:
    """Nothing: that it came through is the news, and the worker writes it down."""


async def _roads(rooms: Rooms, author_id: int) -> Roads | None:
    """Those of an author whom the event names, read beside what it is about; None where it names none."""
    return await rooms.asked.roads(author_id) if author_id else None


async def _push(rooms: Rooms, author_id: int, entry_id: int, tweet: Tweet, roads: Roads | None) -> None:
    """Send an entry, which shows this tweet, on the road that its id and the author's log say, by `roads` if they have
    just been read. What a top user's followers are about to read is put into the cache first."""
    roads = roads or await rooms.asked.roads(author_id)
    if roads is None:
        return
    people = tweet.concerns(None if entry_id == tweet.id else author_id)
    await rooms.fanout.push([author_id], entry_id, tweet.id, people)
    if not roads.is_pulled(entry_id):
        async for followers in _followers(rooms, author_id, roads):
            await rooms.fanout.push(followers, entry_id, tweet.id, people)
        return
    # What was gathered before it must not come behind it.
    await rooms.fanout.flush()
    await rooms.cache.tweets([tweet.id])
    await rooms.top_users.announce(author_id, entry_id)
    roads = await rooms.users.roads(author_id)
    if roads and not roads.is_top:
        # The road was closed meanwhile, perhaps by a holder of this partition that took us for dead.
        async for followers in rooms.follows.walk_followers(author_id):
            await rooms.timelines.fill(followers, [entry_id], 0)


async def _followers(rooms: Rooms, author_id: int, roads: Roads | None) -> AsyncIterator[list[int]]:
    """All of them, in batches. Raises TooManyError behind a first batch that is full, unless it may take long."""
    if roads and roads.follower_count < FEW_FOLLOWERS:
        few = await rooms.asked.followers(author_id)
        if few is not None:
            yield few
            return
    async for followers in rooms.follows.walk_followers(author_id):
        yield followers
        if len(followers) == WALK_BATCH and not rooms.patient:
            raise TooManyError


async def _unpush(rooms: Rooms, author_id: int, entry_id: int, tweet_id: int) -> None:
    """Take an entry back on the road that it came. A copy that a merge made stays, and reading filters it."""
    roads = await rooms.asked.roads(author_id)
    await rooms.fanout.unpush([author_id], entry_id, tweet_id)
    if roads and roads.is_pulled(entry_id):
        await rooms.fanout.flush()
        await rooms.top_users.withdraw(author_id, entry_id, tweet_id)
        return
    async for followers in _followers(rooms, author_id, roads):
        await rooms.fanout.unpush(followers, entry_id, tweet_id)


HANDLERS: Mapping[EventName, Callable[[Rooms, Event], Awaitable[None]]] = {
    EventName.TWEET_POSTED: on_tweet_posted,
    EventName.TWEET_DELETED: on_tweet_deleted,
    EventName.TWEET_LIKED: on_tweet_liked,
    EventName.TWEET_UNLIKED: on_tweet_unliked,
    EventName.TWEET_RANKED: on_tweet_ranked,
    EventName.TWEET_CHANGED: on_tweet_changed,
    EventName.TWEET_RETWEETED: on_tweet_retweeted,
    EventName.RETWEET_UNDONE: on_retweet_undone,
    EventName.USER_FOLLOWED: on_user_followed,
    EventName.USER_UNFOLLOWED: on_user_unfollowed,
    EventName.USER_CHANGED: on_user_changed,
    EventName.USER_DELETED: on_user_deleted,
    EventName.USER_PROMOTED: on_user_promoted,
    EventName.USER_DEMOTED: on_user_demoted,
    EventName.FOLLOW_DOUBTED: on_follow_doubted,
    EventName.BLOCK_CHANGED: on_block_changed,
    EventName.MUTE_CHANGED: on_mute_changed,
    EventName.HEARTBEAT: on_heartbeat,
}
