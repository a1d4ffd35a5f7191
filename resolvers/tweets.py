"""Tweets: posting, deleting, reading one, and what hangs on one."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from strawberry import Parent

from datastore import rules
from datastore.errors import DomainError, ErrorCode, RequestError, bad_input
from datastore.records import CursorKind, Edge, Key, Page, Tweet, User, UserTweetFilter
from datastore.together import Asked, together
from realtime.limits import Action
from resolvers import guards, selection
from resolvers.ahead import together_with_flags
from resolvers.context import Context, Info
from resolvers.loaders import NEUTRAL
from resolvers.paging import joined, keyset_page, one
from resolvers.regard import blocked, readable, readable_page


async def post(info: Info, text: str, in_reply_to: int | None, idempotency_key: str | None) -> Tweet:
    """A new tweet of the viewer's. Raises TEXT_*, NOT_FOUND or BLOCKED for the answered tweet, IDEMPOTENCY_CONFLICT."""
    context = info.context
    author_id = guards.viewer(context)
    text = rules.tweet_text(text, context.services.text_limit)
    if idempotency_key is not None and not 1 <= len(idempotency_key.encode()) <= rules.IDEMPOTENCY_KEY_LIMIT:
        raise bad_input(f"An idempotencyKey has 1 to {rules.IDEMPOTENCY_KEY_LIMIT} bytes.")
    if idempotency_key is not None:
        # Before all else: the retry of an accepted call is no new one, whatever has become of what it answered.
        made = await context.services.tweets.made_with(author_id, idempotency_key, text, in_reply_to)
        if made:
            return made
    # Side by side: how many follow the author now stays with the tweet.
    author, _ = await asyncio.gather(context.services.users.get(author_id), guards.spend(context, Action.TWEET))
    followers = author.follower_count if author else 0
    answered = await open_to(context, in_reply_to, "inReplyTo") if in_reply_to is not None else None
    tweet = await context.services.tweets.add(
        author_id, text, context.now_ms(), answered, idempotency_key, author_followers=followers
    )
    if idempotency_key is None:
        # It is new: nobody can have done anything to it.
        for loader in (context.loaders.likes, context.loaders.retweets):
            loader.ready((author_id, tweet.id), False)
    dropping = context.services.cache.drop(author_id, [answered.id] if answered else [], [author_id])
    if "tweetCount" in selection.names(info):
        # As it is after the write: not by way of the copy that has just been dropped.
        author, _ = await asyncio.gather(context.services.users.get(author_id), dropping)
    else:
        # Of its author the write has changed nothing else.
        await dropping
    context.loaders.users.ready(author_id, author)
    return tweet


async def delete(info: Info, tweet_id: int) -> int:
    """Delete the viewer's own tweet; gives its id. Raises NOT_FOUND, NOT_ALLOWED."""
    context = info.context
    viewer_id = guards.viewer(context)
    try:
        answered_id = await context.services.tweets.remove(viewer_id, tweet_id)
    except DomainError as refusal:
        if refusal.code is ErrorCode.NOT_ALLOWED:
            await existing(context, tweet_id)  # what the viewer may not see is NOT_FOUND
        raise
    await context.services.cache.drop(viewer_id, [tweet_id, *([answered_id] if answered_id else [])], [viewer_id])
    return tweet_id


async def existing(context: Context, tweet_id: int, field: str = "tweetId") -> Tweet:
    """The tweet; its author is ready afterwards. Raises NOT_FOUND, for one of a deleted author too."""
    tweet = await context.services.tweets.get(tweet_id)
    # Not through the loaders: a verb shows its author's counts as they are after its write.
    author = await context.services.users.get(tweet.author_id) if tweet else None
    return _there(context, tweet, author, field)


async def as_it_is_now(context: Context, tweet: Tweet) -> Tweet:
    """As `existing`, for a tweet that was there before. Its author is ready since then: a verb on a tweet changes
    nothing of them."""
    now = await context.services.tweets.get(tweet.id)
    return _there(context, now, await context.loaders.users.get(tweet.author_id))


async def open_to(context: Context, tweet_id: int, field: str = "tweetId") -> Tweet:
    """The tweet, if the viewer may act on it; its author is ready afterwards. Raises NOT_FOUND, BLOCKED."""
    services, viewer_id = context.services, guards.viewer(context)
    tweet = await services.tweets.get(tweet_id)
    if tweet is None:
        return _there(context, None, None, field)
    pair = viewer_id, tweet.author_id
    asked = services.users.find_many([tweet.author_id]), services.blocks.find_regards([pair])
    (author,), regards = await together(*asked)
    _there(context, tweet, author, field)
    if pair in regards and regards[pair].apart:
        raise blocked(field)
    return tweet


def _there(context: Context, tweet: Tweet | None, author: User | None, field: str = "tweetId") -> Tweet:
    if tweet is None or author is None:
        raise DomainError(ErrorCode.NOT_FOUND, "There is no such tweet.", ("input", field))
    context.loaders.users.ready(author.id, author)
    return tweet


