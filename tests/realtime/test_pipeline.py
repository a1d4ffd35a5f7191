"""Relay and worker: at least once, in order for each author, and nothing is lost however they end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from datastore import ids
from datastore.changes import Changes
from datastore.events import Event, EventName
from datastore.rescan import since_ms
from realtime import handlers, keys
from realtime.backlog import backlog
from realtime.dead_letters import DeadLetters
from realtime.fanout import Fanout, Runs
from realtime.handlers import Rooms
from realtime.lanes import Delivery
from realtime.pipeline import settle
from realtime.relay import Relay, Waits, decode, encode
from realtime.worker import DELIVERIES, Worker, handled_beat
from tests.realtime.conftest import PARTITIONS, TOP_USER_THRESHOLD, House

WAITS = Waits(lease=0.4, watermark=0.05, retry=0.02, claim_block=0.05)


@asynccontextmanager
async def running(*things: Relay | Worker) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run them meanwhile; whatever they raise is raised here."""
    tasks = [asyncio.create_task(thing.run()) for thing in things]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for thing in things:
            await thing.close()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome


def relay(house: House) -> Relay:
    return Relay(house.changes, house.clients.live, PARTITIONS, WAITS, house.timelines.forget_live)


def worker(house: House) -> Worker:
    return Worker(house.clients.live, house.rooms, PARTITIONS, WAITS)


async def settled(house: House) -> None:
    await asyncio.wait_for(settle(house.changes, house.redis, PARTITIONS), 10)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """Every event that reaches a handler, instead of what handlers do."""
    events: list[Event] = []

    async def note(rooms: Rooms, event: Event) -> None:
        events.append(event)

    noted: dict[EventName, Any] = {name: note for name in EventName if name is not EventName.HEARTBEAT}
    monkeypatch.setattr("realtime.worker.HANDLERS", dict(handlers.HANDLERS) | noted)
    return events


async def test_what_waits_in_several_partitions_is_handled_as_it_arrived(house: House, seen: list[Event]) -> None:
    for number in range(1, 21):
        fields: dict[Any, Any] = {"e": EventName.USER_CHANGED, "b": number, "s": number, "o": 0, "at": 0}
        await house.redis.xadd(keys.events(number % PARTITIONS), fields, id=f"{number}-0")
    async with running(worker(house)), asyncio.timeout(10):
        while len(seen) < 20:
            await asyncio.sleep(0.01)
    assert [event.subject_id for event in seen] == list(range(1, 21))


async def test_every_write_comes_out_once_and_in_order(house: House, seen: list[Event]) -> None:
    author, follower = house.people(2)
    async with running(relay(house), worker(house)):
        first, second = await house.tweet(author), await house.tweet(author)
        await house.tweets.remove(author, first.id)
        await house.follows.add(follower, author, ids.now_ms())
        await house.follows.remove(follower, author)
        await settled(house)
    bucket = ids.bucket(first.id)
    assert seen == [
        Event(EventName.TWEET_POSTED, bucket, first.id, author),
        Event(EventName.TWEET_POSTED, bucket, second.id, author),
        Event(EventName.TWEET_DELETED, bucket, first.id),
        Event(EventName.USER_FOLLOWED, bucket, author, follower),
        Event(EventName.USER_UNFOLLOWED, bucket, author, follower),
    ]


async def test_what_was_written_while_nothing_ran_comes_out_later(house: House, seen: list[Event]) -> None:
    (author,) = house.people(1)
    tweets = [(await house.tweet(author)).id for _ in range(5)]
    async with running(relay(house), worker(house)):
        await settled(house)
    assert [event.subject_id for event in seen] == tweets


async def test_events_that_redis_forgot_before_they_were_handled_are_relayed_again(
    house: House, seen: list[Event]
) -> None:
    (author,) = house.people(1)
    async with running(relay(house)):
        tweets = [(await house.tweet(author)).id for _ in range(5)]
        stream = keys.events(ids.bucket(tweets[0]) % PARTITIONS)
        async with asyncio.timeout(10):
            while await house.redis.xlen(stream) < 5:
                await asyncio.sleep(0.01)
        await house.redis.flushdb()
        async with running(worker(house)):
            await settled(house)
    assert [event.subject_id for event in seen] == tweets


