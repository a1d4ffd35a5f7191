"""A deleted account: gone for everybody at once, and a while later from every document and every key but its tombstone.

The name stays reserved, the address is free again, and what others have counted is right at the end, however often the
worker that cleans up is killed.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import app
from datastore.devserver import mongod
from datastore.mongo import Mongo
from datastore.settings import Settings
from realtime.connect import Client
from realtime.devserver import valkey
from schema import globalid
from tests.perch import PASSWORD, PATIENCE_SECONDS, SIGN_UP, Perch, Person, serving
from tests.processes import Cluster, kill

# Workers that are killed and started again, each with its leases to wait out, on a machine that may be busy.
PURGE_PATIENCE_SECONDS = 6 * PATIENCE_SECONDS
# By default the last round of a purge comes a minute after the first.
SOON = {"PURGE_AGAIN_SECONDS": "1", "PURGE_LOOK_SECONDS": "0.1"}
DELETE = """mutation ($password: String!) { deleteAccount(input: {password: $password}) {
  deletedUserId errors { code path } } }"""
LOG_IN = "mutation ($input: LogInInput!) { logIn(input: $input) { tokens { accessToken } errors { code } } }"
REFRESH = """mutation ($spent: String!) { refreshSession(input: {refreshToken: $spent}) {
  tokens { accessToken } errors { code } } }"""
USER = "query ($name: String!) { user(username: $name) { id } }"
NODE = "query ($id: ID!) { node(id: $id) { id } nodes(ids: [$id]) { id } }"
TWEET = "query ($id: ID!) { tweet(id: $id) { id } node(id: $id) { id } }"
COUNTS = """query ($name: String!) { user(username: $name) { followerCount followingCount tweetCount
  followers { nodes { username } } following { nodes { username } } } }"""
COUNTS_OF_TWEET = """query ($id: ID!) { tweet(id: $id) { likeCount replyCount retweetCount inReplyTo { id } isReply
  likers { nodes { username } } } }"""


REPLIES = "query ($id: ID!) { tweet(id: $id) { replies { nodes { text } } } }"
RETWEETERS = "query ($id: ID!) { tweet(id: $id) { retweeters { nodes { username } } } }"
LIKED = "query ($name: String!) { user(username: $name) { likes { nodes { text } } } }"
RETWEETED = "query ($name: String!) { user(username: $name) { tweets(filter: RETWEETS) { nodes { text } } } }"


async def delete(person: Person, password: str = PASSWORD) -> dict[str, Any]:
    payload: dict[str, Any] = (await person.do(DELETE, password=password))["deleteAccount"]
    return payload


async def deleted(person: Person) -> None:
    """Delete the account, which must work."""
    assert await delete(person) == {"deletedUserId": person.id, "errors": []}


def number(person: Person) -> int:
    return globalid.of_type(person.id, "User")


async def purged(perch: Perch, person: Person) -> None:
    """Wait until the purge has finished."""
    async with asyncio.timeout(PURGE_PATIENCE_SECONDS):
        while await perch.mongo.users.find_one({"_id": number(person), "purge": {"$exists": True}}):
            await asyncio.sleep(0.02)


# ---------------------------------------------------------------- at once


async def test_a_wrong_password_deletes_nothing(perch: Perch) -> None:
    ann = await perch.person()
    for password in ("", "x", PASSWORD.upper(), "p" * 10_000):
        refused = [{"code": "WRONG_CREDENTIALS", "path": ["input", "password"]}]
        assert await delete(ann, password) == {"deletedUserId": None, "errors": refused}
    assert (await ann.do(USER, name=ann.username))["user"] == {"id": ann.id}
    assert (await perch.ask(DELETE, password=PASSWORD)).codes == ["UNAUTHENTICATED"]


async def test_log_in_and_every_session_are_refused_at_once(perch: Perch) -> None:
    ann = await perch.person()
    given = {"usernameOrEmail": ann.username, "password": PASSWORD}
    other = (await perch.ask(LOG_IN, input=given)).data["logIn"]["tokens"]["accessToken"]
    await deleted(ann)
    for name in (ann.username, f"{ann.username}@perch.example"):
        answer = await perch.ask(LOG_IN, input={"usernameOrEmail": name, "password": PASSWORD})
        assert answer.data["logIn"] == {"tokens": None, "errors": [{"code": "WRONG_CREDENTIALS"}]}
    spent = await perch.ask(REFRESH, spent=ann.refresh_token)
    assert spent.data["refreshSession"] == {"tokens": None, "errors": [{"code": "SESSION_EXPIRED"}]}
    post = 'mutation { postTweet(input: {text: "still here"}) { errors { code } } }'
    for token in (ann.token, other):
        for query in ("{ viewer { email } }", post):
            assert (await perch.ask(query, token)).codes == ["UNAUTHENTICATED"]
    assert (await perch.ask(DELETE, ann.token, password=PASSWORD)).codes == ["UNAUTHENTICATED"]


async def test_of_log_ins_that_race_with_the_deletion_no_session_is_left(perch: Perch) -> None:
    ann = await perch.person()
    given = {"usernameOrEmail": ann.username, "password": PASSWORD}
    deleting = asyncio.create_task(deleted(ann))
    answers = await asyncio.gather(*(perch.ask(LOG_IN, input=given) for _ in range(6)))
    await deleting
    for answer in answers:
        tokens = answer.data["logIn"]["tokens"]
        assert tokens is None or (await perch.ask("{ __typename }", tokens["accessToken"])).codes == ["UNAUTHENTICATED"]
    assert await perch.mongo.sessions.count_documents({"user": number(ann)}) == 0


async def test_open_sockets_close_within_a_second(perch: Perch) -> None:
    ann = await perch.person()
    async with ann.live((await ann.home())["liveCursor"]) as live:
        await deleted(ann)
        assert await asyncio.wait_for(live.socket.closed(), 1) == 4403


@pytest.fixture
async def unpurged(settings: Settings) -> AsyncIterator[Perch]:
    """A server of this test's own whose worker does not look for purges again."""
    redis_url = settings.redis_url.removesuffix("/0") + "/7"
    own = {"mongo_database": "unpurged", "redis_url": redis_url, "purge_look_seconds": 3600}
    changed = settings.model_copy(update=own)
    async with app.working(changed), serving(changed) as perch:
        yield perch
        await perch.mongo.client.drop_database("unpurged")


