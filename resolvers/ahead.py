"""Ahead: what an answer will ask about each of its tweets, read at once, together with what their list needs."""

from collections.abc import Collection
from typing import Any

from datastore.together import Asked, Begun
from resolvers.context import Context


def together_with_flags(
    context: Context, tweet_ids: Collection[int], wanted: Collection[str], *finds: Asked[Any]
) -> Begun[list[Any]]:
    """What the finds make, in order, asked now. One round trip; in the same one what the viewer did to these tweets,
    for those of the `wanted` fields that tell it: the loaders have it ready afterwards."""
    flags = _flags(context, tweet_ids, wanted)

    def made(found: list[Any]) -> list[Any]:
        for (loader, _), those in zip(flags, found[len(finds) :], strict=True):
            for tweet_id in tweet_ids:
                loader.ready((context.viewer_id, tweet_id), tweet_id in those)
        return found[: len(finds)]

    return Begun([*finds, *(find for _, find in flags)], made)


def _flags(context: Context, tweet_ids: Collection[int], wanted: Collection[str]) -> list[tuple[Any, Asked[set[int]]]]:
    """What has to be asked for the fields that say what the viewer did, and whose they are."""
    viewer_id, services, loaders = context.viewer_id, context.services, context.loaders
    if viewer_id is None or not tweet_ids:
        return []
    asked = {
        "viewerHasLiked": (loaders.likes, services.likes.find_liked),
        "viewerHasRetweeted": (loaders.retweets, services.retweets.find_retweeted),
    }
    return [(loader, find(viewer_id, tweet_ids)) for field, (loader, find) in asked.items() if field in wanted]
