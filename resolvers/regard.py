"""Regard: how the viewer and another stand, and so what of the other's the viewer may see or do. Acts at once."""

from collections.abc import Collection, Sequence

from datastore.errors import DomainError, ErrorCode
from datastore.records import Page, Regard, Tweet
from datastore.together import Begun
from resolvers.ahead import together_with_flags
from resolvers.context import Context
from resolvers.loaders import NEUTRAL


async def regard_of(context: Context, user_id: int) -> Regard:
    """How the viewer and this person stand; neutral for nobody and for oneself."""
    if context.viewer_id is None or context.viewer_id == user_id:
        return NEUTRAL
    return await context.loaders.regards.get((context.viewer_id, user_id))


def blocked(field: str) -> DomainError:
    """The refusal of whatever concerns somebody from whom the viewer is apart."""
    return DomainError(ErrorCode.BLOCKED, "One of you has blocked the other.", ("input", field))


async def readable(context: Context, tweet: Tweet | None) -> Tweet | None:
    """The tweet, None if its author and the viewer are apart."""
    if tweet is None or (await regard_of(context, tweet.author_id)).apart:
        return None
    return tweet


async def readable_page(
    context: Context, page: Page[Tweet], muted_too: bool, wanted: Collection[str] = ()
) -> Page[Tweet]:
    """The page without the tweets of people who are gone, from whom the viewer is apart, or with `muted_too` whom they
    mute. Every list of tweets comes through here or through `Loaders.living`. What the viewer did to its tweets is
    ready for the `wanted` fields.

    Two queries side by side. It may be shorter than asked for and still have a next page.
    """
    tweets = [edge.node for edge in page.edges]
    authors = list({tweet.author_id for tweet in tweets})
    begun = regards_of(context, authors, [tweet.id for tweet in tweets], wanted)
    present, regards = await context.loaders.present(authors), await begun
    edges = [
        edge
        for edge in page.edges
        if edge.node.author_id in present
        and not (regards[edge.node.author_id].apart or (muted_too and regards[edge.node.author_id].mutes))
    ]
    return Page(edges, page.has_next, page.has_previous, page.end)


def regards_of(
    context: Context, user_ids: Sequence[int], tweet_ids: Collection[int] = (), wanted: Collection[str] = ()
) -> Begun[dict[int, Regard]]:
    """How the viewer stands with each, asked now; and what the `wanted` fields of these tweets tell is ready. One round
    trip."""
    viewer_id = context.viewer_id
    if viewer_id is None or not user_ids:
        return Begun([], lambda _: dict.fromkeys(user_ids, NEUTRAL))
    pairs = [(viewer_id, user_id) for user_id in user_ids]
    begun = together_with_flags(context, tweet_ids, wanted, context.services.blocks.find_regards(pairs))
    return begun.then(lambda found: {user_id: found[0].get((viewer_id, user_id), NEUTRAL) for user_id in user_ids})
