"""What people do at the same time, while those who handle it die: counts are right and nothing hidden is shown."""

import asyncio
from random import Random
from typing import Any

from realtime import keys
from schema import globalid
from tests.faults.box import WORKERS, Box
from tests.faults.crowds import crowd
from tests.faults.writers import all_pages, by_author, writing
from tests.flows.test_delete_account import deleted
from tests.flows.test_home_timeline import calls
from tests.perch import Person

VERBS, LIKERS = 200, 8
READERS = 500
LIKED = "query ($id: ID!) { tweet(id: $id) { likeCount viewerHasLiked } }"


async def test_200_likes_and_unlikes_at_once_whose_events_come_twice_leave_the_count_at_the_edges(box: Box) -> None:
    random, (author, *likers) = Random(6), await box.perch.persons(1 + LIKERS)
    tweet_id = (await author.post("like me"))["id"]
    verbs = [
        box.at(random.choice(likers), number % 2).verb(
            random.choice(["likeTweet", "unlikeTweet"]), {"tweetId": tweet_id}
        )
        for number in range(VERBS)
    ]
    doing = asyncio.gather(*verbs)
    # What this worker has not acknowledged is handled again by the other.
    await box.kill(WORKERS[0])
    await doing
    await box.repair()
    edges = await box.perch.mongo.likes.count_documents({"_id.t": globalid.of_type(tweet_id, "Tweet")})
    seen: list[Any] = [(await liker.do(LIKED, id=tweet_id))["tweet"] for liker in likers]
    assert {one["likeCount"] for one in seen} == {edges}
    assert sum(one["viewerHasLiked"] for one in seen) == edges


async def test_nothing_of_an_unfollowed_a_blocked_a_deleting_or_a_deleted_author_is_shown_while_they_post(
    box: Box,
) -> None:
    (reader,), authors = await crowd(box, writers=5)
    unfollowed, blocked, leaving, deleting, other = authors
    async with writing(box, authors) as writers:
        await writers.more(20)
        await reader.unfollow(unfollowed)
        await reader.verb("blockUser", {"userId": blocked.id})
        await deleted(leaving)
        own = [edge["node"] for edge in (await deleting.home())["edges"]]
        await asyncio.gather(*(deleting.delete(node["id"]) for node in own))
        gone = {node["text"] for node in own}
        await box.kill(WORKERS[1])
        for _ in range(5):
            await writers.more(4)
            hidden(await reader.texts(), gone, unfollowed, blocked, leaving)
    await box.repair()
    texts = await all_pages(reader)
    hidden(texts, gone, unfollowed, blocked, leaving)
    left = [text for text in writers.acked[deleting.id] if text not in gone]
    assert by_author(texts, [deleting, other]) == {deleting.id: left, other.id: writers.acked[other.id]}
    # The control: there was something to hide.
    assert gone
    assert all(writers.acked[one.id] for one in (unfollowed, blocked, leaving))


def hidden(texts: list[str], gone: set[str], *authors: Person) -> None:
    """Nothing of these is among what a page shows."""
    assert not gone & set(texts)
    assert not [text for text in texts if text.startswith(tuple(f"{one.username} " for one in authors))]


async def test_500_readers_of_one_missing_timeline_on_two_servers_make_one_rebuild(box: Box) -> None:
    (reader,), (author,) = await crowd(box, writers=1)
    expected = [(await author.post(f"number {number}"))["text"] for number in range(5)][::-1]
    await box.perch.settle()
    await box.perch.redis.unlink(keys.timeline(globalid.of_type(reader.id, "User")))
    before = await calls(box.perch, "ltrim")
    pages = await asyncio.gather(*(box.at(reader, number % 2).texts(5) for number in range(READERS)))
    assert all(page == expected for page in pages)
    # The end of a build cuts off what its list held before; nothing else here cuts any.
    assert await calls(box.perch, "ltrim") - before == 1
