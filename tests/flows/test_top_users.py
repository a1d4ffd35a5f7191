"""Walk 4: an author crosses the threshold of top users (8 here) and comes back; nobody misses or sees twice."""

from typing import Any

import pytest

from realtime import keys
from schema import globalid
from tests.perch import Live, Perch, Person

THRESHOLD = 8


def number(person: Person) -> int:
    return globalid.of_type(person.id, "User")


async def is_top(perch: Perch, author: Person) -> bool:
    answer = await perch.ask("query ($n: String!) { user(username: $n) { isTopUser } }", n=author.username)
    found: bool = answer.data["user"]["isTopUser"]
    return found


async def sources(reader: Person) -> dict[str, str]:
    return {edge["node"]["text"]: edge["source"] for edge in (await reader.home(100))["edges"]}


async def cross(perch: Perch, author: Person, followers: list[Person], up: bool) -> None:
    for follower in followers:
        await (follower.follow(author) if up else follower.unfollow(author))
    # Once for the follows, once for the event that the last of them raised.
    await perch.settle()
    await perch.settle()


@pytest.fixture
async def crowd(perch: Perch) -> tuple[Person, list[Person], list[Person]]:
    """An author, seven followers, and two more who make it nine."""
    author, *people = await perch.persons(THRESHOLD + 2)
    await cross(perch, author, people[:7], up=True)
    return author, people[:7], people[7:]


async def test_promotion_above_the_threshold_and_demotion_below_it(
    perch: Perch, crowd: tuple[Person, list[Person], list[Person]]
) -> None:
    author, _, extra = crowd
    seen = []
    for follower in extra:
        await cross(perch, author, [follower], up=True)
        seen.append(await is_top(perch, author))
    for follower in extra:
        await cross(perch, author, [follower], up=False)
        seen.append(await is_top(perch, author))
    # 8 keeps its state, 9 promotes, 8 keeps its state, 7 demotes.
    assert seen == [False, True, True, False]


async def test_every_follower_sees_each_tweet_once_and_in_order_across_both_switches(
    perch: Perch, crowd: tuple[Person, list[Person], list[Person]]
) -> None:
    author, followers, extra = crowd
    texts: list[str] = []

    async def say(step: str) -> None:
        texts.extend([(await author.post(f"{step} {count}"))["text"] for count in range(3)])

    reader, other = followers[0], followers[1]
    async with (
        reader.live((await reader.home())["liveCursor"]) as live,
        other.live((await other.home())["liveCursor"]) as also_live,
    ):
        await say("below")
        await cross(perch, author, extra[:1], up=True)
        await say("at the threshold")
        await cross(perch, author, extra[1:], up=True)
        await say("above")
        await cross(perch, author, extra[:1], up=False)
        await say("at it again")
        await cross(perch, author, extra[1:], up=False)
        await say("below again")
        await perch.settle()
        for stream in (live, also_live):
            assert [await stream.added() for _ in texts] == texts
    for follower in followers:
        assert await follower.texts() == texts[::-1]
    await perch.redis.flushall()
    for follower in followers:
        assert await follower.texts() == texts[::-1]


async def test_a_top_users_post_is_pulled_not_pushed(
    perch: Perch, crowd: tuple[Person, list[Person], list[Person]]
) -> None:
    author, followers, extra = crowd
    for follower in followers:
        await follower.home()
    await cross(perch, author, extra, up=True)
    tweet = await author.post("to everybody")
    await perch.settle()
    entry = globalid.of_type(tweet["id"], "Tweet")
    for follower in followers:
        assert await perch.redis.lpos(keys.timeline(number(follower)), str(entry)) is None
        assert await sources(follower) == {"to everybody": "TOP_USER"}
    assert await perch.redis.lindex(keys.recent(number(author)), 0) == str(entry)


