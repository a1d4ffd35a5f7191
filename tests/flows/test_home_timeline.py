"""Walk 2: homeTimeline, page by page, from Redis and below the floor from MongoDB."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

from redis.asyncio import Redis

from datastore import ids
from datastore.records import Tweet
from datastore.retweets import Retweets
from datastore.tweets import Tweets, new_doc
from realtime import keys
from realtime.scripts import unlink_matching
from schema import cursors, globalid
from tests.perch import HOME, Perch, Person


async def plant(perch: Perch, author: Person, count: int, minutes_ago: int = 10_000) -> list[str]:
    """Tweets from the past that raise no events, oldest first; gives their texts."""
    author_id = globalid.of_type(author.id, "User")
    start = int(datetime.now(UTC).timestamp() * 1000) - minutes_ago * 60_000
    docs = [
        new_doc(ids.new(start + number * 1000, author_id), author_id, f"{author.username} {number}")
        | {"imported": True}
        for number in range(count)
    ]
    await perch.mongo.tweets.insert_many(docs)
    return [doc["text"] for doc in docs]


async def walk(person: Person, first: int) -> list[str]:
    """Every text of the timeline, page by page."""
    texts: list[str] = []
    after = None
    while True:
        page = await person.home(first, after)
        assert len(page["edges"]) <= first
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        texts += [edge["node"]["text"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return texts


async def test_paging_goes_past_what_redis_keeps_to_the_very_first_tweet(perch: Perch) -> None:
    reader, ann, bob = await perch.persons(3)
    texts = [*await plant(perch, ann, 300), *await plant(perch, bob, 300, minutes_ago=9_000)]
    await reader.follow(ann)
    await reader.follow(bob)
    await perch.settle()
    assert await walk(reader, 97) == texts[::-1]
    assert await perch.redis.llen(keys.timeline(globalid.of_type(reader.id, "User"))) == 201
    # What MongoDB gave below the floor is in the cache for whoever reads it next. A copy that could not be written in
    # time is left to the next reader.
    copies = [keys.tweet_copy(tweet_id) for tweet_id in await newest_ids(perch, ann, 300)]
    async with asyncio.timeout(10):
        while await perch.redis.exists(*copies) < len(copies):
            await walk(reader, 97)


async def test_a_timeline_is_trimmed_and_its_pages_stay_whole(perch: Perch) -> None:
    reader, ann = await perch.persons(2)
    await reader.follow(ann)
    await perch.settle()
    await reader.home()
    expected = [(await ann.post(f"tweet {number}"))["text"] for number in range(240)]
    await perch.settle()
    assert await perch.redis.llen(keys.timeline(globalid.of_type(reader.id, "User"))) <= 233
    assert await walk(reader, 50) == expected[::-1]


async def test_a_flush_changes_no_page(perch: Perch) -> None:
    reader, ann, bob = await perch.persons(3)
    await plant(perch, ann, 30)
    await reader.follow(ann)
    await reader.follow(bob)
    await bob.post("new")
    await reader.post("mine")
    await perch.settle()
    before = await reader.home(50)
    await perch.redis.flushall()
    after = await reader.home(50)
    assert after["edges"] == before["edges"]
    assert after["pageInfo"] == before["pageInfo"]
    await bob.post("after the flush")
    await perch.settle()
    assert (await reader.texts())[0] == "after the flush"


async def test_twenty_first_readers_of_a_timeline_that_is_not_kept_make_one_rebuild(perch: Perch) -> None:
    reader, ann = await perch.persons(2)
    expected = (await plant(perch, ann, 20))[::-1]
    await reader.follow(ann)
    await perch.settle()
    await perch.redis.unlink(keys.timeline(globalid.of_type(reader.id, "User")))
    before = await calls(perch, "ltrim")
    pages = await asyncio.gather(*(reader.texts() for _ in range(20)))
    assert all(page == expected for page in pages)
    # build_finish cuts off what the list held before; nothing else here cuts any.
    assert await calls(perch, "ltrim") - before == 1


async def calls(perch: Perch, command: str) -> int:
    stats = await perch.redis.info("commandstats")
    found = stats.get(f"cmdstat_{command}", {"calls": 0})
    return int(found["calls"])


async def test_a_reply_is_for_those_who_follow_both_ends(perch: Perch) -> None:
    reader, ann, bob = await perch.persons(3)
    await reader.follow(ann)
    question = await bob.post("question")
    await ann.post("answer to a stranger", inReplyTo=question["id"])
    own = await ann.post("thread")
    await ann.post("goes on", inReplyTo=own["id"])
    asked = await reader.post("I ask")
    await ann.post("answer to the reader", inReplyTo=asked["id"])
    await perch.settle()
    assert await reader.texts() == ["answer to the reader", "I ask", "goes on", "thread"]
    await reader.follow(bob)
    await perch.settle()
    assert await reader.texts() == [
        "answer to the reader", "I ask", "goes on", "thread", "answer to a stranger", "question",
    ]  # fmt: skip


async def test_a_page_of_filtered_entries_goes_on_until_there_is_something_to_show(perch: Perch) -> None:
    reader, ann, bob = await perch.persons(3)
    await reader.follow(ann)
    question = await bob.post("question")
    expected = [(await ann.post(f"shown {number}"))["text"] for number in range(3)]
    for number in range(30):
        await ann.post(f"hidden {number}", inReplyTo=question["id"])
    await perch.settle()
    assert await walk(reader, 3) == expected[::-1]


async def flood(perch: Perch, author: Person, question: Tweet, count: int) -> None:
    """Replies to a tweet, newer than what `plant` plants; they raise no events."""
    author_id = globalid.of_type(author.id, "User")
    start = int(datetime.now(UTC).timestamp() * 1000) - 60 * 60_000
    docs = [
        new_doc(ids.new(start + number * 1000, author_id), author_id, f"hidden {number}", question) | {"imported": True}
        for number in range(count)
    ]
    await perch.mongo.tweets.insert_many(docs)


async def test_who_returns_after_a_week_to_a_flood_of_replies_finds_no_empty_page(perch: Perch) -> None:
    reader, ann, bob, carol, stranger = await perch.persons(5)
    expected = [*await plant(perch, bob, 30), *await plant(perch, ann, 30, minutes_ago=9_000)][::-1]
    for author in (ann, bob, carol):
        await reader.follow(author)
    question = await Tweets(perch.mongo).get(globalid.of_type((await stranger.post("question"))["id"], "Tweet"))
    assert question
    await flood(perch, ann, question, 2_500)
    # A followed person's tweets, passed on by another: the reader has them already.
    known = [await Tweets(perch.mongo).get(tweet_id) for tweet_id in await newest_ids(perch, bob, 30)]
    for tweet in known:
        assert tweet
        await Retweets(perch.mongo).add(globalid.of_type(ann.id, "User"), tweet, ids.now_ms())
    await plant(perch, carol, 2_500, minutes_ago=60)
    await reader.verb("muteUser", {"userId": carol.id})
    await perch.settle()
    # What a week without a read leaves: nothing.
    await perch.redis.unlink(keys.timeline(globalid.of_type(reader.id, "User")))
    before = await calls(perch, "ltrim")
    pages = await asyncio.gather(*(reader.texts(20) for _ in range(20)))
    assert await calls(perch, "ltrim") - before == 1
    assert pages == [expected[:20]] * 20
    assert await walk(reader, 20) == expected
    # The rules are asked at each read: who now follows the stranger too has the whole thread.
    await reader.follow(stranger)
    assert (await reader.texts(5)) == ["question", *(f"hidden {number}" for number in range(2_499, 2_495, -1))]


async def newest_ids(perch: Perch, author: Person, count: int) -> list[int]:
    return await Tweets(perch.mongo).newest([globalid.of_type(author.id, "User")], {"$gt": 0}, count)


async def test_a_page_costs_the_same_number_of_commands_for_5_and_100_edges(perch: Perch) -> None:
    reader, ann = await perch.persons(2)
    await plant(perch, ann, 150)
    await reader.follow(ann)
    await perch.settle()
    await reader.home(100)
    # As if they had just changed something: the copies of the process, which would not live as long, are left alone.
    await perch.redis.set(keys.wrote(globalid.of_type(reader.id, "User")), "", ex=60)
    # The least of some, since the server looks at the sessions of its callers now and then.
    costs = [min([await cost(perch, reader, first) for _ in range(8)]) for first in (5, 100)]
    # MongoDB: own tweets, own retweets and top users; follows, blocks and likes. No tweets, no people.
    # Redis: five scripts, with the commands in them: own live position, that of top users, the page, tweets, authors.
    assert costs == [(2, 18), (2, 18)]
    # Without copies MongoDB is asked for the tweets and for the authors; these may go with the follows.
    for first in (5, 100):
        assert min([await cost(perch, reader, first, keys.COPIES) for _ in range(8)])[0] in (3, 4)


async def test_a_live_cursor_is_two_scripts_beside_the_page_and_no_question_to_mongodb(perch: Perch) -> None:
    reader, ann = await perch.persons(2)
    await plant(perch, ann, 10)
    await reader.follow(ann)
    await perch.settle()
    live, plain = HOME, HOME.replace("liveCursor", "")
    await reader.home(5)
    await perch.redis.set(keys.wrote(globalid.of_type(reader.id, "User")), "", ex=60)
    # The least of some, since the server looks at the sessions of its callers now and then.
    with_cursor, without = [
        min([await cost(perch, reader, 5, query=query) for _ in range(8)]) for query in (live, plain)
    ]
    # Their own position is page.lua with the five commands in it, that of top users top_position.lua with two.
    assert (with_cursor[0] - without[0], with_cursor[1] - without[1]) == (0, 6 + 3)
    own, _, top = (cursors.decode_live((await reader.home(5))["liveCursor"]) or "").partition("/")
    assert own == await perch.redis.hget(keys.presence(globalid.of_type(reader.id, "User")), "last")
    assert top == await perch.redis.hget(keys.TOP_PRESENCE, "last")


async def cost(
    perch: Perch, reader: Person, first: int, without: Iterable[str] = (), query: str = HOME
) -> tuple[int, int]:
    """What a page costs MongoDB and Redis, once these keys are gone."""
    await unlink_matching(perch.redis, without)
    before = await served(perch)
    assert len((await reader.do(query, first=first))["homeTimeline"]["edges"]) == first
    after = await served(perch)
    return after[0] - before[0], after[1] - before[1]


async def served(perch: Perch) -> tuple[int, int]:
    """Queries that MongoDB has answered, and commands that Redis has answered on connections of the request path."""
    status = await perch.mongo.db.command("serverStatus")
    async with Redis.from_url(perch.settings.redis_url, decode_responses=True) as observer:
        rows = await observer.client_list()
    asked = sum(status["metrics"]["commands"][name]["total"] for name in ("find", "aggregate"))
    return asked, sum(int(r["tot-cmds"]) for r in rows if r["name"] == "perch-requests")


async def test_the_timeline_is_for_those_who_are_logged_in(perch: Perch) -> None:
    answer = await perch.ask("{ homeTimeline { nodes { id } } }")
    assert answer.codes == ["UNAUTHENTICATED"]


async def test_first_has_bounds_and_cursors_have_types(perch: Perch) -> None:
    ann = await perch.person()
    await ann.post("one")
    for first in (0, -1, 101):
        answer = await ann.ask("query ($n: Int) { homeTimeline(first: $n) { nodes { id } } }", n=first)
        assert answer.codes == ["BAD_USER_INPUT"]
    assert (await ann.do("{ homeTimeline(first: null) { nodes { id } } }"))["homeTimeline"]["nodes"]
    live = (await ann.home())["liveCursor"]
    for junk in ("", "x", "aDox!", live, ann.id, "aDow\u00e9"):
        answer = await ann.ask("query ($c: String) { homeTimeline(after: $c) { nodes { id } } }", c=junk)
        assert answer.codes == ["BAD_USER_INPUT"], junk
