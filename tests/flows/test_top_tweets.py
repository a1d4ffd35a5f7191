"""Walk 6: likes and replies > a place in the tweet's own write ~ change > relay > worker > lists > pages and live."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from datastore.records import Tweet
from realtime.scripts import Scripts
from resolvers.context import Context
from schema import globalid
from tests.perch import PATIENCE_SECONDS, Perch, Person, Socket

TOP = """query ($first: Int, $after: String, $window: TopWindow) {
  topTweets(first: $first, after: $after, window: $window) {
    computedAt pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor node { rank score tweet { id likeCount author { username } } } } nodes { rank } } }"""
PLAIN = "{ topTweets { computedAt nodes { rank score tweet { id text author { username } viewerHasLiked } } } }"
CHANGED = """subscription ($first: Int, $window: TopWindow) { topTweetsChanged(first: $first, window: $window) {
  computedAt topTweets { rank score tweet { id likeCount } } } }"""


@pytest.fixture
async def crowd(perch: Perch) -> list[Person]:
    """Nine people over an empty list: what other tests made popular is gone."""
    await perch.settle()
    fields = {"top_hour": "", "top_day": "", "top_week": ""}
    await perch.mongo.tweets.update_many({"top_day": {"$exists": True}}, {"$unset": fields, "$set": {"engagement": 0}})
    await perch.settle()
    return await perch.persons(9)


async def popular(author: Person, crowd: list[Person], likes: int) -> str:
    """A tweet with so many likes."""
    tweet_id: str = (await author.post(f"liked by {likes}"))["id"]
    await asyncio.gather(*(person.like(tweet_id) for person in crowd[:likes]))
    return tweet_id


async def page(perch: Perch, **variables: Any) -> dict[str, Any]:
    """One page, as anybody sees it."""
    answer = await perch.ask(TOP, **variables)
    assert not answer.errors, answer.errors
    found: dict[str, Any] = answer.data["topTweets"]
    return found


async def ranking(perch: Perch, **variables: Any) -> list[str]:
    """The ids of a page's tweets."""
    return [edge["node"]["tweet"]["id"] for edge in (await page(perch, **variables))["edges"]]


@asynccontextmanager
async def watching(perch: Perch, **variables: Any) -> AsyncIterator[Socket]:
    """An open topTweetsChanged subscription of nobody in particular."""
    async with perch.socket() as socket:
        await socket.init()
        payload = {"query": CHANGED, "variables": variables}
        await socket.send({"type": "subscribe", "id": "1", "payload": payload})
        yield socket


async def told(socket: Socket) -> list[tuple[str, int]]:
    """(tweet id, likes) of the next list."""
    message = await socket.receive()
    assert message["type"] == "next", message
    rows = message["payload"]["data"]["topTweetsChanged"]["topTweets"]
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    return [(row["tweet"]["id"], row["tweet"]["likeCount"]) for row in rows]


# ---------------------------------------------------------------- ranks


async def test_likes_make_a_rank_and_unlikes_take_it(perch: Perch, crowd: list[Person]) -> None:
    first, second = await popular(crowd[0], crowd[1:], 7), await popular(crowd[1], crowd[2:], 5)
    await perch.settle()
    found = await page(perch)
    rows = [(edge["node"]["rank"], edge["node"]["tweet"]["id"]) for edge in found["edges"]]
    assert rows == [(1, first), (2, second)]
    # Nobody follows them, and no time has passed to speak of.
    scores = [edge["node"]["score"] for edge in found["edges"]]
    assert scores == pytest.approx([36, 16], rel=0.001)
    await crowd[2].verb("unlikeTweet", {"tweetId": second})
    await perch.settle()
    assert await ranking(perch) == [first]


async def test_a_like_moves_the_rank_while_people_look(perch: Perch, crowd: list[Person]) -> None:
    first, second = await popular(crowd[0], crowd[2:], 6), await popular(crowd[1], crowd[2:], 5)
    await perch.settle()
    assert await ranking(perch) == [first, second]
    await crowd[0].like(second)
    await crowd[7].like(second)
    await crowd[8].like(second)
    give_up = time.monotonic() + PATIENCE_SECONDS
    while await ranking(perch) != [second, first]:
        assert time.monotonic() < give_up