async def test_the_watermark_waits_for_the_workers(house: House, seen: list[Event]) -> None:
    (author,) = house.people(1)
    async with running(relay(house), worker(house)):
        await house.tweet(author)
        await settled(house)
    seen.clear()
    async with running(relay(house)):
        tweet = await house.tweet(author)
        await wait_for_length(house, ids.bucket(tweet.id) % PARTITIONS, 1)
        # It has looked, more than once, how far it may move the watermark.
        for _ in range(3):
            await renewed(house)
    # The relay is gone, and Redis too; only the watermark in MongoDB can know that the tweet was never handled.
    await house.redis.flushdb()
    async with running(relay(house), worker(house)):
        await settled(house)
    assert tweet.id in [event.subject_id for event in seen]


async def renewed(house: House) -> None:
    """Wait until the relay has renewed its lease, as it does each time before it moves the watermark."""
    before = (await house.clients.mongo.system.find_one({"_id": "relay"}) or {})["renewed"]
    async with asyncio.timeout(10):
        while (await house.clients.mongo.system.find_one({"_id": "relay"}) or {})["renewed"] == before:
            await asyncio.sleep(0.01)


async def wait_for_length(house: House, partition: int, length: int) -> None:
    async with asyncio.timeout(10):
        while await house.redis.xlen(keys.events(partition)) < length:
            await asyncio.sleep(0.01)


async def test_of_two_relays_one_leads_and_the_other_takes_over(house: House, seen: list[Event]) -> None:
    (author,) = house.people(1)
    async with running(worker(house)), running(relay(house)) as [leader]:
        await settled(house)
        async with running(relay(house)):
            first = await house.tweet(author)
            await settled(house)
            leader.cancel()
            await asyncio.gather(leader, return_exceptions=True)
            second = await house.tweet(author)
            await settled(house)
    assert {first.id, second.id} <= {event.subject_id for event in seen}
    order = [event.subject_id for event in seen]
    assert order.index(first.id) < order.index(second.id)


async def test_handled_events_leave_the_stream(house: House, seen: list[Event]) -> None:
    (author,) = house.people(1)
    async with running(relay(house), worker(house)):
        for _ in range(300):
            await house.tweet(author)
        await settled(house)
        stream = keys.events(ids.spread(author, ids.AUTHOR_BUCKETS) % PARTITIONS)
        async with asyncio.timeout(10):
            # To the last one: what has been handled must not keep an id.
            while await house.redis.xlen(stream):
                await asyncio.sleep(0.01)
    assert len(seen) == 300


async def test_a_workers_unfinished_batch_is_finished_by_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    (author,) = house.people(1)
    seen: list[Event] = []
    reached = asyncio.Event()

    async def hang(rooms: Rooms, event: Event) -> None:
        reached.set()
        await asyncio.Event().wait()

    async def note(rooms: Rooms, event: Event) -> None:
        seen.append(event)

    monkeypatch.setattr("realtime.worker.HANDLERS", dict(handlers.HANDLERS) | {EventName.TWEET_POSTED: hang})
    async with running(relay(house)):
        async with running(worker(house)):
            tweet = await house.tweet(author)
            await asyncio.wait_for(reached.wait(), 10)
        monkeypatch.setattr("realtime.worker.HANDLERS", dict(handlers.HANDLERS) | {EventName.TWEET_POSTED: note})
        async with running(worker(house)):
            await settled(house)
    assert [event.subject_id for event in seen] == [tweet.id]