async def test_profile_and_tweets_are_hidden_everywhere_at_once_before_anything_is_purged(unpurged: Perch) -> None:
    perch = unpurged
    ann, bob = await perch.persons(2)
    await bob.follow(ann)
    await ann.follow(bob)
    mine = await bob.post("mine")
    theirs = await ann.post("theirs")
    await ann.like(mine["id"])
    reply = await bob.post("to theirs", inReplyTo=theirs["id"])
    await ann.post("to mine", inReplyTo=mine["id"])
    stranger, carol = await perch.persons(2)
    passed_on = await stranger.post("passed on")
    await verb(ann, "retweet", "TweetInput", {"tweetId": passed_on["id"]})
    await verb(carol, "retweet", "TweetInput", {"tweetId": theirs["id"]})
    await carol.like(theirs["id"])
    await perch.settle()
    assert await bob.texts() == ["passed on", "to mine", "to theirs", "theirs", "mine"]
    assert await texts_of(bob, carol) == [["theirs"], ["theirs"]]
    assert await texts(bob, REPLIES, id=mine["id"]) == ["to mine"]
    await deleted(ann)
    assert await bob.texts() == ["to theirs", "mine"]
    assert await texts_of(bob, carol) == [[], []]
    assert await texts(bob, REPLIES, id=mine["id"]) == []
    assert (await bob.do(RETWEETERS, id=passed_on["id"]))["tweet"]["retweeters"]["nodes"] == []
    assert await bob.do(USER, name=ann.username) == {"user": None}
    assert await bob.do(NODE, id=ann.id) == {"node": None, "nodes": [None]}
    assert await bob.do(TWEET, id=theirs["id"]) == {"tweet": None, "node": None}
    assert (await bob.do(COUNTS_OF_TWEET, id=reply["id"]))["tweet"]["inReplyTo"] is None
    assert (await bob.do(COUNTS_OF_TWEET, id=mine["id"]))["tweet"]["likers"] == {"nodes": []}
    profile = (await bob.do(COUNTS, name=bob.username))["user"]
    assert (profile["followers"], profile["following"]) == ({"nodes": []}, {"nodes": []})
    for name, target in (("followUser", {"userId": ann.id}), ("unfollowUser", {"userId": ann.id})):
        assert await refusal(bob, name, "UserInput", target) == ["NOT_FOUND"]
    for name in ("likeTweet", "unlikeTweet", "deleteTweet", "retweet", "undoRetweet"):
        assert await refusal(bob, name, "TweetInput", {"tweetId": theirs["id"]}) == ["NOT_FOUND"]
    assert await refusal(bob, "postTweet", "PostTweetInput", {"text": "x", "inReplyTo": theirs["id"]}) == ["NOT_FOUND"]
    assert await perch.mongo.tweets.count_documents({"author": number(ann), "alive": True}) == 2


