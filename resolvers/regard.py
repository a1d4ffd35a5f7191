"""Regard: how the viewer and another stand, and so what of the other's the viewer may see or do. Acts at once."""

from collections.abc import Sequence

from datastore.errors import DomainError, ErrorCode
from datastore.records import Page, Regard, Tweet
from resolvers.context import Context
from resolvers.loaders import NEUTRAL


async def regard_of(context: Context, user_id: int) -> Regard:
    """How the viewer and this person stand; neutral for nobody and for oneself."""
    if context.viewer_id is None or context.viewer_id == user_id:
        return NEUTRAL
    return await context.loaders.regards.get((context.viewer_id, user_id))


async def not_blocked(context: Context, user_id: int, field: str) -> None:
    """Raises BLOCKED if one of the two blocks the other."""
    if (await regard_of(context, user_id)).apart:
        raise blocked(field)


def blocked(field: str) -> DomainError:
    """The refusal of whatever concerns somebody from whom the viewer is apart."""
    return DomainError(ErrorCode.BLOCKED, "One of you has blocked the other.", ("input", field))


async def readable(context: Context, tweet: Tweet | None) -> Tweet | None:
    """The tweet, None if its author and the viewer are apart."""
    if tweet is None or (await regard_of(context, tweet.author_id)).apart:
        return None
    return tweet


async def readable_page(context: Context, page: Page[Tweet], muted_too: bool) -> Page[Tweet]:
    """The page without the tweets of people from whom the viewer is apart, or with `muted_too` whom they mute.

    One round trip. It may be shorter than asked for and still have a next page.
    """
    authors = list({edge.node.author_id for edge in page.edges})
    regards = dict(zip(authors, await regards_of(context, authors), strict=True))
    edges = [
        edge
        for edge in page.edges
        if not (regards[edge.node.author_id].apart or (muted_too and regards[edge.node.author_id].mutes))
    ]
    return Page(edges, page.has_next, page.has_previous, page.end)


async def regards_of(context: Context, user_ids: Sequence[int]) -> list[Regard]:
    """How the viewer stands with each, in order. One round trip."""
    viewer_id = context.viewer_id
    if viewer_id is None or not user_ids:
        return [NEUTRAL] * len(user_ids)
    found = await context.services.blocks.regards(viewer_id, user_ids)
    return [found.get(user_id, NEUTRAL) for user_id in user_ids]
