"""Likes from outside: a repeated verb is a success, and counts are the number of people."""

import asyncio
from typing import Any

import pytest

from tests.perch import Perch, Person

VERB = """mutation ($input: TweetInput!) { %s(input: $input) { tweet { likeCount viewerHasLiked } errors { code } } }"""
SEEN = "query ($id: ID!) { tweet(id: $id) { likeCount viewerHasLiked } }"
LIKERS = """query ($id: ID!, $first: Int, $after: String) { tweet(id: $id) { likers(first: $first, after: $after) {
  nodes { username } edges { cursor since node { username } }
  pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""


@pytest.fixture
async def ann(perch: Perch) -> Person:
    return await perch.person()


async def do(person: Person, verb: str, tweet_id: str) -> Any:
    payload = (await person.do(VERB % verb, input={"tweetId": tweet_id}))[verb]
    assert payload["errors"] == []
    return payload["tweet"]["likeCount"], payload["tweet"]["viewerHasLiked"]


async def test_repeating_a_verb_is_a_success_and_counts_once(perch: Perch, ann: Person) -> None:
    bob = await perch.person()
    tweet_id = (await ann.post("like me"))["id"]
    assert [await do(bob, "likeTweet", tweet_id) for _ in range(3)] == [(1, True)] * 3
    assert await do(ann, "likeTweet", tweet_id) == (2, True)
    assert [await do(bob, "unlikeTweet", tweet_id) for _ in range(3)] == [(1, False)] * 3
    assert (await perch.ask(SEEN, id=tweet_id)).data == {"tweet": {"likeCount": 1, "viewerHasLiked": False}}
    assert await ann.do(SEEN, id=tweet_id) == {"tweet": {"likeCount": 1, "viewerHasLiked": True}}


async def test_racing_likes_and_unlikes_leave_the_count_at_the_number_of_likers(perch: Perch, ann: Person) -> None:
    people = await perch.persons(5)
    tweet_id = (await ann.post("like me"))["id"]
    verbs = [do(one, verb, tweet_id) for one in people for verb in ("likeTweet", "unlikeTweet", "likeTweet") * 3]
    counts = [count for count, _ in await asyncio.gather(*verbs)]
    assert min(counts) >= 0
    likers = (await ann.do(LIKERS, id=tweet_id, first=100))["tweet"]["likers"]["nodes"]
    assert (await ann.do(SEEN, id=tweet_id))["tweet"]["likeCount"] == len(likers) <= len(people)


async def test_likers_page_newest_first(perch: Perch, ann: Person) -> None:
    people = await perch.persons(5)
    tweet_id = (await ann.post("like me"))["id"]
    for person in people:
        await person.like(tweet_id)
    found, after = [], None
    while True:
        page = (await ann.do(LIKERS, id=tweet_id, first=2, after=after))["tweet"]["likers"]
        assert [edge["node"] for edge in page["edges"]] == page["nodes"]
        assert all(edge["since"] for edge in page["edges"])
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        found += [node["username"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert found == [person.username for person in reversed(people)]


async def test_a_deleted_tweet_has_no_likers(ann: Person) -> None:
    tweet_id = (await ann.post("like me"))["id"]
    await ann.like(tweet_id)
    await ann.delete(tweet_id)
    assert await ann.do(LIKERS, id=tweet_id) == {"tweet": None}
