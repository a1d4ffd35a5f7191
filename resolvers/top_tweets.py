"""Top tweets: pages, the short list beside a home timeline, and its changes: skeleton > hydrate > filter > present."""

import asyncio
import struct
from collections.abc import AsyncGenerator, Collection, Sequence
from datetime import UTC, datetime

from datastore.errors import bad_input
from datastore.records import (
    CursorKind,
    Edge,
    Key,
    TopTweet,
    TopTweetPage,
    TopTweetsChanged,
    TopWindow,
    Tweet,
)
from realtime import keys
from realtime.top_tweets import Position, Ranked
from resolvers import guards, selection
from resolvers.context import Context, Info
from resolvers.regard import regards_of

# A page whose tweets are filtered away asks for more, so often; then it is short and has a next page.
ROUNDS = 10
# At most two changes a second reach a subscriber; what comes faster is told together.
CHANGE_SECONDS = 0.5
_WINDOWS = list(TopWindow)


async def top(info: Info, first: int | None, after: Key | None, window: TopWindow) -> TopTweetPage:
    """One page, best first; `after` is exclusive. For anybody. Raises BAD_USER_INPUT.

    The page is one of a snapshot only if its cursors are asked for.
    """
    size = guards.page_size(first, 10)
    wanted = selection.names(info)
    paged = bool(wanted & {"cursor", "startCursor", "endCursor"})
    return await page(info.context, size, window, after, paged, wanted)


async def beside_home(info: Info, first: int | None) -> list[TopTweet]:
    """The best of the day that the viewer may see."""
    size, wanted = guards.page_size(first, 5), selection.names(info)
    return (await page(info.context, size, TopWindow.DAY, wanted=wanted)).nodes


async def page(
    context: Context,
    size: int,
    window: TopWindow,
    after: Key | None = None,
    paged: bool = False,
    wanted: Collection[str] = (),
) -> TopTweetPage:
    """One page. One Redis round trip and the tweets, unless some were filtered away: then one more round for these."""
    position, computed_ms, more = position_of(after, window), context.now_ms(), True
    services = context.services
    context.loaders.see()
    edges: list[Edge[TopTweet]] = []
    for round_ in range(ROUNDS):
        skeleton = await services.top_tweets.page(window, size - len(edges), context.now_ms(), position, paged)
        tweets = await hydrate(context, skeleton.rows, wanted)
        edges += [present(window, row, tweets[row.tweet_id]) for row in skeleton.rows if row.tweet_id in tweets]
        computed_ms = skeleton.at_ms if round_ == 0 else computed_ms
        position = skeleton.rows[-1].position if skeleton.rows else position
        more = skeleton.more
        if not more or len(edges) == size:
            break
    end = key_of(window, position) if position else None
    return TopTweetPage(edges, more, after is not None, datetime.fromtimestamp(computed_ms / 1000, UTC), end)


async def hydrate(context: Context, rows: Sequence[Ranked], wanted: Collection[str]) -> dict[int, Tweet]:
    """The tweets of these rows that the viewer may see, by id; what the `wanted` fields tell is ready."""
    found = await context.loaders.bodies([row.tweet_id for row in rows])
    shown = await visible(context, [tweet for tweet in found if tweet], wanted)
    for tweet in shown:
        context.loaders.tweets.ready(tweet.id, tweet)
    return {tweet.id: tweet for tweet in shown}


async def visible(context: Context, tweets: Sequence[Tweet], wanted: Collection[str]) -> Sequence[Tweet]:
    """Those that the viewer may see: nobody's who is gone, from whom they are apart or whom they mute. Deleted tweets
    are gone already. The one place for what hides a tweet here."""
    authors = list({tweet.author_id for tweet in tweets})
    begun = regards_of(context, authors, [tweet.id for tweet in tweets], wanted)
    living, regards = await context.loaders.living(tweets), await begun
    return [tweet for tweet in living if not (regards[tweet.author_id].apart or regards[tweet.author_id].mutes)]


def present(window: TopWindow, row: Ranked, tweet: Tweet) -> Edge[TopTweet]:
    """The row as an edge."""
    top_tweet = TopTweet(row.position.rank, row.score, tweet)
    return Edge(CursorKind.TOP_TWEETS, key_of(window, row.position), top_tweet)


async def changed(info: Info, first: int | None, window: TopWindow) -> AsyncGenerator[TopTweetsChanged, None]:
    """The list now, then as it changes, until cancelled. For anybody. Replays nothing."""
    context, size = info.context, guards.page_size(first, 10)
    loop, told = asyncio.get_running_loop(), None
    async with context.services.hub.watch(keys.top_channel(window)) as news:
        while True:
            news.clear()
            # What was read for one list must not be shown in the next.
            context.loaders = context.services.loaders()
            at = loop.time()
            found = await page(context, size, window)
            tweets = [top_tweet.tweet for top_tweet in found.nodes]
            if tweets != told:
                told = tweets
                yield TopTweetsChanged(found.computed_at, found.nodes)
            await news.wait()
            await asyncio.sleep(at + CHANGE_SECONDS - loop.time())


def key_of(window: TopWindow, position: Position) -> Key:
    """The position as the integers of a cursor; the place as its 64 bits in two halves."""
    high, low = struct.unpack(">II", struct.pack(">d", position.place))
    return (_WINDOWS.index(window), position.snapshot, position.rank, high, low, position.tweet_id)


def position_of(key: Key | None, window: TopWindow) -> Position | None:
    """The position of a cursor. Raises BAD_USER_INPUT for one of another window, or of no place."""
    if key is None:
        return None
    number, snapshot, rank, high, low, tweet_id = key
    if number != _WINDOWS.index(window) or max(high, low) >= 1 << 32:
        raise bad_input("This is not a cursor of this list.")
    (place,) = struct.unpack(">d", struct.pack(">II", high, low))
    # Neither infinite nor no number at all.
    if not abs(place) < 1e9:
        raise bad_input("This is not a cursor of this list.")
    return Position(snapshot, rank, place, tweet_id)
