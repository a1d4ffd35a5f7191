"""Blocks and mutes act at once: on pages, lists, open subscriptions and mutations; and can be taken back."""

import asyncio
from typing import Any

from tests.perch import Perch, Person


async def refusals(person: Person, verb: str, **target: str) -> list[str]:
    """The codes with which a verb on a tweet or a user is refused."""
    kind = "TweetInput" if "tweetId" in target else "UserInput"
    data = await person.do(f"mutation ($i: {kind}!) {{ {verb}(input: $i) {{ errors {{ code }} }} }}", i=target)
    return [error["code"] for error in data[verb]["errors"]]


async def regard(viewer: Person, other: Person) -> dict[str, Any]:
    query = """query ($name: String!) { user(username: $name) {
      viewerHasBlocked viewerHasMuted viewerIsFollowing isFollowingViewer followerCount followingCount
      tweets { nodes { text } } } }"""
    found: dict[str, Any] = (await viewer.do(query, name=other.username))["user"]
    return found


async def test_a_block_ends_both_follows_for_good(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    await ann.follow(bob)
    await bob.follow(ann)
    await ann.verb("blockUser", {"userId": bob.id})
    found = await regard(ann, bob)
    assert (found["viewerHasBlocked"], found["viewerIsFollowing"], found["isFollowingViewer"]) == (True, False, False)
    assert (found["followerCount"], found["followingCount"]) == (0, 0)
    await ann.verb("unblockUser", {"userId": bob.id})
    found = await regard(ann, bob)
    assert (found["viewerHasBlocked"], found["viewerIsFollowing"], found["isFollowingViewer"]) == (False, False, False)


async def test_a_block_hides_both_ways_at_once(perch: Perch) -> None:
    ann, bob, friend = await perch.persons(3)
    for person in (ann, bob):
        await friend.follow(person)
        await person.follow(friend)
    by_ann, by_bob = await ann.post("by ann"), await bob.post("by bob")
    await friend.verb("retweet", {"tweetId": by_ann["id"]})
    await friend.verb("retweet", {"tweetId": by_bob["id"]})
    await perch.settle()
    assert sorted(await ann.texts()) == sorted(await bob.texts()) == ["by ann", "by bob"]
    await ann.verb("blockUser", {"userId": bob.id})
    assert (await ann.texts(), await bob.texts()) == (["by ann"], ["by bob"])
    for reader, hidden, author in ((ann, by_bob, bob), (bob, by_ann, ann)):
        query = "query ($id: ID!) { tweet(id: $id) { id } node(id: $id) { id } }"
        assert await reader.do(query, id=hidden["id"]) == {"tweet": None, "node": None}
        assert (await regard(reader, author))["tweets"]["nodes"] == []
    await ann.verb("unblockUser", {"userId": bob.id})
    assert sorted(await ann.texts()) == sorted(await bob.texts()) == ["by ann", "by bob"]


async def test_the_blocked_can_neither_follow_nor_answer_nor_like_nor_retweet(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    by_ann = await ann.post("leave me alone")
    await ann.verb("blockUser", {"userId": bob.id})
    assert await refusals(bob, "followUser", userId=ann.id) == ["BLOCKED"]
    assert await refusals(ann, "followUser", userId=bob.id) == ["BLOCKED"]
    assert await refusals(bob, "likeTweet", tweetId=by_ann["id"]) == ["BLOCKED"]
    assert await refusals(bob, "retweet", tweetId=by_ann["id"]) == ["BLOCKED"]
    query = "mutation ($i: PostTweetInput!) { postTweet(input: $i) { tweet { id } errors { code path } } }"
    payload = (await bob.do(query, i={"text": "hey", "inReplyTo": by_ann["id"]}))["postTweet"]
    assert payload == {"tweet": None, "errors": [{"code": "BLOCKED", "path": ["input", "inReplyTo"]}]}


async def test_what_was_done_before_a_block_can_be_taken_back_after_it(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    by_ann = await ann.post("liked once")
    await bob.like(by_ann["id"])
    await bob.verb("retweet", {"tweetId": by_ann["id"]})
    await ann.verb("blockUser", {"userId": bob.id})
    assert await refusals(bob, "unlikeTweet", tweetId=by_ann["id"]) == []
    assert await refusals(bob, "undoRetweet", tweetId=by_ann["id"]) == []
    assert await refusals(bob, "unfollowUser", userId=ann.id) == []


async def test_racing_follows_never_outlive_a_block(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    for _ in range(10):
        await asyncio.gather(
            refusals(bob, "followUser", userId=ann.id),
            ann.verb("blockUser", {"userId": bob.id}),
            refusals(ann, "followUser", userId=bob.id),
        )
        await ann.verb("unblockUser", {"userId": bob.id})
        found = await regard(ann, bob)
        assert (found["viewerIsFollowing"], found["isFollowingViewer"]) == (False, False)
        assert (found["followerCount"], found["followingCount"]) == (0, 0)


async def test_a_mute_hides_one_way_and_unmuting_shows_what_a_fresh_rebuild_would(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    await ann.follow(bob)
    await bob.follow(ann)
    await bob.post("before")
    await perch.settle()
    await ann.verb("muteUser", {"userId": bob.id})
    await bob.post("meanwhile")
    await ann.post("heard")
    await perch.settle()
    assert await ann.texts() == ["heard"]
    assert await bob.texts() == ["heard", "meanwhile", "before"]
    # Who looks somebody up wants to see them.
    assert [node["text"] for node in (await regard(ann, bob))["tweets"]["nodes"]] == ["meanwhile", "before"]
    await ann.verb("unmuteUser", {"userId": bob.id})
    page = await ann.texts()
    await perch.redis.flushall()
    assert page == await ann.texts() == ["heard", "meanwhile", "before"]


async def test_blocks_and_mutes_tell_open_subscriptions_of_both_and_silence_them(perch: Perch) -> None:
    ann, bob, friend = await perch.persons(3)
    await bob.follow(friend)
    await bob.follow(ann)
    await perch.settle()
    async with bob.live((await bob.home())["liveCursor"]) as live:
        await ann.verb("blockUser", {"userId": bob.id})
        assert await live.resync() == "FOLLOWS_CHANGED"
        await ann.post("unseen")
        await friend.post("seen")
        while (event := await live.event())["__typename"] == "TimelineResync":
            assert event["reason"] == "FOLLOWS_CHANGED"
        assert event["edge"]["node"]["text"] == "seen"
        await bob.verb("muteUser", {"userId": friend.id})
        while (event := await live.event())["__typename"] != "TimelineResync":
            pass
        await friend.post("muted")
        await bob.post("own")
        while (event := await live.event())["__typename"] == "TimelineResync":
            pass
        assert event["edge"]["node"]["text"] == "own"


async def test_whom_one_blocks_and_mutes_is_listed_for_oneself(perch: Perch) -> None:
    ann, *others = await perch.persons(4)
    for other in others:
        await ann.verb("blockUser", {"userId": other.id})
    await ann.verb("muteUser", {"userId": others[0].id})
    query = """query ($after: String) { viewer {
      blockedUsers(first: 2, after: $after) { nodes { username } pageInfo { hasNextPage endCursor } }
      mutedUsers { nodes { username viewerHasMuted } } } }"""
    found = (await ann.do(query))["viewer"]
    names = [node["username"] for node in found["blockedUsers"]["nodes"]]
    assert found["mutedUsers"]["nodes"] == [{"username": others[0].username, "viewerHasMuted": True}]
    found = (await ann.do(query, after=found["blockedUsers"]["pageInfo"]["endCursor"]))["viewer"]
    names += [node["username"] for node in found["blockedUsers"]["nodes"]]
    assert names == [other.username for other in reversed(others)]


async def test_repeating_a_verb_is_a_success_and_nobody_hides_themselves(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    for verb in ("blockUser", "blockUser", "unblockUser", "unblockUser", "muteUser", "muteUser", "unmuteUser"):
        await ann.verb(verb, {"userId": bob.id})
    assert await refusals(ann, "blockUser", userId=ann.id) == ["SELF_ACTION"]
    assert await refusals(ann, "muteUser", userId=ann.id) == ["SELF_ACTION"]
