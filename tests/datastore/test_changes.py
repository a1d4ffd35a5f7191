"""Changes: every write is an event, once and in order, for one reader at a time, who goes on right where they were."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from datastore import ids
from datastore.changes import Change, ChangeReader, Changes, HistoryLostError, Lease, Token
from datastore.events import Event, EventName
from datastore.follows import Follows
from datastore.likes import Likes
from datastore.mongo import AutoReconnect, Mongo
from datastore.purges import Purges
from datastore.tweets import Tweets, new_doc
from datastore.users import Users
from tests.datastore.importing import load, write

NOW_MS = 1_780_000_000_000
PATIENCE_SECONDS = 10
ANN, BOB = 4096, 8192


@pytest.fixture
async def changes(mongo: Mongo) -> Changes:
    """The stream of a database on which nothing has happened yet."""
    changes = Changes(mongo)
    await changes.prepare()
    return changes


async def leased(changes: Changes, holder: str, seconds: float = 60) -> Lease:
    """The lease, as soon as nobody else has it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (lease := await changes.lease(holder, seconds)) is None:
            continue
    return lease


def token_of(change: Change) -> Token:
    """The token of a change that has one, as all of a change stream do."""
    assert change.token
    return change.token


async def read(reader: ChangeReader) -> Change:
    """The next change, however long it takes to come; the insert of the heartbeat itself is none."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (change := await reader.next()) is None or change.event == Event(EventName.HEARTBEAT, 0, 0):
            continue
    return change


async def until_beat(changes: Changes, reader: ChangeReader) -> AsyncIterator[Change]:
    """Every change that was written before this was called."""
    beat = await changes.beat()
    while (change := await read(reader)).event != Event(EventName.HEARTBEAT, 0, beat):
        yield change


async def events(changes: Changes, lease: Lease) -> list[Event]:
    """All events behind the lease's watermark."""
    async with changes.watch(lease) as reader:
        return [change.event async for change in until_beat(changes, reader)]


# ---------------------------------------------------------------- events


async def test_writes_are_events_in_the_order_of_their_commits(mongo: Mongo, changes: Changes) -> None:
    tweets, follows = Tweets(mongo), Follows(mongo)
    first = await tweets.add(ANN, "one", NOW_MS)
    await follows.add(BOB, ANN, NOW_MS)
    second = await tweets.add(BOB, "two", NOW_MS, answered=first)
    await tweets.remove(ANN, first.id)
    await follows.remove(BOB, ANN)
    ann, bob = ids.spread(ANN, 1024), ids.spread(BOB, 1024)
    assert await events(changes, await leased(changes, "a")) == [
        Event(EventName.TWEET_POSTED, ann, first.id, ANN),
        Event(EventName.USER_FOLLOWED, ann, ANN, BOB),
        Event(EventName.TWEET_POSTED, bob, second.id, BOB),
        Event(EventName.TWEET_CHANGED, ann, first.id),
        Event(EventName.TWEET_DELETED, ann, first.id),
        Event(EventName.USER_UNFOLLOWED, ann, ANN, BOB),
    ]


async def test_each_change_of_what_is_shown_is_one_event_and_what_changes_nothing_is_none(
    mongo: Mongo, changes: Changes
) -> None:
    tweets, follows, likes, users = Tweets(mongo), Follows(mongo), Likes(mongo), Users(mongo)
    account = await users.add("ann", "ann@perch.example", "a hash", "Ann", NOW_MS)
    tweet = await tweets.add(account.user.id, "one", NOW_MS, idempotency_key="k")
    await follows.add(BOB, account.user.id, NOW_MS)
    for _ in range(2):
        await likes.add(BOB, tweet.id, NOW_MS)
        await follows.add(BOB, account.user.id, NOW_MS)
        await tweets.add(account.user.id, "one", NOW_MS, idempotency_key="k")
    await likes.remove(BOB, tweet.id)
    await follows.remove(ANN, BOB)
    await mongo.users.update_one({"_id": account.user.id}, {"$inc": {"followers": 1}})
    await users.set_password(account.user.id, "another")
    await users.update_profile(account.user.id, None, "a bio")
    await users.update_profile(account.user.id, None, "a bio")
    await users.switch(account.user.id, True, 1)
    found = await events(changes, await leased(changes, "a"))
    assert [event.name for event in found] == [
        EventName.TWEET_POSTED, EventName.USER_CHANGED, EventName.USER_FOLLOWED, EventName.USER_CHANGED,
        EventName.TWEET_LIKED, EventName.TWEET_CHANGED, EventName.TWEET_UNLIKED, EventName.TWEET_CHANGED,
        EventName.USER_CHANGED, EventName.USER_CHANGED, EventName.USER_CHANGED,
    ]  # fmt: skip
    ann = Event(EventName.USER_CHANGED, ids.spread(account.user.id, 1024), account.user.id)
    changed = Event(EventName.TWEET_CHANGED, ids.bucket(tweet.id), tweet.id)
    assert {event for event in found if "Changed" in event.name} == {ann, changed}


