"""Every query that the fields of the API lead to, explained by MongoDB: an index answers it, in its own order."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from datastore.mongo import Doc, Mongo
from datastore.settings import Settings
from schema.build import build
from tests.bench.workloads import HOME, LIKE, POST, PROFILE, REPLIES, SEARCH, TOP
from tests.perch import PASSWORD, Perch, Person, serving

# A Redis of its own; the shared server has number 0, the rooms' tests number 9.
REDIS_NUMBER = 8
LISTS = """query ($name: String!, $tweet: ID!, $user: ID!, $after: String) {
  user(username: $name) { viewerIsFollowing isFollowingViewer viewerHasBlocked viewerHasMuted
    followers { nodes { id } pageInfo { endCursor } } following { edges { since } } likes { nodes { text } }
    own: tweets { nodes { id } } all: tweets(filter: TWEETS_AND_REPLIES) { nodes { inReplyTo { id } } }
    retweets: tweets(filter: RETWEETS) { nodes { viewerHasRetweeted } } }
  tweet(id: $tweet) { likers { nodes { id } } retweeters { nodes { id } } replies { nodes { mentions { id } } } }
  node(id: $user) { id } nodes(ids: [$tweet, $user]) { id } rateLimit { remaining }
  topTweets(window: WEEK) { edges { cursor } }
  homeTimeline(first: 2, after: $after) { liveCursor edges { retweetedBy { id } } topTweets { rank } } }"""
VIEWER = """{ viewer { email sessions { id } blockedUsers { nodes { id } } mutedUsers { nodes { id } } } }"""
FOUND = """query ($one: String!, $two: String!, $name: String!) {
  one: searchTweets(query: $one) { nodes { id } } two: searchTweets(query: $two) { nodes { id } }
  theirs: searchTweets(query: "from:someone word", scope: FOLLOWING) { nodes { id } }
  followed: searchTweets(query: $one, scope: FOLLOWING) { nodes { id } } searchUsers(query: $name) { nodes { id } } }"""
VERBS = """mutation ($tweet: ID!, $user: ID!, $text: String!, $key: String!, $password: String!, $name: String!,
    $refresh: String!, $session: ID!) {
  retweet(input: {tweetId: $tweet}) { tweet { retweetCount } }
  undoRetweet(input: {tweetId: $tweet}) { tweet { retweetCount } }
  likeTweet(input: {tweetId: $tweet}) { tweet { likeCount } } unlikeTweet(input: {tweetId: $tweet}) { tweet { id } }
  postTweet(input: {text: $text, inReplyTo: $tweet, idempotencyKey: $key}) { tweet { id } errors { code } }
  followUser(input: {userId: $user}) { user { id } } unfollowUser(input: {userId: $user}) { user { id } }
  blockUser(input: {userId: $user}) { user { id } } unblockUser(input: {userId: $user}) { user { id } }
  muteUser(input: {userId: $user}) { user { id } } unmuteUser(input: {userId: $user}) { user { id } }
  deleteTweet(input: {tweetId: $tweet}) { errors { code } } updateProfile(input: {bio: $text}) { user { bio } }
  refreshSession(input: {refreshToken: $refresh}) { errors { code } }
  logIn(input: {usernameOrEmail: $name, password: $password}) { errors { code } }
  changePassword(input: {currentPassword: $password, newPassword: $password}) { errors { code } }
  signUp(input: {username: $key, email: "new@perch.example", password: $password}) { errors { code } }
  revokeSession(input: {sessionId: $session}) { errors { code } } }"""
ENDS = """mutation ($password: String!) {
  deleteAccount(input: {password: $password}) { errors { code } } logOut(input: {}) { errors { code } } }"""
# Bounds of an index that are none.
EVERYTHING = (["[MinKey, MaxKey]"], ["[MaxKey, MinKey]"])
# What of a command decides its plan.
ASKED = ("find", "aggregate", "filter", "pipeline", "sort", "projection", "limit", "hint")


async def ask_everything(perch: Perch) -> None:
    """Every query and every mutation."""
    ann, bob = await perch.persons(2)
    await ann.follow(bob)
    first = (await bob.post(f"some words @{ann.username} #tag"))["id"]
    for number in range(5):
        await bob.post(f"some more words {number}")
        await ann.post(f"answer {number}", inReplyTo=first)
    await bob.like(first)
    session = (await bob.do("{ viewer { sessions { id } } }"))["viewer"]["sessions"][0]["id"]
    after = (await ann.home(1))["edges"][0]["cursor"]
    given = {"tweet": first, "user": ann.id, "name": bob.username, "text": "words", "password": PASSWORD}
    given |= {"key": secrets.token_hex(5), "refresh": ann.refresh_token, "session": session, "after": after}
    given |= {"one": "words", "two": "some words #tag", "first": 10, "query": "words", "id": first}
    for operation in (HOME, TOP, PROFILE, SEARCH, REPLIES, POST, LIKE):
        await asked(perch, ann, operation.document, given)
    for document, person in ((LISTS, ann), (VIEWER, ann), (FOUND, ann), (VERBS, bob), (ENDS, ann)):
        await asked(perch, person, document, given)


async def asked(perch: Perch, person: Person, document: str, given: dict[str, Any]) -> None:
    """With those of the variables that it has."""
    variables = {name: value for name, value in given.items() if f"${name}:" in document}
    body = {"query": document, "variables": variables}
    answer = await perch.http.post("/graphql", json=body, headers={"authorization": f"Bearer {person.token}"})
    assert answer.json()["data"], (document, answer.json())


@pytest.fixture(scope="module")
async def queries(settings: Settings) -> list[Doc]:
    """What MongoDB's profiler wrote down of a server that was asked everything, each with its plan."""
    redis_url = settings.redis_url.removesuffix("/0") + f"/{REDIS_NUMBER}"
    own = settings.model_copy(update={"mongo_database": f"queries_{secrets.token_hex(4)}", "redis_url": redis_url})
    mongo = Mongo(own.mongo_url, own.mongo_database)
    try:
        async with serving(own) as perch:
            # By default it forgets what was first.
            await mongo.db.create_collection("system.profile", capped=True, size=16 * 2**20)
            await mongo.db.command("profile", 2)
            await ask_everything(perch)
            await mongo.db.command("profile", 0)
        # A change stream reads the oplog, from which nothing else can be read.
        planned = {"planSummary": {"$exists": True}, "command.getMore": None, "command.pipeline.$changeStream": None}
        entries = [doc async for doc in mongo.db["system.profile"].find(planned)]
        for entry in entries:
            entry["explained"] = await explained(mongo, entry["command"])
        return entries
    finally:
        await mongo.client.drop_database(mongo.db.name)
        await mongo.close()


