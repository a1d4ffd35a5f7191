"""Search: tweets by words, tags and names, people by the beginnings of their names."""

import asyncio
from collections.abc import Collection, Sequence

from strawberry import Parent

from datastore import terms
from datastore.records import CursorKind, Edge, Key, Page, SearchScope, Tweet, User
from datastore.terms import Query
from realtime.load import Burden
from resolvers import guards, selection
from resolvers.context import Context, Info
from resolvers.paging import joined, keyset_page, one
from resolvers.regard import readable_page

# A screen of results.
PAGE_SIZE = 15
# A page whose tweets a block, a mute or a delete hides asks for more, so often.
ROUNDS = 3


async def tweets(
    info: Info, query: str, scope: SearchScope | None, first: int | None, after: Key | None
) -> Page[Tweet]:
    """What the query finds, newest first. It may be fewer than `first`, even none, and still have a next page: one
    request's search is bounded. Raises BAD_USER_INPUT, and UNAUTHENTICATED where nobody asks what they follow."""
    context = info.context
    guards.spare(context, Burden.SEARCH)
    size = guards.page_size(first, PAGE_SIZE)
    asked = terms.of_query(query)
    context.loaders.see()
    authors = await _authors(context, asked, scope)
    edges: list[Edge[Tweet]] = []
    resume = one(after)
    for _ in range(ROUNDS):
        wanted = size - len(edges)
        found = await context.search.tweets(asked.terms, authors, wanted, resume)
        edges += await _readable(context, found.tweet_ids, selection.names(info))
        resume = found.resume
        # A scan that stopped at its bound has cost enough.
        if resume is None or len(edges) == size or len(found.tweet_ids) < wanted:
            break
    end = (CursorKind.FOUND_TWEETS, (resume,)) if resume is not None else None
    return Page(edges, resume is not None, after is not None, end)


async def _authors(context: Context, asked: Query, scope: SearchScope | None) -> list[int] | None:
    """Whose tweets are asked for; None for everybody's. Read for each page, so that an unfollow acts at once."""
    search, follows = context.search, context.services.follows
    if scope is not SearchScope.FOLLOWING:
        return await search.authors(asked.senders) if asked.senders else None
    viewer_id = guards.viewer(context)
    if not asked.senders:
        return [*await follows.followee_ids(viewer_id), viewer_id]
    senders = await search.authors(asked.senders)
    followed = await follows.existing((viewer_id, sender) for sender in senders)
    return [sender for sender in senders if sender == viewer_id or (viewer_id, sender) in followed]


async def _readable(context: Context, tweet_ids: Sequence[int], wanted: Collection[str]) -> list[Edge[Tweet]]:
    """Those of the tweets that are not deleted and that the viewer may and wants to see. Two round trips."""
    found = await context.loaders.bodies(tweet_ids) if tweet_ids else []
    edges = [Edge(CursorKind.FOUND_TWEETS, (tweet.id,), tweet) for tweet in found if tweet]
    return (await readable_page(context, Page(edges, False, False), True, wanted)).edges


async def users(info: Info, query: str, first: int | None, after: Key | None) -> Page[User]:
    """People whose username or display name begins so. Raises BAD_USER_INPUT."""
    search = info.context.search
    guards.spare(info.context, Burden.SEARCH)
    prefix = terms.of_name_query(query)
    size = guards.page_size(first, PAGE_SIZE)
    page = await keyset_page(lambda count, key: search.users(prefix, count, key), size, after)
    return joined(page, await info.context.loaders.profiles([edge.node for edge in page.edges]))


async def mentions(tweet: Parent[Tweet], info: Info) -> list[User]:
    """Those whom the tweet names, in order; deleted ones are left out. Batched with the other tweets of the answer."""
    people = await asyncio.gather(*(info.context.loaders.users.get(user_id) for user_id in tweet.mention_ids))
    return [person for person in people if person]
