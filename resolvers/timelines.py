"""Home timelines: skeleton > hydrate > filter > present, the same four steps for a page and for a live event."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from datastore.records import HomeEdge, HomeTimeline, Key, TimelineSource, Tweet
from resolvers import guards, selection
from resolvers.context import Context, Info
from resolvers.paging import one

# A page whose entries are filtered away asks for more, so often; then it is short and has a next page.
ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Hydrated:
    """The tweets of some entries whose authors are not gone, and whom of the people concerned the viewer follows."""

    tweets: dict[int, Tweet]
    followed: set[int]


async def home(info: Info, first: int | None, after: Key | None) -> HomeTimeline:
    """One page of the viewer's timeline, newest first; `after` is exclusive. Raises UNAUTHENTICATED, BAD_USER_INPUT.

    A constant number of round trips, unless entries were filtered away: then one more round for what is missing.
    """
    context = info.context
    viewer_id = guards.viewer(context)
    size = guards.page_size(first)
    wanted = selection.names(info)
    edges: list[HomeEdge] = []
    before, token, more = one(after), "", True
    for round_ in range(ROUNDS):
        live = round_ == 0 and "liveCursor" in wanted
        skeleton = await context.services.timelines.page(viewer_id, size - len(edges), before, live)
        hydrated = await hydrate(context, viewer_id, skeleton.entry_ids, wanted)
        kept = visible(viewer_id, skeleton.entry_ids, hydrated)
        edges += present(viewer_id, kept, hydrated)
        token, more = skeleton.token or token, skeleton.more
        before = skeleton.entry_ids[-1] if skeleton.entry_ids else before
        if not more or len(edges) == size:
            break
    return HomeTimeline(edges, more, after is not None, token, before)


async def hydrate(context: Context, viewer_id: int, entry_ids: Sequence[int], wanted: Collection[str] = ()) -> Hydrated:
    """Everything the page shows, read in two steps of MongoDB queries whatever its size: the tweets, then side by
    side the follows and authors that the filter needs (read last, so that an unfollow or a deletion acts at once) and
    what was selected."""
    loaders, services = context.loaders, context.services
    found = await services.tweets.get_many(entry_ids)
    tweets = {tweet.id: tweet for tweet in found if tweet}
    people = {tweet.author_id for tweet in tweets.values()}
    answered = {tweet.reply_author_id for tweet in tweets.values() if tweet.reply_author_id is not None}
    followed, living, _ = await asyncio.gather(
        services.follows.existing((viewer_id, person) for person in people | answered),
        loaders.living(tweets.values()),
        _read_likes(context, viewer_id, tweets) if "viewerHasLiked" in wanted else _nothing(),
    )
    for tweet in living:
        loaders.tweets.ready(tweet.id, tweet)
    return Hydrated({tweet.id: tweet for tweet in living}, {author for _, author in followed})


async def _read_likes(context: Context, viewer_id: int, tweet_ids: Collection[int]) -> None:
    liked = await context.services.likes.existing((viewer_id, tweet_id) for tweet_id in tweet_ids)
    for tweet_id in tweet_ids:
        context.loaders.likes.ready((viewer_id, tweet_id), (viewer_id, tweet_id) in liked)


async def _nothing() -> None:
    return None


def visible(viewer_id: int, entry_ids: Sequence[int], hydrated: Hydrated) -> list[int]:
    """The entries the viewer may see now, in order: not deleted, the author still followed, the reply rule met."""
    return [
        entry
        for entry in entry_ids
        if (tweet := hydrated.tweets.get(entry)) and _shows(viewer_id, tweet, hydrated.followed)
    ]


def _shows(viewer_id: int, tweet: Tweet, followed: set[int]) -> bool:
    if tweet.author_id == viewer_id:
        return True
    if tweet.author_id not in followed:
        return False
    # A reply is for those who know both ends; authors who answer themselves go on for everybody.
    return tweet.reply_author_id in (None, tweet.author_id, viewer_id) or tweet.reply_author_id in followed


def present(viewer_id: int, entry_ids: Sequence[int], hydrated: Hydrated) -> list[HomeEdge]:
    """The edges of these entries, in order."""
    return [_edge(viewer_id, entry, hydrated.tweets[entry]) for entry in entry_ids]


def _edge(viewer_id: int, entry_id: int, tweet: Tweet) -> HomeEdge:
    source = TimelineSource.SELF if tweet.author_id == viewer_id else TimelineSource.FOLLOWING
    return HomeEdge(entry_id, tweet, source)