async def texts(viewer: Person, query: str, **variables: str) -> list[str]:
    """What the one list of tweets in the answer says."""
    (owner,) = (await viewer.do(query, **variables)).values()
    (page,) = owner.values()
    return [tweet["text"] for tweet in page["nodes"]]


async def texts_of(viewer: Person, other: Person) -> list[list[str]]:
    """What the other likes and has retweeted, as the viewer sees it."""
    return [await texts(viewer, query, name=other.username) for query in (LIKED, RETWEETED)]


async def verb(person: Person, name: str, kind: str, given: dict[str, str]) -> None:
    assert await refusal(person, name, kind, given) == []


async def refusal(person: Person, verb: str, kind: str, given: dict[str, str]) -> list[str]:
    query = f"mutation ($input: {kind}!) {{ {verb}(input: $input) {{ errors {{ code }} }} }}"
    return [error["code"] for error in (await person.do(query, input=given))[verb]["errors"]]


async def test_the_name_stays_reserved_and_the_address_is_free_again(perch: Perch) -> None:
    ann = await perch.person()
    await deleted(ann)
    address = f"{ann.username}@perch.example"

    async def sign_up(name: str) -> list[str]:
        given = {"username": name, "email": address, "password": PASSWORD}
        return [error["code"] for error in (await perch.ask(SIGN_UP, input=given)).data["signUp"]["errors"]]

    assert await sign_up(ann.username.upper()) == ["USERNAME_TAKEN"]
    assert await sign_up(f"x{ann.username}"[:15]) == []
    await purged(perch, ann)
    assert await sign_up(ann.username) == ["USERNAME_TAKEN"]
    assert await perch.mongo.users.find_one({"_id": number(ann)}, {"deleted_at": 0}) == {
        "_id": number(ann),
        "name_key": ann.username.lower(),
    }


# ---------------------------------------------------------------- a while later


