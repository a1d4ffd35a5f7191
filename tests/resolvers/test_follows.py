"""Follows from outside: each verb's refusals, and what two people are to each other."""

from typing import Any

import pytest

from schema import globalid
from tests.perch import Perch, Person

VERB = """mutation ($input: UserInput!) { %s(input: $input) { user { id } errors { code path } } }"""
SEEN = """query ($name: String!) { user(username: $name) {
  viewerIsFollowing isFollowingViewer followerCount followingCount } }"""


@pytest.fixture
async def ann(perch: Perch) -> Person:
    return await perch.person()


async def do(person: Person, verb: str, user_id: str) -> Any:
    return (await person.do(VERB % verb, input={"userId": user_id}))[verb]


@pytest.mark.parametrize("verb", ["followUser", "unfollowUser"])
async def test_a_verb_on_oneself_or_nobody_is_refused(ann: Person, verb: str) -> None:
    refused = {"user": None, "errors": [{"code": "SELF_ACTION", "path": ["input", "userId"]}]}
    assert await do(ann, verb, ann.id) == refused
    nobody = {"user": None, "errors": [{"code": "NOT_FOUND", "path": ["input", "userId"]}]}
    assert await do(ann, verb, globalid.encode("User", 1)) == nobody
    tweet = await ann.post("a tweet")
    for junk in ("", "x", tweet["id"], ann.username, '{"$gt": ""}'):
        assert (await ann.ask(VERB % verb, input={"userId": junk})).codes == ["BAD_USER_INPUT"]


async def test_each_side_sees_what_the_other_is_to_them(perch: Perch, ann: Person) -> None:
    bob = await perch.person()
    await bob.follow(ann)
    about_ann = {"viewerIsFollowing": True, "isFollowingViewer": False, "followerCount": 1, "followingCount": 0}
    about_bob = {"viewerIsFollowing": False, "isFollowingViewer": True, "followerCount": 0, "followingCount": 1}
    assert await bob.do(SEEN, name=ann.username) == {"user": about_ann}
    assert await ann.do(SEEN, name=bob.username) == {"user": about_bob}
    nobodys = about_ann | {"viewerIsFollowing": False}
    assert (await perch.ask(SEEN, name=ann.username)).data == {"user": nobodys}


async def test_somebody_who_vanished_is_left_out_of_lists(perch: Perch, ann: Person) -> None:
    bob, cy = await perch.persons(2)
    await bob.follow(ann)
    await cy.follow(ann)
    await perch.mongo.users.delete_one({"_id": globalid.of_type(bob.id, "User")})
    query = "query ($name: String!) { user(username: $name) { followers { nodes { username } } } }"
    assert await ann.do(query, name=ann.username) == {"user": {"followers": {"nodes": [{"username": cy.username}]}}}
