"""Walk 8: what is read again and again, over two server processes: a change shows to its author at once, to others
soon, and a tombstone to nobody."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from datastore.devserver import mongod
from realtime import keys
from realtime.devserver import valkey
from realtime.scripts import unlink_matching
from schema import globalid
from tests.perch import PATIENCE_SECONDS, Perch, Person
from tests.processes import Cluster

PAGE = """{ homeTimeline(first: 20) { edges { node { id text likeCount retweetCount replyCount hashtags
  mentions { username } author { username displayName bio followerCount followingCount tweetCount } } } } }"""
# A copy may live in a process for as long as that is a setting at all.
PROMISE_SECONDS = 1


@dataclass
class World:
    """Two servers and no worker: what is dropped, the request has dropped. Bob and Eve follow Ann and each other."""

    here: Perch
    elsewhere: Perch
    ann: Person
    bob: Person
    eve: Person
    zoe: Person
    tweet_id: str

    def there(self, person: Person) -> Person:
        """The same person, asking the other server."""
        return replace(person, perch=self.elsewhere)

    async def page(self, person: Person) -> Any:
        return (await person.do(PAGE))["homeTimeline"]["edges"]

    async def truth(self, person: Person) -> Any:
        """The person's page without copies, on the server that does not keep any of theirs."""
        mark = keys.wrote(globalid.of_type(person.id, "User"))
        await unlink_matching(self.here.redis, keys.COPIES)
        await self.here.redis.set(mark, "", px=2_000)
        page = await self.page(person)
        await self.here.redis.unlink(mark)
        return page

    async def promised(self, person: Person) -> Any:
        """The person's page on the other server, read all the time until the promise is due, and once more then."""
        loop = asyncio.get_running_loop()
        due = loop.time() + PROMISE_SECONDS
        while loop.time() < due:
            await self.page(self.there(person))
        return await self.page(self.there(person))

    async def warm(self, *people: Person) -> list[Any]:
        """Let the other server keep copies of all that these people see, whom no mark keeps from them; their pages."""
        async with asyncio.timeout(2 + PATIENCE_SECONDS):
            while await self.here.redis.exists(*(keys.wrote(globalid.of_type(one.id, "User")) for one in people)):
                await asyncio.sleep(0.05)
        return [await self.page(self.there(one)) for one in people]


@pytest.fixture(scope="module")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Cluster, Perch, Perch]]:
    folder = tmp_path_factory.mktemp("caches")
    async with mongod(folder / "mongo") as mongo_url, valkey(folder / "redis") as redis_url:
        cluster = Cluster((mongo_url, redis_url), folder, PROCESS_CACHE_MS="1000", CACHE_DROP_MS="5000")
        await cluster.start("serve")
        async with cluster.perch() as here:
            second = await cluster.second_server()
            async with second.perch() as elsewhere:
                yield cluster, here, elsewhere
        await cluster.stop()


@pytest.fixture
async def world(servers: tuple[Cluster, Perch, Perch]) -> World:
    _, here, elsewhere = servers
    ann, bob, eve, zoe = await here.persons(4)
    for reader in (bob, eve):
        await reader.follow(ann)
    await bob.follow(eve)
    await eve.follow(bob)
    await bob.post("bob's own")
    tweet = await ann.post(f"for everybody #news @{zoe.username}")
    return World(here, elsewhere, ann, bob, eve, zoe, tweet["id"])


async def like(world: World) -> None:
    await world.bob.like(world.tweet_id)


async def unlike(world: World) -> None:
    await world.bob.verb("unlikeTweet", {"tweetId": world.tweet_id})


async def retweet(world: World) -> None:
    await world.bob.verb("retweet", {"tweetId": world.tweet_id})


async def undo(world: World) -> None:
    await world.bob.verb("undoRetweet", {"tweetId": world.tweet_id})


async def reply(world: World) -> None:
    await world.bob.post("a reply", inReplyTo=world.tweet_id)


async def post(world: World) -> None:
    await world.bob.post("one more")


async def delete(world: World) -> None:
    own = (await world.page(world.bob))[0]["node"]["id"]
    await world.bob.delete(own)


async def delete_reply(world: World) -> None:
    page = await world.page(world.bob)
    await world.bob.delete(next(edge["node"]["id"] for edge in page if edge["node"]["text"] == "a reply"))