async def test_followers_at_the_time_of_the_tweet_weigh_it(perch: Perch, crowd: list[Person]) -> None:
    before = await popular(crowd[0], crowd[1:], 6)
    for person in crowd[1:]:
        await person.follow(crowd[0])
    behind = await popular(crowd[0], crowd[1:], 5)
    await perch.settle()
    rows = {edge["node"]["tweet"]["id"]: edge["node"]["score"] for edge in (await page(perch))["edges"]}
    # 8 followers: 1 + log10(9).
    assert [rows[behind], rows[before]] == pytest.approx([16 * 1.9542, 25], rel=0.001)


async def test_repliers_count_once_and_the_authors_own_doings_never(perch: Perch, crowd: list[Person]) -> None:
    author = crowd[0]
    tweet = await popular(author, crowd[1:], 3)
    await author.like(tweet)
    for text in ("one", "two"):
        await author.post(text, inReplyTo=tweet)
        await crowd[1].post(text, inReplyTo=tweet)
    await perch.settle()
    assert await ranking(perch) == []
    reply = await crowd[2].post("three", inReplyTo=tweet)
    await perch.settle()
    assert await ranking(perch) == [tweet]
    await crowd[2].delete(reply["id"])
    await perch.settle()
    assert await ranking(perch) == []


async def test_a_retweet_counts_two_and_the_authors_own_none(perch: Perch, crowd: list[Person]) -> None:
    author = crowd[0]
    tweet = await popular(author, crowd[1:], 3)
    await author.verb("retweet", {"tweetId": tweet})
    await perch.settle()
    assert await ranking(perch) == []
    await crowd[1].verb("retweet", {"tweetId": tweet})
    await perch.settle()
    assert [edge["node"]["score"] for edge in (await page(perch))["edges"]] == pytest.approx([16], rel=0.001)
    await crowd[1].verb("undoRetweet", {"tweetId": tweet})
    await perch.settle()
    assert await ranking(perch) == []


async def test_blocks_and_mutes_hide_at_once(perch: Perch, crowd: list[Person]) -> None:
    tweets = [await popular(crowd[number], crowd[3:], likes) for number, likes in enumerate((6, 5))]
    await perch.settle()
    query = "{ topTweets { nodes { rank tweet { id } } } homeTimeline { topTweets { rank tweet { id } } } }"
    viewer = crowd[2]
    for verb, person, other in (
        ("muteUser", viewer, crowd[0]),
        ("unmuteUser", viewer, crowd[0]),
        ("blockUser", viewer, crowd[0]),
        ("unblockUser", viewer, crowd[0]),
        ("blockUser", crowd[0], viewer),
    ):
        await person.verb(verb, {"userId": other.id})
        expected = tweets if verb.startswith("un") else tweets[1:]
        found = await viewer.do(query)
        for rows in (found["topTweets"]["nodes"], found["homeTimeline"]["topTweets"]):
            assert [row["tweet"]["id"] for row in rows] == expected
        assert await ranking(perch) == tweets


async def test_a_deleted_tweet_is_gone_at_once(perch: Perch, crowd: list[Person]) -> None:
    first, second = await popular(crowd[0], crowd[1:], 7), await popular(crowd[1], crowd[2:], 5)
    await perch.settle()
    await crowd[0].delete(first)
    assert await ranking(perch) == [second]
    await perch.settle()
    assert [edge["node"]["rank"] for edge in (await page(perch))["edges"]] == [1]


async def test_a_deleted_accounts_tweets_and_likes_count_no_longer(perch: Perch, crowd: list[Person]) -> None:
    author, leaver, *others = crowd
    mine, theirs = await popular(author, [leaver, *others], 6), await popular(leaver, others, 5)
    await perch.settle()
    assert set(await ranking(perch)) == {mine, theirs}
    query = "mutation ($i: DeleteAccountInput!) { deleteAccount(input: $i) { errors { code } } }"
    assert (await leaver.do(query, i={"password": leaver.password}))["deleteAccount"]["errors"] == []
    assert await ranking(perch) == [mine]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await page(perch))["edges"][0]["node"]["tweet"]["likeCount"] == 6:
            await perch.settle()
    assert (await page(perch))["edges"][0]["node"]["tweet"]["likeCount"] == 5


