"""Topics: what one person does, and what happens to some tweets, as it happens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from realtime import keys
from schema import globalid
from tests.perch import PATIENCE_SECONDS, Perch, Person, Socket

ACTIVITY = """subscription ($id: ID!) { userActivity(userId: $id) { __typename
  ... on UserPostedTweet { tweet { text } } ... on UserDeletedTweet { tweetId }
  ... on UserLikedTweet { tweet { text viewerHasLiked } } ... on UserRetweeted { tweet { text } }
  ... on UserFollowedUser { user { username } } } }"""
EVENTS = """subscription ($ids: [ID!]!) { tweetEvents(tweetIds: $ids) { __typename
  ... on TweetCountsChanged { tweet { id likeCount retweetCount replyCount } } ... on TweetDeleted { tweetId } } }"""


@asynccontextmanager
async def subscribed(
    perch: Perch, query: str, channel: str, who: Person | None, **variables: Any
) -> AsyncIterator[Socket]:
    """An open subscription whose channel is confirmed: these replay nothing, so a test must not be early."""
    async with perch.socket() as socket:
        await socket.init({"authorization": f"Bearer {who.token}"} if who else None)
        await socket.send({"type": "subscribe", "id": "1", "payload": {"query": query, "variables": variables}})
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (await perch.redis.pubsub_shardnumsub(channel))[0][1]:
                await perch.settle()
        yield socket


async def following(perch: Perch, person: Person, who: Person | None = None) -> Any:
    channel = keys.activity_channel(globalid.of_type(person.id, "User"))
    return subscribed(perch, ACTIVITY, channel, who, id=person.id)


def watching(perch: Perch, *tweet_ids: str) -> Any:
    channel = keys.tweet_channel(globalid.of_type(tweet_ids[0], "Tweet"))
    return subscribed(perch, EVENTS, channel, None, ids=list(tweet_ids))


async def event(socket: Socket, field: str) -> dict[str, Any]:
    message = await socket.receive()
    assert message["type"] == "next", message
    assert "errors" not in message["payload"], message
    found: dict[str, Any] = message["payload"]["data"][field]
    return found


async def test_everything_a_person_does_is_told_in_order(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    theirs = await bob.post("bob's")
    await perch.settle()
    async with await following(perch, ann) as socket:
        mine = await ann.post("ann's")
        assert await event(socket, "userActivity") == {"__typename": "UserPostedTweet", "tweet": {"text": "ann's"}}
        await ann.like(theirs["id"])
        found = await event(socket, "userActivity")
        assert found == {"__typename": "UserLikedTweet", "tweet": {"text": "bob's", "viewerHasLiked": False}}
        await ann.verb("retweet", {"tweetId": theirs["id"]})
        assert await event(socket, "userActivity") == {"__typename": "UserRetweeted", "tweet": {"text": "bob's"}}
        await ann.follow(bob)
        found = await event(socket, "userActivity")
        assert found == {"__typename": "UserFollowedUser", "user": {"username": bob.username}}
        await ann.delete(mine["id"])
        assert await event(socket, "userActivity") == {"__typename": "UserDeletedTweet", "tweetId": mine["id"]}


async def test_the_blocked_hear_nothing_of_the_blocker(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    async with await following(perch, ann, bob) as socket:
        await ann.verb("blockUser", {"userId": bob.id})
        await ann.post("not for bob")
        await perch.settle()
        await ann.verb("unblockUser", {"userId": bob.id})
        await ann.post("for bob again")
        assert (await event(socket, "userActivity"))["tweet"]["text"] == "for bob again"


async def test_nobody_listens_to_nobody(perch: Perch) -> None:
    async with perch.socket() as socket:
        await socket.init()
        variables = {"id": globalid.encode("User", 1)}
        await socket.send({"type": "subscribe", "id": "1", "payload": {"query": ACTIVITY, "variables": variables}})
        message = await socket.receive()
    errors = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
    assert errors[0]["extensions"]["code"] == "NOT_FOUND"


async def test_changed_counts_are_told_and_a_burst_is_one_event(perch: Perch) -> None:
    author, *fans = await perch.persons(6)
    tweet = await author.post("count me")
    await perch.settle()
    async with watching(perch, tweet["id"]) as socket:
        await asyncio.gather(*(fan.like(tweet["id"]) for fan in fans))
        await fans[0].verb("retweet", {"tweetId": tweet["id"]})
        await fans[1].post("an answer", inReplyTo=tweet["id"])
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1] != {"id": tweet["id"], "likeCount": 5, "retweetCount": 1, "replyCount": 1}:
            seen.append((await event(socket, "tweetEvents"))["tweet"])
    # Seven changes in far less than a second: at most two a second are told.
    assert len(seen) <= 4
    assert [found["likeCount"] for found in seen] == sorted(found["likeCount"] for found in seen)


async def test_a_deletion_is_told_and_ends_the_subscription_with_the_last_tweet(perch: Perch) -> None:
    author = await perch.person()
    tweets = [await author.post(f"number {number}") for number in range(2)]
    await perch.settle()
    async with watching(perch, *(tweet["id"] for tweet in tweets)) as socket:
        for tweet in tweets:
            await author.delete(tweet["id"])
            found = await event(socket, "tweetEvents")
            assert found == {"__typename": "TweetDeleted", "tweetId": tweet["id"]}
        assert (await socket.receive())["type"] == "complete"


async def test_tweet_events_are_for_one_to_a_hundred_tweets(perch: Perch) -> None:
    author = await perch.person()
    tweet = await author.post("one")
    for ids in ([], [tweet["id"]] * 101, [author.id], ["junk"]):
        async with perch.socket() as socket:
            await socket.init()
            await socket.send({"type": "subscribe", "id": "1", "payload": {"query": EVENTS, "variables": {"ids": ids}}})
            message = await socket.receive()
        errors = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
        assert errors[0]["extensions"]["code"] == "BAD_USER_INPUT", ids