async def test_a_new_follower_of_a_top_user_gets_old_and_new_tweets(
    perch: Perch, crowd: tuple[Person, list[Person], list[Person]]
) -> None:
    author, _, extra = crowd
    await author.post("before")
    await cross(perch, author, extra, up=True)
    await author.post("after")
    late = await perch.person()
    assert await late.texts() == []
    await late.follow(author)
    await perch.settle()
    assert await late.texts() == ["after", "before"]
    async with late.live((await late.home())["liveCursor"]) as live:
        await author.post("live")
        event = await live.event()
        assert (event["edge"]["source"], event["edge"]["node"]["text"]) == ("TOP_USER", "live")
    await late.unfollow(author)
    assert await late.texts() == []


async def test_strangers_hear_nothing_of_a_top_user(
    perch: Perch, crowd: tuple[Person, list[Person], list[Person]]
) -> None:
    author, _, extra = crowd
    await cross(perch, author, extra, up=True)
    stranger = await perch.person()
    async with stranger.live((await stranger.home())["liveCursor"]) as live:
        await author.post("not for strangers")
        await perch.settle()
        await stranger.post("mine")
        assert await live.added() == "mine"


async def test_a_resume_reads_on_in_both_streams_and_a_second_one_gives_nothing(
    perch: Perch, crowd: tuple[Person, list[Person], list[Person]]
) -> None:
    author, followers, extra = crowd
    reader, friend = followers[0], await perch.person()
    await reader.follow(friend)
    await cross(perch, author, extra, up=True)
    cursor = (await reader.home())["liveCursor"]
    for count in range(3):
        await author.post(f"top {count}")
        await friend.post(f"plain {count}")
    await perch.settle()
    async with reader.live(cursor) as live:
        events = [await live.event() for _ in range(6)]
    texts = [event["edge"]["node"]["text"] for event in events]
    assert [text for text in texts if text.startswith("top")] == ["top 0", "top 1", "top 2"]
    assert [text for text in texts if text.startswith("plain")] == ["plain 0", "plain 1", "plain 2"]
    async with reader.live(events[-1]["cursor"]) as live:
        await author.post("next")
        assert await live.added() == "next"


async def test_a_deleted_tweet_of_a_top_user_leaves_pages_and_subscriptions(
    perch: Perch, crowd: tuple[Person, list[Person], list[Person]]
) -> None:
    author, followers, extra = crowd
    await cross(perch, author, extra, up=True)
    tweet = await author.post("a mistake")
    await perch.settle()
    reader = followers[0]
    async with reader.live((await reader.home())["liveCursor"]) as live:
        await author.delete(tweet["id"])
        event = await live.event()
    assert (event["__typename"], event["tweetId"]) == ("TimelineTweetRemoved", tweet["id"])
    assert await reader.texts() == []


async def test_killed_pubsub_connections_lose_nothing_of_a_top_user(
    perch: Perch, crowd: tuple[Person, list[Person], list[Person]]
) -> None:
    author, followers, extra = crowd
    await cross(perch, author, extra, up=True)
    reader = followers[0]
    async with reader.live((await reader.home())["liveCursor"]) as live:
        expected = []
        for count in range(24):
            if count % 4 == 0:
                await perch.kill_pubsub()
            expected.append((await author.post(f"number {count}"))["text"])
        assert [await live.added() for _ in expected] == expected


async def test_a_flush_is_announced_to_readers_of_a_top_user_and_they_go_on(
    perch: Perch, crowd: tuple[Person, list[Person], list[Person]]
) -> None:
    author, followers, extra = crowd
    await cross(perch, author, extra, up=True)
    reader = followers[0]
    async with reader.live((await reader.home())["liveCursor"]) as live:
        await perch.redis.flushall()
        assert await live.resync() == "STATE_LOST"
        await perch.settle()
        await author.post("after")
        event = await past_resyncs(live)
    assert event["edge"]["node"]["text"] == "after"


async def past_resyncs(live: Live) -> dict[str, Any]:
    while (event := await live.event())["__typename"] == "TimelineResync":
        pass
    return event