async def test_a_mention_that_is_taken_away_is_a_change_of_the_tweet(mongo: Mongo, changes: Changes) -> None:
    users, tweets = Users(mongo), Tweets(mongo)
    names = ("ann", "bob", "cid")
    ann, bob, cid = [(await users.add(name, f"{name}@perch.example", "a hash", name, NOW_MS)).user.id for name in names]
    tweet = await tweets.add(5, "@ann @bob @cid", NOW_MS)
    lease = await leased(changes, "a")
    for gone in (bob, ann, cid):
        await Purges(mongo).cut_edges(gone)
    assert (await tweets.get(tweet.id)).mention_ids == ()  # type: ignore[union-attr]
    found = [event for event in await events(changes, lease) if event.name is EventName.TWEET_CHANGED]
    assert found == [Event(EventName.TWEET_CHANGED, ids.bucket(tweet.id), tweet.id)] * 3


async def test_a_counter_that_moves_a_place_is_another_event_than_one_that_moves_none(
    mongo: Mongo, changes: Changes
) -> None:
    likes = Likes(mongo)
    tweet = await Tweets(mongo).add(ANN, "one", NOW_MS)
    for user in (ANN, 1, 2, 3, 4, 5, 6):  # her own counts for nothing, and four are too few
        await likes.add(user, tweet.id, NOW_MS)
    await likes.remove(ANN, tweet.id)
    for user in (5, 6):
        await likes.remove(user, tweet.id)
    await Tweets(mongo).remove(ANN, tweet.id)
    bucket = ids.bucket(tweet.id)
    found = [event for event in await events(changes, await leased(changes, "a")) if "iked" not in event.name]
    unranked, ranked = (Event(name, bucket, tweet.id) for name in (EventName.TWEET_CHANGED, EventName.TWEET_RANKED))
    assert found == [
        Event(EventName.TWEET_POSTED, bucket, tweet.id, ANN),
        *[unranked] * 5,
        *[ranked] * 2,
        unranked,  # her own: no place moves
        *[ranked] * 2,
        Event(EventName.TWEET_DELETED, bucket, tweet.id),
    ]


async def test_likes_name_both_ends_in_the_tweets_bucket_and_imported_ones_are_none(
    mongo: Mongo, changes: Changes
) -> None:
    tweet = await Tweets(mongo).add(ANN, "one", NOW_MS)
    await mongo.likes.insert_one({"_id": {"t": tweet.id, "u": 5}, "at": NOW_MS, "imported": True})
    await Likes(mongo).add(BOB, tweet.id, NOW_MS)
    await Likes(mongo).remove(BOB, tweet.id)
    bucket = ids.bucket(tweet.id)
    assert (await events(changes, await leased(changes, "a")))[1:] == [
        Event(EventName.TWEET_LIKED, bucket, tweet.id, BOB),
        Event(EventName.TWEET_CHANGED, bucket, tweet.id),
        Event(EventName.TWEET_UNLIKED, bucket, tweet.id, BOB),
        Event(EventName.TWEET_CHANGED, bucket, tweet.id),
    ]


async def test_imported_documents_are_passed_over_but_their_end_is_seen(mongo: Mongo, changes: Changes) -> None:
    imported = [new_doc(ids.new(NOW_MS + n, ANN), ANN, f"old {n}") | {"imported": True} for n in range(5)]
    await mongo.tweets.insert_many(imported)
    edges = [{"_id": {"a": ANN, "f": follower}, "at": NOW_MS, "imported": True} for follower in range(5)]
    await mongo.follows.insert_many(edges)
    await Tweets(mongo).remove(ANN, imported[3]["_id"])
    await Follows(mongo).remove(2, ANN)
    bucket = ids.spread(ANN, 1024)
    assert await events(changes, await leased(changes, "a")) == [
        Event(EventName.TWEET_DELETED, bucket, imported[3]["_id"]),
        Event(EventName.USER_UNFOLLOWED, bucket, ANN, 2),
    ]