async def test_a_flush_changes_no_answer(perch: Perch, crowd: list[Person]) -> None:
    expected = [await popular(crowd[0], crowd[1:], likes) for likes in (8, 7, 6, 5)]
    await perch.settle()
    for window in ("HOUR", "DAY", "WEEK"):
        assert await ranking(perch, window=window) == expected
        await perch.redis.flushall()
        assert await ranking(perch, window=window) == expected
    await perch.settle()
    assert await ranking(perch) == expected


# ---------------------------------------------------------------- pages


async def test_pages_are_of_one_moment(perch: Perch, crowd: list[Person]) -> None:
    tweets = [await popular(crowd[0], crowd[1:], likes) for likes in (8, 7, 6, 5)]
    await perch.settle()
    found = await page(perch, first=2)
    assert found["pageInfo"]["hasNextPage"]
    await crowd[0].delete(tweets[3])
    last = await popular(crowd[1], crowd[2:], 6)
    await perch.settle()
    rest = await page(perch, first=2, after=found["pageInfo"]["endCursor"])
    assert [edge["node"]["tweet"]["id"] for edge in rest["edges"]] == [tweets[2]]
    assert (rest["computedAt"], rest["pageInfo"]["hasNextPage"]) == (found["computedAt"], False)
    assert rest["pageInfo"]["hasPreviousPage"]
    assert sorted(await ranking(perch)) == sorted([*tweets[:3], last])


