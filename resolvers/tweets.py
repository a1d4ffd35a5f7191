"""Tweets: posting, deleting, reading one, and what hangs on one."""

import asyncio
from collections.abc import Awaitable

from strawberry import Parent

from datastore import rules
from datastore.errors import DomainError, ErrorCode, bad_input
from datastore.records import CursorKind, Edge, Key, Page, Tweet, User
from realtime.limits import Action
from resolvers import guards
from resolvers.context import Context, Info
from resolvers.paging import keyset_page, one


async def post(info: Info, text: str, in_reply_to: int | None, idempotency_key: str | None) -> Tweet:
    """A new tweet of the viewer's. Raises TEXT_*, NOT_FOUND for the answered tweet, IDEMPOTENCY_CONFLICT."""
    context = info.context
    author_id = guards.viewer(context)
    text = rules.tweet_text(text, context.services.text_limit)
    if idempotency_key is not None and not 1 <= len(idempotency_key.encode()) <= rules.IDEMPOTENCY_KEY_LIMIT:
        raise bad_input(f"An idempotencyKey has 1 to {rules.IDEMPOTENCY_KEY_LIMIT} bytes.")
    # Side by side: how many follow the author now stays with the tweet.
    author, _ = await asyncio.gather(context.services.users.get(author_id), guards.spend(context, Action.TWEET))
    followers = author.follower_count if author else 0
    answered = await existing(context, in_reply_to, "inReplyTo") if in_reply_to is not None else None
    return await context.services.tweets.add(
        author_id, text, context.now_ms(), answered, idempotency_key, author_followers=followers
    )


async def delete(info: Info, tweet_id: int) -> int:
    """Delete the viewer's own tweet; gives its id. Raises NOT_FOUND, NOT_ALLOWED."""
    await info.context.services.tweets.remove(guards.viewer(info.context), tweet_id)
    return tweet_id


async def existing(context: Context, tweet_id: int, field: str = "tweetId") -> Tweet:
    """The tweet. Raises NOT_FOUND."""
    tweet = await context.services.tweets.get(tweet_id)
    if tweet is None:
        raise DomainError(ErrorCode.NOT_FOUND, "There is no such tweet.", ("input", field))
    return tweet


def author(tweet: Parent[Tweet], info: Info) -> User | None | Awaitable[User | None]:
    """Who wrote it: at once where the parent read them already."""
    return info.context.loaders.users.load(tweet.author_id)


def in_reply_to(tweet: Parent[Tweet], info: Info) -> Tweet | None | Awaitable[Tweet | None]:
    """The answered tweet, None if it answers none or that one is gone."""
    return info.context.loaders.tweets.load(tweet.in_reply_to_id) if tweet.in_reply_to_id is not None else None


def viewer_has_liked(tweet: Parent[Tweet], info: Info) -> bool | Awaitable[bool]:
    """Whether the viewer likes it; false for nobody."""
    viewer_id = info.context.viewer_id
    return info.context.loaders.likes.load((viewer_id, tweet.id)) if viewer_id is not None else False


async def of_user(user: User, info: Info, first: int | None, after: Key | None) -> Page[Tweet]:
    """A user's tweets that are not replies, newest first."""
    tweets = info.context.services.tweets

    async def read(count: int, key: Key | None) -> list[Edge[Tweet]]:
        found = await tweets.by_author(user.id, count, one(key))
        return [Edge(CursorKind.USER_TWEETS, (tweet.id,), tweet) for tweet in found]

    return await keyset_page(read, first, after)