async def explained(mongo: Mongo, command: Doc) -> list[str]:
    """The stages of a query's plan, those of joined pipelines among them; none for a write, whose summary tells."""
    if "find" not in command and "aggregate" not in command:
        return []
    wanted = {name: command[name] for name in ASKED if name in command}
    wanted |= {"cursor": {}} if "aggregate" in command else {}
    return [*stages(await mongo.db.command("explain", wanted, verbosity="queryPlanner"))]


def stages(plan: Any) -> Iterator[str]:
    """The names of all stages of an explained plan, however deep."""
    if isinstance(plan, dict):
        if isinstance(plan.get("stage"), str):
            yield plan["stage"]
        if next(iter(plan.get("indexBounds", {}).values()), None) in EVERYTHING:
            yield "WHOLE INDEX"
        yield from (name for name in plan if name == "$sort")
        for name, part in plan.items():
            yield from stages(part) if name not in ("rejectedPlans", "command", "parsedQuery") else ()
    elif isinstance(plan, list):
        for part in plan:
            yield from stages(part)


def test_every_field_of_query_and_mutation_was_asked() -> None:
    documents = " ".join((LISTS, VIEWER, FOUND, VERBS, ENDS, HOME.document))
    schema = build()._schema
    assert schema.query_type
    assert schema.mutation_type
    fields = {*schema.query_type.fields, *schema.mutation_type.fields}
    assert {field for field in fields if field not in documents} == set()


def test_an_index_answers_every_query_in_its_own_order(queries: list[Doc]) -> None:
    told = [(entry["ns"], entry["planSummary"], entry["explained"], entry["command"]) for entry in queries]
    assert len(told) > 100
    assert len([one for one in told if "IXSCAN" in one[2]]) > 30
    assert [one for one in told if "COLLSCAN" in one[1] or "COLLSCAN" in one[2]] == []
    assert [one for one in told if {"SORT", "$sort", "WHOLE INDEX"} & {*one[2]}] == []
    assert [entry["command"] for entry in queries if entry.get("hasSortStage")] == []