async def profile(world: World) -> None:
    query = """mutation { updateProfile(input: {displayName: "Robert", bio: "new"}) { errors { code } } }"""
    await world.bob.do(query)


async def follow(world: World) -> None:
    await world.bob.follow(world.zoe)


async def unfollow(world: World) -> None:
    await world.bob.unfollow(world.zoe)


async def block(world: World) -> None:
    await world.bob.verb("blockUser", {"userId": world.zoe.id})


Change = Callable[[World], Awaitable[None]]
# Each with what has to be so before it.
CHANGES: dict[str, tuple[Change, list[Change]]] = {
    "like": (like, []),
    "unlike": (unlike, [like]),
    "retweet": (retweet, []),
    "undoRetweet": (undo, [retweet]),
    "reply": (reply, []),
    "postTweet": (post, []),
    "deleteTweet": (delete, [post]),
    "deleteTweet of a reply": (delete_reply, [reply]),
    "updateProfile": (profile, []),
    "followUser": (follow, []),
    "unfollowUser": (unfollow, [follow]),
    "blockUser": (block, [follow]),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_shows_to_who_made_it_at_once_on_another_server_and_soon_to_others(
    world: World, change: str
) -> None:
    act, needed = CHANGES[change]
    for before in needed:
        await before(world)
    bobs, eves = await world.warm(world.bob, world.eve)
    await act(world)
    seen = await world.page(world.there(world.bob))
    eves_now = await world.promised(world.eve)
    assert seen == await world.truth(world.bob)
    assert seen != bobs
    assert eves_now != eves
    assert eves_now == await world.truth(world.eve)


PLACES = {
    "tweet": "query ($id: ID!) { tweet(id: $id) { likeCount } }",
    "nodes": "query ($id: ID!) { nodes(ids: [$id]) { ... on Tweet { likeCount } } }",
    "search": 'query ($id: ID!) { node(id: $id) { id } searchTweets(query: "everybody") { nodes { likeCount } } }',
}


@pytest.mark.parametrize("place", PLACES)
async def test_a_like_shows_at_once_to_who_made_it_and_soon_to_others_wherever_it_is_shown(
    world: World, place: str
) -> None:
    async def shown(person: Person) -> Any:
        return await world.there(person).do(PLACES[place], id=world.tweet_id)

    await world.warm(world.bob, world.eve)
    before = await shown(world.eve)
    await like(world)
    bobs = await shown(world.bob)
    assert bobs != before
    async with asyncio.timeout(PROMISE_SECONDS + PATIENCE_SECONDS):
        while await shown(world.eve) != bobs:
            await asyncio.sleep(0.02)


async def test_a_deleted_account_and_its_tweets_are_gone_for_everybody_soon(world: World) -> None:
    bobs, eves = await world.warm(world.bob, world.eve)
    assert len(bobs) == len(eves) == 2
    query = "mutation ($password: String!) { deleteAccount(input: {password: $password}) { errors { code } } }"
    await world.ann.do(query, password=world.ann.password)
    eves_now = await world.promised(world.eve)
    assert len(eves_now) == 1
    assert eves_now == await world.truth(world.eve)


async def test_a_flush_at_any_moment_changes_no_page(world: World) -> None:
    (before,) = await world.warm(world.bob)
    for _ in range(3):
        pages = [asyncio.create_task(world.page(world.there(world.bob))) for _ in range(10)]
        await world.here.redis.flushall()
        assert all(page == before for page in await asyncio.gather(*pages))


async def test_a_redis_that_hangs_costs_time_and_no_answer(world: World, servers: tuple[Cluster, Perch, Perch]) -> None:
    await servers[0].start("work")
    await world.here.settle()
    pid = int((await world.here.redis.info("server"))["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        await like(world)
        seen = await world.page(world.there(world.bob))
    finally:
        os.kill(pid, signal.SIGCONT)
    assert [edge["node"]["likeCount"] for edge in seen if edge["node"]["id"] == world.tweet_id] == [1]
    await world.here.settle()
    async with asyncio.timeout(PROMISE_SECONDS + PATIENCE_SECONDS):
        while await world.page(world.there(world.eve)) != await world.truth(world.eve):
            await asyncio.sleep(0.02)