async def by_id(info: Info, tweet_id: int) -> Tweet | None:
    """A tweet, None if there is none, it was deleted, or its author and the viewer are apart."""
    return await readable(info.context, await info.context.loaders.tweets.get(tweet_id))


async def alone(info: Info, tweet_id: int) -> Tweet | None:
    """As `by_id`, for a root field: where it is the only one, what is asked about the tweet is read ahead, its replies
    too, in one round trip."""
    context = info.context
    if len(info._raw_info.operation.selection_set.selections) > 1:
        return await by_id(info, tweet_id)
    (tweet,) = await context.loaders.shown([tweet_id])
    if tweet is None or context.viewer_id is None:
        return tweet
    pair, count = (context.viewer_id, tweet.author_id), _replies_ahead(info)
    asked: list[Asked[Any]] = [context.services.blocks.find_regards([pair])]
    asked += [context.services.tweets.find_replies(tweet_id, count)] if count else []
    regards, *replies = await together_with_flags(context, [tweet_id], selection.names(info), *asked)
    for found in replies:
        context.loaders.replies[tweet_id, count] = found
    return None if regards.get(pair, NEUTRAL).apart else tweet


def _replies_ahead(info: Info) -> int:
    """How many replies the tweet that is asked for will be asked for; 0 unless it is their first page."""
    given = selection.given(info, "replies")
    if given is None or given.get("after"):
        return 0
    first = given.get("first")
    try:
        return guards.page_size(first if isinstance(first, int) else None) + 1
    except RequestError:
        return 0


def author(tweet: Parent[Tweet], info: Info) -> User | None | Awaitable[User | None]:
    """Who wrote it: at once where the parent read them already."""
    return info.context.loaders.users.load(tweet.author_id)


async def in_reply_to(tweet: Parent[Tweet], info: Info) -> Tweet | None:
    """The answered tweet, None if it answers none, that one is gone, or a block hides it."""
    return await by_id(info, tweet.in_reply_to_id) if tweet.in_reply_to_id is not None else None


def viewer_has_liked(tweet: Parent[Tweet], info: Info) -> bool | Awaitable[bool]:
    """Whether the viewer likes it; false for nobody."""
    viewer_id = info.context.viewer_id
    return info.context.loaders.likes.load((viewer_id, tweet.id)) if viewer_id is not None else False


async def of_user(user: User, info: Info, first: int | None, after: Key | None, only: UserTweetFilter) -> Page[Tweet]:
    """A user's tweets or retweets, newest first; retweets stand at the time of retweeting."""
    if only is UserTweetFilter.RETWEETS:
        return await _retweets_of_user(user, info, first, after)
    tweets = info.context.services.tweets

    async def read(count: int, key: Key | None) -> list[Edge[Tweet]]:
        found = await tweets.by_author(user.id, count, one(key), only is UserTweetFilter.TWEETS_AND_REPLIES)
        return [Edge(CursorKind.USER_TWEETS, (tweet.id,), tweet) for tweet in found]

    page = await keyset_page(read, first, after)
    return await readable_page(info.context, page, False, selection.names(info))


async def _retweets_of_user(user: User, info: Info, first: int | None, after: Key | None) -> Page[Tweet]:
    retweets = info.context.services.retweets

    async def read(count: int, key: Key | None) -> list[Edge[int]]:
        found = await retweets.of_user(user.id, count, one(key))
        return [Edge(CursorKind.USER_TWEETS, (row.id,), row.tweet_id) for row in found]

    return await _of_ids(info, await keyset_page(read, first, after))


async def replies(tweet: Tweet, info: Info, first: int | None, after: Key | None) -> Page[Tweet]:
    """The tweets that answer this one, newest first."""
    tweets, ahead = info.context.services.tweets, info.context.loaders.replies

    async def read(count: int, key: Key | None) -> list[Edge[Tweet]]:
        found = ahead.get((tweet.id, count)) if key is None else None
        if found is None:
            found = await tweets.replies_to(tweet.id, count, one(key))
        return [Edge(CursorKind.REPLIES, (reply.id,), reply) for reply in found]

    page = await keyset_page(read, first, after)
    return await readable_page(info.context, page, True, selection.names(info))


async def liked_by(user: User, info: Info, first: int | None, after: Key | None) -> Page[Tweet]:
    """What a user likes, newest like first."""
    likes = info.context.services.likes
    page = await keyset_page(lambda count, key: likes.liked(user.id, count, key), first, after)
    return await _of_ids(info, page)


async def _of_ids(info: Info, page: Page[int]) -> Page[Tweet]:
    context = info.context
    tweets = joined(page, await context.loaders.bodies([edge.node for edge in page.edges]))
    return await readable_page(context, tweets, False, selection.names(info))
