"""Following: recent tweets merge in, an unfollowed author's are gone at once, and counters move with edges."""

import asyncio

from tests.perch import Perch, Person

COUNTS = "query ($name: String!) { user(username: $name) { followerCount followingCount viewerIsFollowing } }"


async def counts(viewer: Person, other: Person) -> tuple[int, int, bool]:
    user = (await viewer.do(COUNTS, name=other.username))["user"]
    return user["followerCount"], user["followingCount"], user["viewerIsFollowing"]


async def test_recent_tweets_of_a_newly_followed_author_merge_in(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    await ann.post("first")
    await bob.post("mine")
    await ann.post("second")
    assert await bob.texts() == ["mine"]
    await bob.follow(ann)
    await perch.settle()
    assert await bob.texts() == ["second", "mine", "first"]


async def test_an_unfollowed_authors_tweets_are_gone_at_once(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    await bob.follow(ann)
    await ann.post("hello")
    await perch.settle()
    assert await bob.texts() == ["hello"]
    await bob.unfollow(ann)
    assert await bob.texts() == []
    await bob.follow(ann)
    assert await bob.texts() == ["hello"]


async def test_follows_and_unfollows_tell_an_open_subscription_to_resync(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    async with bob.live((await bob.home())["liveCursor"]) as live:
        await bob.follow(ann)
        assert await live.resync() == "FOLLOWS_CHANGED"
        await ann.post("seen")
        assert await live.added() == "seen"
        await bob.unfollow(ann)
        assert await live.resync() == "FOLLOWS_CHANGED"
        await ann.post("unseen")
        await bob.post("mine")
        assert await live.added() == "mine"


async def test_repeating_a_verb_is_a_success_and_counts_once(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    for _ in range(3):
        await bob.follow(ann)
    assert await counts(bob, ann) == (1, 0, True)
    assert await counts(ann, bob) == (0, 1, False)
    for _ in range(3):
        await bob.unfollow(ann)
    assert await counts(bob, ann) == (0, 0, False)


async def test_racing_follows_and_unfollows_leave_the_counter_at_the_number_of_edges(perch: Perch) -> None:
    ann, *others = await perch.persons(6)
    verbs = [verb(ann) for other in others for verb in (other.follow, other.unfollow, other.follow) for _ in range(4)]
    await asyncio.gather(*verbs)
    edges = [other for other in others if (await counts(other, ann))[2]]
    assert (await counts(ann, ann))[0] == len(edges)


async def test_nobody_follows_themselves_or_nobody(perch: Perch) -> None:
    ann = await perch.person()
    query = "mutation ($input: UserInput!) { followUser(input: $input) { user { id } errors { code path } } }"
    payload = (await ann.do(query, input={"userId": ann.id}))["followUser"]
    assert payload == {"user": None, "errors": [{"code": "SELF_ACTION", "path": ["input", "userId"]}]}
    payload = (await ann.do(query, input={"userId": "VXNlcjox"}))["followUser"]
    assert payload == {"user": None, "errors": [{"code": "NOT_FOUND", "path": ["input", "userId"]}]}


async def test_followers_and_following_page_newest_first(perch: Perch) -> None:
    ann, *others = await perch.persons(6)
    for other in others:
        await other.follow(ann)
    query = """query ($name: String!, $after: String) { user(username: $name) { followers(first: 2, after: $after) {
      edges { cursor since node { username } } nodes { username } pageInfo { hasNextPage endCursor } } } }"""
    names, after = [], None
    while True:
        page = (await ann.do(query, name=ann.username, after=after))["user"]["followers"]
        assert all(edge["since"] for edge in page["edges"])
        assert [edge["node"] for edge in page["edges"]] == page["nodes"]
        names += [node["username"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert names == [other.username for other in reversed(others)]
    query = "query ($name: String!) { user(username: $name) { following { nodes { username } } } }"
    found = (await ann.do(query, name=others[0].username))["user"]["following"]["nodes"]
    assert found == [{"username": ann.username}]