async def test_poison_is_set_aside_after_five_tries_and_those_behind_it_move_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    author, reader = house.people(2)
    await house.follows.add(reader, author, ids.now_ms())
    await house.timelines.page(reader, 5)
    poison = await house.tweet(author)
    good = await house.tweet(author)
    tries = []

    async def choke(rooms: Rooms, event: Event) -> None:
        if event.subject_id == poison.id:
            tries.append(event)
            raise ValueError("poison")
        await handlers.on_tweet_posted(rooms, event)

    monkeypatch.setattr("realtime.worker.HANDLERS", dict(handlers.HANDLERS) | {EventName.TWEET_POSTED: choke})
    async with running(relay(house), worker(house)):
        await settled(house)
    # Once in the batch, then five times alone.
    assert len(tries) == DELIVERIES + 1
    dead = await house.redis.xrange(keys.DEAD_LETTERS)
    assert [(fields["s"], fields["why"]) for _, fields in dead] == [(str(poison.id), "ValueError: poison")]
    # The page reads MongoDB for the reader's own tweets only, so what it shows of the author was pushed or merged.
    assert good.id in (await house.timelines.page(reader, 5)).entry_ids


async def test_an_event_that_ends_its_workers_is_set_aside_and_those_beside_it_are_handled(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    author, other = house.people(2)
    handled: list[int] = []
    died = asyncio.Event()

    async def hang(rooms: Rooms, event: Event) -> None:
        """What a worker that is killed leaves of it: nothing but that it was begun."""
        if event.subject_id == killer.id:
            died.set()
            await asyncio.Event().wait()
        handled.append(event.subject_id)

    monkeypatch.setattr("realtime.worker.HANDLERS", dict(handlers.HANDLERS) | {EventName.TWEET_POSTED: hang})
    async with running(relay(house)):
        killer = await house.tweet(author)
        others = [(await house.tweet(one)).id for one in (author, other, author)]
        for _ in range(DELIVERIES):
            died.clear()
            async with running(worker(house)):
                await asyncio.wait_for(died.wait(), 10)
        async with running(worker(house)):
            await settled(house)
    assert set(others) <= set(handled)
    dead = await house.redis.xrange(keys.DEAD_LETTERS)
    assert [(fields["s"], fields["why"]) for _, fields in dead] == [(str(killer.id), "its handler did not survive")]


async def test_a_heartbeat_that_comes_late_takes_nothing_back(house: House) -> None:
    ours = worker(house)
    async with running(relay(house), ours):
        await settled(house)
        early, late = await house.changes.beat(), await house.changes.beat()
        for beat in (late, early):
            fields = {"e": str(EventName.HEARTBEAT), "b": "0", "s": str(beat), "o": "0"}
            await ours._acknowledge([Delivery(partition, "1-1", fields) for partition in range(PARTITIONS)])
            assert await handled_beat(house.redis, PARTITIONS) >= late


async def test_what_was_set_aside_is_listed_put_back_where_it_stood_and_handled(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    author, _ = house.people(2)
    seen: list[int] = []
    letters = DeadLetters(house.redis)

    async def choke(rooms: Rooms, event: Event) -> None:
        raise ValueError("poison")

    async def note(rooms: Rooms, event: Event) -> None:
        seen.append(event.subject_id)

    monkeypatch.setattr("realtime.worker.HANDLERS", dict(handlers.HANDLERS) | {EventName.TWEET_POSTED: choke})
    async with running(relay(house), worker(house)):
        tweets = [(await house.tweet(author)).id for _ in range(3)]
        await settled(house)
        listed = [letter async for letter in letters.each()]
        assert [(one.event["s"], one.why) for one in listed] == [(str(one), "ValueError: poison") for one in tweets]
        assert await letters.drop([listed[0].id]) == 1
        monkeypatch.setattr("realtime.worker.HANDLERS", dict(handlers.HANDLERS) | {EventName.TWEET_POSTED: note})
        assert await letters.retry([listed[1].id]) == 1
        assert await letters.retry() == 1
        await settled(house)
    assert seen == tweets[1:]
    assert [letter async for letter in letters.each()] == []


async def test_the_backlog_says_how_far_behind_the_workers_are_and_whether_anybody_relays(
    house: House, seen: list[Event]
) -> None:
    author, _ = house.people(2)
    streams = [keys.events(partition) for partition in range(PARTITIONS)]
    assert (await backlog(house.changes, house.redis, streams)).relay_seconds == float("inf")
    async with running(relay(house)):
        tweet = await house.tweet(author)
        stream = ids.bucket(tweet.id) % PARTITIONS
        await wait_for_length(house, stream, 1)
        behind = await backlog(house.changes, house.redis, streams)
        # With the first heartbeat, which goes to each partition.
        assert (behind.waiting, behind.pending, behind.dead_letters) == (1 + PARTITIONS, 0, 0)
        await house.redis.xreadgroup(keys.GROUP, "somebody", {keys.events(stream): ">"})
        taken = await backlog(house.changes, house.redis, streams)
        assert (taken.waiting, taken.pending) == (PARTITIONS - 1, 2)
        assert taken.oldest_seconds >= behind.oldest_seconds
        assert taken.relay_seconds < 10
        async with running(worker(house)):
            await settled(house)
        assert (await backlog(house.changes, house.redis, streams)).pending == 0


async def test_an_author_with_many_readers_holds_up_nobody_and_keeps_their_order(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    much_followed, other, *readers = await many_readers(house, monkeypatch)
    gate = asyncio.Event()
    deliver = Fanout._deliver

    async def held(self: Fanout, runs: Runs) -> None:
        """Behind the first batch of readers, what the much followed one writes does not get on."""
        last = keys.tail(readers[-1])
        if any(last in tails and ids.bucket(run[1]) == ids.bucket(first.id) for run, tails in runs):
            await gate.wait()
        await deliver(self, runs)

    async with running(relay(house), worker(house)):
        await settled(house)
        first, second = await house.tweet(much_followed), await house.tweet(much_followed)
        monkeypatch.setattr(Fanout, "_deliver", held)
        third = await house.tweet(much_followed)
        await house.tweets.remove(much_followed, third.id)
        small = await house.tweet(other)
        settling = asyncio.create_task(settled(house))
        async with asyncio.timeout(10):
            while small.id not in (await house.timelines.page(readers[-1], 9)).entry_ids:
                await asyncio.sleep(0.01)
        # What follows the burst waits for it, so that settling means what it says.
        assert not settling.done()
        gate.set()
        await settling
        for reader in readers:
            shown = (await house.timelines.page(reader, 9)).entry_ids
            assert shown == [*([small.id] if reader == readers[-1] else []), second.id, first.id]
    assert not await house.redis.xpending_range(keys.events(0), keys.GROUP, "-", "+", 10)


async def many_readers(house: House, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An author who is too much followed for a batch, another whom only the last reader follows, and the readers."""
    # Fewer than make a top user, whose tweets are not pushed at all.
    much_followed, other, *readers = house.people(1 + TOP_USER_THRESHOLD)
    authors = [{"_id": one, "name_key": f"{one}", "followers": 0, "top": False} for one in (much_followed, other)]
    await house.clients.mongo.users.insert_many(authors)
    monkeypatch.setattr("datastore.follows.WALK_BATCH", 2)
    monkeypatch.setattr("realtime.handlers.WALK_BATCH", 2)
    monkeypatch.setattr("realtime.handlers.FEW_FOLLOWERS", 0)
    for reader in readers:
        await house.follows.add(reader, much_followed, ids.now_ms())
        await house.timelines.page(reader, 5)
    await house.follows.add(readers[-1], other, ids.now_ms())
    return [much_followed, other, *readers]


async def test_an_author_who_loses_readers_overtakes_none_of_their_own_tweets(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    author, other, *leaving, staying = await many_readers(house, monkeypatch)
    gate, reached = asyncio.Event(), asyncio.Event()
    deliver = Fanout._deliver

    async def held(self: Fanout, runs: Runs) -> None:
        """The first tweet does not get to the one who stays."""
        if any(keys.tail(staying) in tails and run[1] == first.id for run, tails in runs):
            reached.set()
            await gate.wait()
        await deliver(self, runs)

    async with running(relay(house), worker(house)):
        await settled(house)
        await house.timelines.page(staying, 5, live=True)
        monkeypatch.setattr(Fanout, "_deliver", held)
        first = await house.tweet(author)
        await asyncio.wait_for(reached.wait(), 10)
        for reader in leaving:
            await house.follows.remove(reader, author)
        second, small = await house.tweet(author), await house.tweet(other)
        async with asyncio.timeout(10):
            while small.id not in (await house.timelines.page(staying, 9)).entry_ids:
                await asyncio.sleep(0.01)
        gate.set()
        await settled(house)
    told = [fields["d"] for _, fields in await house.redis.xrange(keys.reader_stream(staying))]
    assert [int(one.split(":")[1]) for one in told if one.startswith("+:")] == [small.id, first.id, second.id]


async def test_junk_in_the_stream_is_set_aside(house: House, seen: list[Event]) -> None:
    (author,) = house.people(1)
    async with running(relay(house), worker(house)):
        await settled(house)
        await house.redis.xadd(keys.events(0), {"what": "is this"})
        tweet = await house.tweet(author)
        await settled(house)
    assert [event.subject_id for event in seen] == [tweet.id]
    assert len(await house.redis.xrange(keys.DEAD_LETTERS)) == 1


async def test_two_workers_share_the_partitions_and_one_takes_all_when_the_other_is_gone(
    house: House, seen: list[Event]
) -> None:
    async with running(relay(house), worker(house)):
        async with running(worker(house)):
            async with asyncio.timeout(10):
                while len(await owners(house)) < 2:
                    await asyncio.sleep(0.02)
        authors = house.people(8)
        tweets = {(await house.tweet(author)).id for author in authors}
        await settled(house)
    assert {event.subject_id for event in seen} == tweets


async def owners(house: House) -> set[str]:
    found = [await house.redis.get(keys.lease(partition)) for partition in range(PARTITIONS)]
    return {owner for owner in found if owner}


async def test_what_the_oplog_forgot_is_read_from_the_documents(house: House, seen: list[Event]) -> None:
    author, follower = house.people(2)
    async with running(relay(house), worker(house)):
        old = await house.tweet(author, ids.now_ms() - 3_600_000)
        await settled(house)
        await house.redis.hset(keys.presence(follower), "last", "x")
        async with asyncio.timeout(10):
            while not (await house.clients.mongo.system.find_one({"_id": "relay"}) or {})["token"]:
                await asyncio.sleep(0.01)
    seen.clear()
    missed = [(await house.tweet(author)).id for _ in range(3)]
    await house.tweets.remove(author, missed.pop())
    await house.follows.add(follower, author, ids.now_ms())
    await lose_history(house.changes)
    with capture_logs() as logs:
        async with running(relay(house), worker(house)):
            await settled(house)
            later = await house.tweet(author)
            await settled(house)
    assert [one["event"] for one in logs if one["event"].startswith("relay.resc")] == ["relay.rescanned"]
    posted = [event.subject_id for event in seen if event.name is EventName.TWEET_POSTED]
    assert posted == [*missed, later.id]
    assert old.id not in posted
    assert Event(EventName.USER_FOLLOWED, ids.spread(author, ids.AUTHOR_BUCKETS), author, follower) in seen
    # Who was present is told to read again: of what was deleted nothing is left to tell.
    assert not await house.redis.exists(keys.presence(follower))


async def lose_history(changes: Changes) -> None:
    """Set the watermark to ten minutes ago, when this mongod was not there yet. Nobody may lead meanwhile."""
    lease = await changes.lease("somebody", 0)
    assert lease
    assert lease.token
    data = lease.token["_data"]
    before = int(data[2:10], 16) - 600
    assert since_ms(lease) // 1000 == before + 600
    await changes.store({"_data": f"82{before:08X}{data[10:]}"}, lease.fence)
    await changes.release("somebody")


async def test_imported_documents_raise_no_events(house: House, seen: list[Event]) -> None:
    author, follower = house.people(2)
    tweet = await house.tweet(author)
    await house.clients.mongo.follows.insert_one(
        {"_id": {"a": author, "f": follower}, "at": ids.now_ms(), "imported": True}
    )
    async with running(relay(house), worker(house)):
        await settled(house)
    assert [event.subject_id for event in seen] == [tweet.id]


def test_an_event_survives_the_stream() -> None:
    event = Event(EventName.USER_FOLLOWED, 7, 8, 9)
    assert decode({key: str(value) for key, value in encode(event).items()}) == event