async def test_a_present_follower_is_told_that_the_tweets_are_gone(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    await bob.follow(ann)
    tweet = await ann.post("theirs")
    await perch.settle()
    async with bob.live((await bob.home())["liveCursor"]) as live:
        await deleted(ann)
        event = await live.event()
        assert (event["__typename"], event["tweetId"]) == ("TimelineTweetRemoved", tweet["id"])
        assert await live.resync() == "FOLLOWS_CHANGED"


async def test_what_others_have_counted_is_right_at_the_end(perch: Perch) -> None:
    ann, bob, carol = await perch.persons(3)
    await bob.follow(ann)
    await ann.follow(bob)
    await carol.follow(bob)
    mine = await bob.post("mine")
    for person in (ann, carol):
        await person.like(mine["id"])
        await person.post("answer", inReplyTo=mine["id"])
    answered = await ann.post("theirs")
    await bob.post("to theirs", inReplyTo=answered["id"])
    gone = await ann.post("deleted before")
    await ann.delete(gone["id"])
    await deleted(ann)
    await purged(perch, ann)
    profile = (await bob.do(COUNTS, name=bob.username))["user"]
    assert (profile["followerCount"], profile["followingCount"], profile["tweetCount"]) == (1, 0, 2)
    assert profile["followers"] == {"nodes": [{"username": carol.username}]}
    tweet = (await bob.do(COUNTS_OF_TWEET, id=mine["id"]))["tweet"]
    assert (tweet["likeCount"], tweet["replyCount"]) == (1, 1)
    assert await perch.mongo.tweets.count_documents({"author": number(ann)}) == 0


async def test_what_a_request_under_way_wrote_late_goes_with_the_last_round(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    mine = await bob.post("mine")
    await deleted(ann)
    async with asyncio.timeout(PURGE_PATIENCE_SECONDS):
        while not await perch.mongo.users.find_one({"_id": number(ann), "purge.last": True}):
            await asyncio.sleep(0.01)
    # As a request writes that was let in before: an edge, and then the counter.
    await perch.mongo.follows.insert_one({"_id": {"a": number(ann), "f": number(bob)}, "at": 0})
    await perch.mongo.users.update_one({"_id": number(ann)}, {"$inc": {"followers": 1}})
    await perch.mongo.users.update_one({"_id": number(bob)}, {"$inc": {"following": 1}})
    tweet_id = globalid.of_type(mine["id"], "Tweet")
    await perch.mongo.likes.insert_one({"_id": {"t": tweet_id, "u": number(ann)}, "at": 0})
    await perch.mongo.tweets.update_one({"_id": tweet_id}, {"$inc": {"likes": 1}})
    await purged(perch, ann)
    assert await perch.mongo.follows.count_documents({"_id.a": number(ann)}) == 0
    assert (await bob.do(COUNTS, name=bob.username))["user"]["followingCount"] == 0
    assert (await bob.do(COUNTS_OF_TWEET, id=mine["id"]))["tweet"]["likeCount"] == 0


# ---------------------------------------------------------------- killed midway


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """Servers and processes of this test's own; slices so small that a purge has many places to be killed at."""
    async with mongod(tmp_path / "mongo") as mongo_url, valkey(tmp_path / "redis") as redis_url:
        cluster = Cluster((mongo_url, redis_url), tmp_path, RATE_LIMITS="on", PURGE_SLICE="3", **SOON)
        yield cluster
        await cluster.stop()


async def left(mongo: Mongo, user_id: int) -> int:
    """How much there is still to purge."""
    sides = [
        ("tweets", "author"),
        ("retweets", "author"),
        ("blocks", "_id.o"),
        ("blocks", "_id.t"),
        ("follows", "_id.a"),
        ("follows", "_id.f"),
        ("likes", "_id.u"),
        ("retweet_pairs", "_id.a"),
        ("repliers", "_id.a"),
        ("emails", "of"),
    ]
    counts = [await mongo.db[name].count_documents({field: user_id}) for name, field in sides]
    written: int = await mongo.tweets.count_documents({"author": user_id, "alive": True})
    return sum(counts) + written


async def mentions(perch: Perch, words: list[str]) -> list[str]:
    """Where in MongoDB and Redis any of the words stands."""
    found = []
    for name in await perch.mongo.db.list_collection_names():
        found += [f"{name}: {doc}" async for doc in perch.mongo.db[name].find() if holds(doc, words)]
    async for key in perch.redis.scan_iter():
        if holds((key, await value_of(perch.redis, key)), words):
            found.append(f"key {key}")
    return found


def holds(thing: object, words: list[str]) -> bool:
    return any(word.lower() in str(thing).lower() for word in words)


async def value_of(redis: Client, key: str) -> object:
    kind: Any = await redis.type(key)
    reads: dict[str, Any] = {
        "string": redis.get,
        "hash": redis.hgetall,
        "set": redis.smembers,
        "stream": redis.xrange,
        "zset": lambda name: redis.zrange(name, 0, -1, withscores=True),
        "list": lambda name: redis.lrange(name, 0, -1),
    }
    # It may have expired since it was listed.
    return None if kind == "none" else await reads[kind](key)


async def test_a_transaction_whose_writer_was_killed_holds_up_no_purge_for_long(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    await bob.follow(ann)
    await ann.post("locked")
    # What SIGKILL leaves behind: nobody ends this transaction but MongoDB.
    async with app.clients(perch.settings) as opened, opened.mongo.session() as session:
        # As the embedded server's fifteen seconds, only sooner.
        life = await opened.mongo.client.admin.command("getParameter", transactionLifetimeLimitSeconds=1)
        assert life["transactionLifetimeLimitSeconds"] == 15
        await opened.mongo.client.admin.command("setParameter", transactionLifetimeLimitSeconds=2)
        session.start_transaction()
        lock = {"$set": {"lock": 1}}
        await opened.mongo.tweets.update_one({"author": number(ann)}, lock, session=session)
        await opened.mongo.users.update_one({"_id": number(bob)}, lock, session=session)
        await deleted(ann)
        await purged(perch, ann)
        await opened.mongo.client.admin.command("setParameter", transactionLifetimeLimitSeconds=15)


async def test_a_purge_whose_worker_is_killed_midway_goes_on_and_leaves_nothing_but_the_tombstone(
    cluster: Cluster,
) -> None:
    await cluster.start("serve")
    worker = await cluster.start("work")
    async with cluster.perch() as perch:
        ann, bob, carol = [await perch.sign_up(name) for name in ("AnnOfGables", "bob", "carol")]
        user_id = number(ann)
        for other in (bob, carol):
            await other.follow(ann)
            await ann.follow(other)
        theirs = [await bob.post(f"by bob {n}") for n in range(12)]
        for tweet in theirs:
            await ann.like(tweet["id"])
        for n in range(20):
            await ann.post(f"alone {n}")
            answer = await ann.post(f"to bob {n}", inReplyTo=theirs[n % 12]["id"], idempotencyKey=f"key {n}")
        for tweet in theirs[:5]:
            await verb(ann, "retweet", "TweetInput", {"tweetId": tweet["id"]})
        await verb(carol, "retweet", "TweetInput", {"tweetId": answer["id"]})
        await verb(ann, "muteUser", "UserInput", {"userId": carol.id})
        await verb(carol, "muteUser", "UserInput", {"userId": ann.id})
        await carol.like(answer["id"])
        last = await carol.post("to ann", inReplyTo=answer["id"])
        await ann.delete((await ann.post("deleted before"))["id"])
        assert len(await bob.texts()) > 12
        await ann.home()
        await perch.settle()
        words = [str(user_id), ann.id, "AnnOfGables"]
        places = {place.partition(":")[0] for place in await mentions(perch, words)}
        assert places >= {"users", "tweets", "follows", "likes", "sessions", "idempotency", "key tl", "key rate"}

        await deleted(ann)
        kills = 0
        while await perch.mongo.users.find_one({"_id": user_id, "purge": {"$exists": True}}):
            if kills == 6:
                await purged(perch, ann)
                break
            before = await left(perch.mongo, user_id)
            async with asyncio.timeout(PURGE_PATIENCE_SECONDS):
                while await left(perch.mongo, user_id) > max(before - 8, 0):
                    await asyncio.sleep(0.002)
            await kill(worker)
            kills += 1
            worker = await cluster.start("work")
        assert kills >= 3

        tombstone = {"_id": user_id, "name_key": "annofgables"}
        async with asyncio.timeout(PURGE_PATIENCE_SECONDS):
            while len(found := await mentions(perch, words)) > 2:
                await asyncio.sleep(0.1)
        (doc,) = [doc async for doc in perch.mongo.users.find({"_id": user_id}, {"deleted_at": 0})]
        assert doc == tombstone
        # The name stays reserved.
        assert sorted(place.partition(":")[0] for place in found) == ["names", "users"]
        assert await perch.mongo.names.find_one({"of": user_id}) == {"_id": "annofgables", "of": user_id}
        for person in (bob, carol):
            profile = (await person.do(COUNTS, name=person.username))["user"]
            assert (profile["followerCount"], profile["followingCount"]) == (0, 0)
        for tweet in theirs:
            counts = (await bob.do(COUNTS_OF_TWEET, id=tweet["id"]))["tweet"]
            assert (counts["likeCount"], counts["replyCount"], counts["retweetCount"]) == (0, 0, 0)
        assert len(await bob.texts()) == 12
        counts = (await carol.do(COUNTS_OF_TWEET, id=last["id"]))["tweet"]
        assert (counts["inReplyTo"], counts["isReply"]) == (None, True)
        for name in ("likes", "follows", "retweets", "blocks", "idempotency"):
            assert await perch.mongo.db[name].count_documents({}) == 0, name