async def test_an_import_raises_no_event_for_the_counters_that_it_moves(
    mongo: Mongo, changes: Changes, tmp_path: Path
) -> None:
    lease = await leased(changes, "a")
    await load(mongo, follows=write(tmp_path / "f.csv", "follower,followee", [("ann", "bob"), ("cid", "bob")]))
    rows = [("ann", "one", "1", ""), ("bob", "two", "2", "1"), ("cid", "three", "3", "1")]
    await load(mongo, tweets=write(tmp_path / "t.csv", "author,text,id,in_reply_to", rows))
    await load(mongo, tweets=write(tmp_path / "u.csv", "author,text,id,in_reply_to", [("ann", "four", "4", "1")]))
    bob = await Users(mongo).by_username("bob")
    assert bob
    assert (bob.follower_count, bob.tweet_count) == (2, 1)
    assert await events(changes, lease) == []


async def test_a_deleted_account_is_one_event_and_its_purge_none_of_its_own(mongo: Mongo, changes: Changes) -> None:
    users, purges, now = Users(mongo), Purges(mongo), datetime.now(UTC)
    ann = (await users.add("ann", "ann@perch.example", "a hash", "Ann", NOW_MS)).user.id
    tweet = await Tweets(mongo).add(ann, "one", NOW_MS)
    await Follows(mongo).add(BOB, ann, NOW_MS)
    assert not await users.delete(ann, "another hash", now)
    assert await users.delete(ann, "a hash", now)
    assert not await users.delete(ann, "a hash", now)
    purge = await purges.take(now, timedelta(seconds=9))
    assert purge
    while await purges.delete_entries(ann, now) or await purges.cut_edges(ann) or await purges.forget_tombstones(ann):
        continue
    await purges.once_more(purge, now)
    await purges.finish(purge)
    bucket = ids.spread(ann, 1024)
    assert (await events(changes, await leased(changes, "a")))[4:] == [
        Event(EventName.USER_DELETED, bucket, ann),
        Event(EventName.TWEET_DELETED, bucket, tweet.id),
        Event(EventName.USER_UNFOLLOWED, bucket, ann, BOB),
    ]


async def test_the_first_stream_begins_where_prepare_was_called_first(mongo: Mongo) -> None:
    before = await Tweets(mongo).add(ANN, "before", NOW_MS)
    changes = Changes(mongo)
    await changes.prepare()
    behind = await Tweets(mongo).add(ANN, "behind", NOW_MS + 1)
    await changes.prepare()
    assert behind.id != before.id
    found = await events(changes, await leased(changes, "a"))
    assert [event.subject_id for event in found if event.name is EventName.TWEET_POSTED][-1] == behind.id
    assert len(found) <= 2  # operationTime may name the last write before


async def test_beats_grow_and_pass_behind_what_was_written_before(mongo: Mongo, changes: Changes) -> None:
    beats = [await changes.beat() for _ in range(3)]
    tweet = await Tweets(mongo).add(ANN, "one", NOW_MS)
    beats.append(await changes.beat())
    async with changes.watch(await leased(changes, "a")) as reader:
        seen = [(await read(reader)).event for _ in range(5)]
    assert [event.subject_id for event in seen] == [*beats[:3], tweet.id, beats[3]]
    assert beats == sorted(set(beats))


# ---------------------------------------------------------------- resuming


async def test_a_stored_token_resumes_right_behind_its_change(mongo: Mongo, changes: Changes) -> None:
    tweets = Tweets(mongo)
    made = [(await tweets.add(ANN, f"number {number}", NOW_MS + number)).id for number in range(6)]
    lease = await leased(changes, "a")
    async with changes.watch(lease) as reader:
        seen = [await read(reader) for _ in range(4)]
    assert [change.event.subject_id for change in seen] == made[:4]
    for stop in (2, 4):
        assert await changes.store(token_of(seen[stop - 1]), lease.fence)
        again = await leased(changes, "a")
        assert again.token == seen[stop - 1].token
        assert [event.subject_id for event in await events(changes, again)][: 6 - stop] == made[stop:]