async def test_where_the_viewer_may_not_see_one_the_page_fills_up_and_ranks_skip(
    perch: Perch, crowd: list[Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    tweets = [await popular(crowd[number % 2], crowd[2:], likes) for number, likes in enumerate((7, 6, 5))]
    await perch.settle()

    async def hide(context: Context, found: Sequence[Tweet], *_: object) -> Sequence[Tweet]:
        hidden = globalid.of_type(crowd[1].id, "User")
        return [tweet for tweet in found if tweet.author_id != hidden]

    monkeypatch.setattr("resolvers.top_tweets.visible", hide)
    found = await page(perch, first=2)
    assert [(edge["node"]["rank"], edge["node"]["tweet"]["id"]) for edge in found["edges"]] == [
        (1, tweets[0]),
        (3, tweets[2]),
    ]
    assert not found["pageInfo"]["hasNextPage"]
    answer = (await perch.ask("{ topTweets(first: 2) { nodes { rank } } }")).data
    assert answer["topTweets"]["nodes"] == [{"rank": 1}, {"rank": 3}]


async def test_a_cursor_outlives_its_snapshot(perch: Perch, crowd: list[Person]) -> None:
    tweets = [await popular(crowd[0], crowd[1:], likes) for likes in (8, 7, 6, 5)]
    await perch.settle()
    cursor = (await page(perch, first=1))["pageInfo"]["endCursor"]
    await perch.redis.flushall()
    rest = await page(perch, first=5, after=cursor)
    assert [(edge["node"]["rank"], edge["node"]["tweet"]["id"]) for edge in rest["edges"]] == [
        (2, tweets[1]),
        (3, tweets[2]),
        (4, tweets[3]),
    ]


async def test_junk_is_refused(perch: Perch, crowd: list[Person]) -> None:
    await popular(crowd[0], crowd[1:], 5)
    await perch.settle()
    cursor = (await page(perch, window="DAY"))["edges"][0]["cursor"]
    home = (await crowd[0].home())["edges"][0]["cursor"]
    for variables in (
        {"after": cursor, "window": "HOUR"},
        {"after": home},
        {"after": "junk"},
        {"first": 0},
        {"first": 101},
        {"window": "YEAR"},
    ):
        assert (await perch.ask(TOP, **variables)).codes == ["BAD_USER_INPUT"], variables
    assert (await perch.ask(TOP, first=None, window=None)).codes == []


async def test_the_hot_path_is_one_call_of_redis_and_keeps_no_snapshot(
    perch: Perch, crowd: list[Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    await popular(crowd[0], crowd[1:], 5)
    await perch.settle()
    await page(perch)
    names: list[str] = []
    run = Scripts.run

    async def noted(self: Scripts, name: str, *args: Any) -> Any:
        names.append(name)
        return await run(self, name, *args)

    monkeypatch.setattr(Scripts, "run", noted)
    await perch.redis.unlink(*[name async for name in perch.redis.scan_iter("top:*:snaps*")])
    answer = await crowd[1].do(PLAIN)
    assert [row["tweet"]["viewerHasLiked"] for row in answer["topTweets"]["nodes"]] == [True]
    assert [name for name in names if name.startswith("top_")] == ["top_page"]
    assert [name async for name in perch.redis.scan_iter("top:*:snaps*")] == []


async def test_the_best_of_the_day_stand_beside_the_home_timeline(perch: Perch, crowd: list[Person]) -> None:
    tweets = [await popular(crowd[0], crowd[1:], likes) for likes in (8, 7, 6)]
    await perch.settle()
    query = "query ($first: Int) { homeTimeline { nodes { id } topTweets(first: $first) { rank score tweet { id } } } }"
    for first, expected in ((2, tweets[:2]), (None, tweets)):
        found = (await crowd[1].do(query, first=first))["homeTimeline"]
        assert [row["tweet"]["id"] for row in found["topTweets"]] == expected
        assert found["nodes"] == []
    assert (await crowd[1].ask(query, first=101)).codes == ["BAD_USER_INPUT"]


# ---------------------------------------------------------------- live


async def test_a_subscriber_gets_the_list_at_once_and_then_each_change(perch: Perch, crowd: list[Person]) -> None:
    first = await popular(crowd[0], crowd[1:], 5)
    await perch.settle()
    async with watching(perch, first=2) as socket:
        assert await told(socket) == [(first, 5)]
        second = await popular(crowd[1], [crowd[0], *crowd[2:]], 7)
        seen = await told(socket)
        while seen != [(second, 7), (first, 5)]:
            seen = await told(socket)
        await crowd[1].delete(second)
        assert await told(socket) == [(first, 5)]


async def test_changes_are_told_at_most_twice_a_second(perch: Perch, crowd: list[Person]) -> None:
    tweet = await popular(crowd[0], crowd[1:], 5)
    await perch.settle()
    async with watching(perch) as socket:
        assert await told(socket) == [(tweet, 5)]
        since, lists = time.monotonic(), 0
        for _ in range(6):
            await crowd[8].like(tweet)
            await crowd[8].verb("unlikeTweet", {"tweetId": tweet})
        await crowd[7].like(tweet)
        while await told(socket) != [(tweet, 6)]:
            lists += 1
        assert lists <= 2 * (time.monotonic() - since) + 1


async def test_a_subscriber_hears_of_changes_after_pubsub_was_cut(perch: Perch, crowd: list[Person]) -> None:
    tweet = await popular(crowd[0], crowd[1:], 5)
    await perch.settle()
    async with watching(perch) as socket:
        assert await told(socket) == [(tweet, 5)]
        await perch.kill_pubsub()
        await crowd[7].like(tweet)
        assert await told(socket) == [(tweet, 6)]


async def test_a_subscriber_hears_of_changes_after_a_flush(perch: Perch, crowd: list[Person]) -> None:
    tweet = await popular(crowd[0], crowd[1:], 5)
    await perch.settle()
    async with watching(perch) as socket:
        assert await told(socket) == [(tweet, 5)]
        await perch.redis.flushall()
        await crowd[7].like(tweet)
        assert await told(socket) == [(tweet, 6)]


async def test_the_channel_closes_with_its_last_subscriber(perch: Perch, crowd: list[Person]) -> None:
    async def channels(count: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len([name for name in await _channels(perch) if name.startswith("live:{top}:")]) != count:
                pass

    await channels(0)
    async with watching(perch, window="WEEK"), watching(perch, window="WEEK"), watching(perch, window="HOUR"):
        await channels(2)
    await channels(0)


async def _channels(perch: Perch) -> list[str]:
    # Any: this redis-py command is untyped.
    redis: Any = perch.redis
    return list(await redis.execute_command("PUBSUB SHARDCHANNELS"))
