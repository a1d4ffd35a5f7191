"""Rescan: everything that documents say happened since a moment, however many slices it takes."""

import pytest

from datastore import ids, rescan
from datastore.events import Event, EventName
from datastore.follows import Follows
from datastore.mongo import Doc, Mongo
from datastore.records import Hiding
from datastore.rescan import MARGIN_MS, Rescan
from datastore.tweets import Tweets

SINCE_MS = 1_780_000_000_000
LONG_AGO_MS = SINCE_MS - MARGIN_MS - 1


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rescan, "SLICE", 3)


async def found(mongo: Mongo) -> list[Event]:
    """All events, once it says that these are all."""
    reading = Rescan(mongo, SINCE_MS, {"start": await mongo.cluster_time()})
    events = []
    while change := await reading.next():
        assert (change.token, reading.idle_token) == (None, None)
        events.append(change.event)
    assert reading.idle_token
    return events


def edge(event: Event) -> tuple[int, int]:
    return event.subject_id, event.other_id


async def test_tweets_since_then_come_in_the_order_of_their_ids_and_no_others(mongo: Mongo) -> None:
    tweets = Tweets(mongo)
    made = [await tweets.add(author, "text", SINCE_MS + number) for number, author in enumerate((7, 8, 7, 9, 7, 8, 9))]
    await tweets.add(7, "of before", LONG_AGO_MS)
    await tweets.remove(made[3].author_id, made.pop(3).id)
    await mongo.tweets.update_one({"_id": made.pop().id}, {"$set": {"imported": True}})
    events = await found(mongo)
    assert [event.subject_id for event in events] == [tweet.id for tweet in made]
    assert {event.name for event in events} == {EventName.TWEET_POSTED}


@pytest.mark.parametrize("people", [0, 2, 3, 7])
async def test_edges_since_then_come_once_whoever_they_are_of(mongo: Mongo, people: int) -> None:
    await mongo.users.insert_many([{"_id": 10 * n, "name_key": f"{n}"} for n in range(1, people + 1)] or [{"_id": 1}])
    # Below the first person, on and between them, above the last: whose account is there does not matter.
    authors = [0, 5, 10, 15, 20, 30, 31, 70, 71, ids.MAX_ID]
    follows, expected = Follows(mongo), set()
    for author in authors:
        for follower in (40, 50):
            await follows.add(follower, author, SINCE_MS)
            expected.add((author, follower))
        await follows.add(60, author, LONG_AGO_MS)
    await mongo.follows.insert_one({"_id": {"a": 10, "f": 99}, "at": SINCE_MS, "imported": True})
    blocks: list[Doc] = [
        {"_id": {"o": 15, "k": Hiding.BLOCK, "t": 3}, "at": SINCE_MS},
        {"_id": {"o": 71, "k": Hiding.MUTE, "t": 4}, "at": SINCE_MS},
        {"_id": {"o": 71, "k": Hiding.MUTE, "t": 5}, "at": LONG_AGO_MS},
    ]
    await mongo.blocks.insert_many(blocks)
    events = await found(mongo)
    followed = [edge(event) for event in events if event.name is EventName.USER_FOLLOWED]
    assert sorted(followed) == sorted(expected)
    assert [edge(event) for event in events if event.name is EventName.BLOCK_CHANGED] == [(15, 3)]
    assert [edge(event) for event in events if event.name is EventName.MUTE_CHANGED] == [(71, 4)]