async def test_an_idle_token_resumes_behind_everything_that_was_passed_over(mongo: Mongo, changes: Changes) -> None:
    imported = new_doc(ids.new(NOW_MS + 7, ANN), ANN, "old") | {"imported": True}
    lease = await leased(changes, "a")
    async with changes.watch(lease) as reader:
        first = await Tweets(mongo).add(ANN, "one", NOW_MS)
        assert (await read(reader)).event.subject_id == first.id
        assert reader.idle_token is None
        await mongo.tweets.insert_one(imported)
        assert await reader.next() is None
        assert reader.idle_token
        assert await changes.store(reader.idle_token, lease.fence)
    second = await Tweets(mongo).add(ANN, "two", NOW_MS + 1)
    found = await events(changes, await leased(changes, "a"))
    assert [event.subject_id for event in found] == [second.id]


async def test_a_watermark_of_the_present_forgets_what_was(mongo: Mongo, changes: Changes) -> None:
    await Tweets(mongo).add(ANN, "one", NOW_MS)
    lease = await leased(changes, "a")
    async with changes.watch(lease) as reader:
        assert await changes.store(token_of(await read(reader)), lease.fence)
    await changes.beat()
    await changes.store(await changes.present(), lease.fence)
    again = await leased(changes, "a")
    assert again.token is None
    later = await Tweets(mongo).add(ANN, "two", NOW_MS + 1)
    found = [event for event in await events(changes, again) if event.name is not EventName.HEARTBEAT]
    assert [event.subject_id for event in found] == [later.id]


# ---------------------------------------------------------------- the lease


async def test_one_holds_the_lease_and_renewing_keeps_the_fence(changes: Changes) -> None:
    lease = await leased(changes, "a")
    assert await changes.lease("b", 60) is None
    assert [(await leased(changes, "a")).fence for _ in range(3)] == [lease.fence] * 3
    assert await changes.lease("b", 60) is None


async def test_of_20_who_want_the_lease_at_once_one_gets_it(changes: Changes) -> None:
    outcomes = await asyncio.gather(*(changes.lease(f"holder {number}", 60) for number in range(20)))
    assert sum(outcome is not None for outcome in outcomes) == 1


async def test_each_new_holder_has_a_higher_fence(changes: Changes) -> None:
    fences = []
    for holder in ("a", "b", "a", "b"):
        fences.append((await leased(changes, holder)).fence)
        await changes.release(holder)
    assert fences == sorted(set(fences))


async def test_a_lease_that_is_not_renewed_passes_on_and_the_old_holder_can_store_no_more(
    mongo: Mongo, changes: Changes
) -> None:
    await Tweets(mongo).add(ANN, "one", NOW_MS)
    await Tweets(mongo).add(ANN, "two", NOW_MS + 1)
    old = await leased(changes, "a", seconds=0.05)
    async with changes.watch(old) as reader:
        tokens = [token_of(await read(reader)) for _ in range(2)]
    new = await leased(changes, "b")
    assert new.fence > old.fence
    assert await changes.store(tokens[1], new.fence)
    assert not await changes.store(tokens[0], old.fence)
    await changes.store(await changes.present(), old.fence)
    await changes.release("a")
    assert await changes.lease("a", 60) is None
    assert (await leased(changes, "b")).token == tokens[1]


async def test_a_long_import_is_passed_over_by_who_waits_for_it(
    mongo: Mongo, mongo_url: str, driver: str, changes: Changes
) -> None:
    imported = [new_doc(ids.new(NOW_MS + n, ANN), ANN, "old") | {"imported": True} for n in range(20_000)]
    await mongo.tweets.insert_many(imported, ordered=False)
    behind = await Tweets(mongo).add(BOB, "behind", NOW_MS)
    lease = await leased(changes, "a")
    hasty = Mongo(mongo_url, mongo.db.name, driver=driver, answer_ms=5)
    try:
        with pytest.raises(AutoReconnect):
            async with Changes(mongo, hasty).watch(lease) as reader:
                await read(reader)
    finally:
        await hasty.close()
    async with Changes(mongo, mongo).watch(lease) as reader:
        assert (await read(reader)).event.subject_id == behind.id


async def test_a_stream_whose_database_was_dropped_says_so_and_keeps_nobody_waiting(
    mongo: Mongo, changes: Changes
) -> None:
    async with changes.watch(await leased(changes, "reader")) as reader:
        await reader.next()
        await mongo.client.drop_database(mongo.db.name)
        with pytest.raises(HistoryLostError):
            await read_on(reader)


async def read_on(reader: ChangeReader) -> None:
    """Whatever comes, until the stream has ended."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            await reader.next()
