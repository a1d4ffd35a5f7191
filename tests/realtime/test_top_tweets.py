"""Top tweets: the rule, and lists that equal a full recomputation however they came about."""

import asyncio
import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore import ids, popularity
from datastore.likes import Likes
from datastore.mongo import Doc
from datastore.records import TopWindow, Tweet
from datastore.tweets import new_doc
from realtime import keys
from realtime.connect import RedisError
from realtime.scripts import Scripts
from realtime.top_tweets import Position, TopBounds, TopTweets
from tests.realtime.conftest import House

DAY = TopWindow.DAY
PLANTED = 30_000

moments = st.integers(ids.EPOCH_MS, ids.EPOCH_MS + (1 << 40))
engagements = st.integers(popularity.ELIGIBLE_FROM, 10_000_000)
followers = st.integers(0, 500_000_000)


def score_by_the_book(engagement: int, follower_count: int, age_ms: int, window: TopWindow) -> float:
    """The score as the design writes it."""
    weight = (engagement - 1) ** 2 * (1 + math.log10(1 + follower_count))
    return weight * math.pow(0.5, age_ms / popularity.HALF_LIFE_MS[window])


def ranked_by_the_book(docs: Sequence[Doc], window: TopWindow, now_ms: int) -> list[int]:
    """Every eligible tweet scored now, and sorted."""
    scored = [
        (score_by_the_book(doc["engagement"], doc["author_followers"], now_ms - ids.at_ms(doc["_id"]), window), doc)
        for doc in docs
        if doc["engagement"] >= 5 and doc.get("alive")
    ]
    return [doc["_id"] for score, doc in sorted(scored, key=lambda row: (-row[0], -row[1]["_id"])) if score >= 1]


async def listed(house: House, window: TopWindow = DAY, first: int = 10) -> list[int]:
    """The ids of the first page."""
    return [row.tweet_id for row in (await house.top_tweets.page(window, first, ids.now_ms())).rows]


async def engaged(house: House, likers: int, age_ms: int = 0, author: int = 77) -> Tweet:
    """A tweet with so many likes by others, ranked."""
    tweet = await house.tweet(author, ids.now_ms() - age_ms)
    likes = Likes(house.clients.mongo)
    for user in range(1000, 1000 + likers):
        await likes.add(user, tweet.id, ids.now_ms())
    await house.top_tweets.rank([tweet.id])
    return tweet


async def plant(house: House, count: int, now_ms: int) -> list[Doc]:
    """Tweets with random counters, as their writers would have left them; more of the last hours."""
    chance = random.Random(11)
    docs: dict[int, Doc] = {}
    while len(docs) < count:
        author = chance.randrange(10_000)
        tweet_id = ids.new(now_ms - int(chance.random() ** 3 * 60 * 24 * 3600 * 1000), author)
        engagement, fans = int(chance.paretovariate(0.7)) - 1, int(chance.paretovariate(0.6)) - 1
        fields = {"engagement": engagement, "likes": engagement, "author_followers": fans}
        docs[tweet_id] = new_doc(tweet_id, author, "x") | fields | popularity.places(tweet_id, engagement, fans)
    planted = list(docs.values())
    # In parts, each well within the driver's ten seconds on a busy machine.
    for at in range(0, count, 5000):
        await house.clients.mongo.tweets.insert_many(planted[at : at + 5000], ordered=False)
    return planted


# ---------------------------------------------------------------- the rule


@given(moments, moments, engagements, engagements, followers, followers, st.sampled_from(TopWindow))
def test_the_order_of_places_is_the_order_of_scores_at_every_moment(
    at: int, other_at: int, e: int, other_e: int, f: int, other_f: int, window: TopWindow
) -> None:
    field = popularity.FIELDS[window]
    one, other = (
        popularity.places(ids.new(moment, 1, tie=0), engagement, count)[field]
        for moment, engagement, count in ((at, e, f), (other_at, other_e, other_f))
    )
    for later_ms in (0, 12_345, 30 * 24 * 3600 * 1000):
        now_ms = max(at, other_at) + later_ms
        # In logarithms: the scores themselves fall below what a double can hold.
        logs = [
            math.log2(score_by_the_book(engagement, count, 0, window))
            - (now_ms - moment) / popularity.HALF_LIFE_MS[window]
            for moment, engagement, count in ((at, e, f), (other_at, other_e, other_f))
        ]
        if abs(logs[0] - logs[1]) > 1e-6:
            assert (one < other) == (logs[0] < logs[1])


@given(moments, engagements, followers, st.sampled_from(TopWindow), st.integers(0, 10 * 24 * 3600 * 1000))
def test_a_place_gives_the_score_of_the_moment(at: int, e: int, f: int, window: TopWindow, age_ms: int) -> None:
    place = popularity.places(ids.new(at, 1), e, f)[popularity.FIELDS[window]]
    expected = score_by_the_book(e, f, age_ms, window)
    assert popularity.score(place, window, at + age_ms) == pytest.approx(expected, rel=1e-6)


async def test_mongodb_and_python_place_a_tweet_alike(house: House) -> None:
    tweets = house.clients.mongo.tweets
    chance = random.Random(5)
    for _ in range(200):
        engagement, fans = int(chance.paretovariate(0.4)), int(chance.paretovariate(0.3))
        tweet_id = ids.new(ids.now_ms() - chance.randrange(10**11), 7)
        await tweets.insert_one(new_doc(tweet_id, 7, "x") | {"engagement": engagement, "author_followers": fans})
        doc = await tweets.find_one_and_update(
            {"_id": tweet_id}, popularity.move("likes", 1, popularity.unless_author(8, 1)), return_document=True
        )
        assert doc is not None
        found = {field: doc[field] for field in popularity.FIELDS.values() if field in doc}
        assert found == pytest.approx(popularity.places(tweet_id, engagement + 1, fans), rel=1e-15)


# ---------------------------------------------------------------- engagement


async def engagement_of(house: House, tweet: Tweet) -> int:
    doc = await house.clients.mongo.tweets.find_one({"_id": tweet.id})
    assert doc
    engagement: int = doc["engagement"]
    assert (popularity.FIELDS[DAY] in doc) == (engagement >= 5 and "alive" in doc)
    return engagement


async def test_an_authors_own_like_and_replies_count_for_nothing(house: House) -> None:
    author, other = house.people(2)
    tweet = await house.tweet(author)
    likes = Likes(house.clients.mongo)
    await likes.add(author, tweet.id, ids.now_ms())
    await house.tweets.add(author, "mine", ids.now_ms(), answered=tweet)
    assert await engagement_of(house, tweet) == 0
    await likes.add(other, tweet.id, ids.now_ms())
    await house.tweets.add(other, "theirs", ids.now_ms(), answered=tweet)
    assert await engagement_of(house, tweet) == 2
    await likes.remove(author, tweet.id)
    await likes.remove(other, tweet.id)
    assert await engagement_of(house, tweet) == 1


async def test_an_author_of_many_replies_counts_once_until_the_last_is_gone(house: House) -> None:
    author, other, third = house.people(3)
    tweet = await house.tweet(author)
    replies = [await house.tweets.add(other, f"{n}", ids.now_ms() + n, answered=tweet) for n in range(4)]
    await house.tweets.add(third, "one", ids.now_ms(), answered=tweet)
    assert await engagement_of(house, tweet) == 2
    for reply in replies[:3]:
        await house.tweets.remove(other, reply.id)
        assert await engagement_of(house, tweet) == 2
    await house.tweets.remove(other, replies[3].id)
    assert await engagement_of(house, tweet) == 1
    await house.tweets.add(other, "again", ids.now_ms(), answered=tweet)
    assert await engagement_of(house, tweet) == 2


async def test_repliers_are_distinct_however_their_replies_and_deletes_cross(house: House) -> None:
    author, *people = house.people(4)
    tweet = await house.tweet(author)
    alive: dict[int, int] = dict.fromkeys(people, 0)

    async def act(person: int, number: int) -> None:
        chance = random.Random(person + number)
        reply = await house.tweets.add(person, f"{number}", ids.now_ms() + number, answered=tweet)
        if chance.random() < 0.7 or number < 8:
            await house.tweets.remove(person, reply.id)
        else:
            alive[person] += 1

    await asyncio.gather(*(act(person, number) for person in people[:2] for number in range(20)))
    await asyncio.gather(*(act(people[2], number) for number in range(8)))
    assert await engagement_of(house, tweet) == sum(count > 0 for count in alive.values()) == 2


async def test_a_retried_reply_counts_once(house: House) -> None:
    author, other = house.people(2)
    tweet = await house.tweet(author)
    for _ in range(3):
        await house.tweets.add(other, "once", ids.now_ms(), answered=tweet, idempotency_key="k")
    assert await engagement_of(house, tweet) == 1


# ---------------------------------------------------------------- lists


async def test_a_tweet_joins_at_five_and_leaves_below(house: House) -> None:
    assert await listed(house) == []
    tweet = await engaged(house, 4)
    assert await listed(house) == []
    likes = Likes(house.clients.mongo)
    await likes.add(5000, tweet.id, ids.now_ms())
    await house.top_tweets.rank([tweet.id])
    assert await listed(house) == [tweet.id]
    await likes.remove(5000, tweet.id)
    await house.top_tweets.rank([tweet.id])
    assert await listed(house) == []


async def test_a_window_is_a_half_life(house: House) -> None:
    hour_ms = 3600 * 1000
    new, old, older = [await engaged(house, *given) for given in ((6, 0), (12, 5 * hour_ms), (14, 30 * hour_ms))]
    assert await listed(house, TopWindow.HOUR) == [new.id, old.id]
    assert await listed(house, TopWindow.DAY) == [old.id, older.id, new.id]
    assert await listed(house, TopWindow.WEEK) == [older.id, old.id, new.id]


async def test_a_score_below_one_is_listed_no_more(house: House) -> None:
    tweet = await engaged(house, 5)  # 16, which is 1 after four half-lives
    for hours, count in ((3.99, 1), (4.01, 0)):
        at_ms = ids.at_ms(tweet.id) + int(hours * 3600 * 1000)
        for _ in range(2):
            page = await house.top_tweets.page(TopWindow.HOUR, 5, at_ms)
            assert len(page.rows) == count
            if count:
                assert page.rows[0].score == pytest.approx(16 * 0.5**hours, rel=1e-6)
            await house.redis.flushdb()


async def test_a_deleted_tweet_leaves_at_once_and_a_late_like_does_not_bring_it_back(house: House) -> None:
    tweet = await engaged(house, 6)
    assert await listed(house) == [tweet.id]
    await house.tweets.remove(77, tweet.id)
    await house.top_tweets.rank([tweet.id])
    assert await listed(house) == []
    await Likes(house.clients.mongo).add(9000, tweet.id, ids.now_ms())
    await house.top_tweets.rank([tweet.id])
    assert await listed(house) == []


async def test_ranks_equal_a_full_recomputation(house: House) -> None:
    now_ms = ids.now_ms()
    docs = await plant(house, PLANTED, now_ms)
    top_tweets = TopTweets(Scripts(house.redis), house.tweets)
    for window in TopWindow:
        expected = ranked_by_the_book(docs, window, now_ms)[:1000]
        assert len(expected) == 1000
        for _ in ("built", "kept"):
            seen: list[int] = []
            after: Position | None = None
            while True:
                page = await top_tweets.page(window, 100, now_ms, after, snapshot=True)
                assert [row.position.rank for row in page.rows] == list(range(len(seen) + 1, len(seen) + 101))[
                    : len(page.rows)
                ]
                seen += [row.tweet_id for row in page.rows]
                if not page.more:
                    break
                after = page.rows[-1].position
            assert seen == expected


async def test_lists_that_were_trimmed_and_emptied_again_equal_a_full_recomputation(house: House) -> None:
    # 20 are kept, trimmed above 24; 10 are listed. Everything comes by events.
    mongo, chance = house.clients.mongo, random.Random(3)
    tweets = [await house.tweet(chance.randrange(50), ids.now_ms() - number * 60_000) for number in range(40)]
    await listed(house)
    moves = [(tweet.id, chance.randrange(1, 60)) for tweet in tweets for _ in range(3)]
    moves += [(tweet.id, -200) for tweet in tweets[:28]]
    chance.shuffle(moves)
    for number, (tweet_id, by) in enumerate(moves):
        await mongo.tweets.update_one({"_id": tweet_id}, popularity.move("likes", by, by))
        house.top_tweets.gather(tweet_id)
        if number % 5 == 0:
            await house.top_tweets.flush()
            docs = [doc | {"author_followers": 0} async for doc in mongo.tweets.find()]
            for window in TopWindow:
                expected = ranked_by_the_book(docs, window, ids.now_ms())[:10]
                assert await listed(house, window) == expected
                assert await house.redis.zcard(keys.top_tweets(window)) <= 25


async def test_who_asks_for_the_first_page_at_one_moment_shares_the_script(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    tweets = [await engaged(house, likers) for likers in (5, 6)]
    assert len(await listed(house)) == 2
    ran, run = list[str](), Scripts.run

    async def noted(scripts: Scripts, name: str, *given: Any) -> Any:
        ran.append(name)
        return await run(scripts, name, *given)

    monkeypatch.setattr(Scripts, "run", noted)
    found = await asyncio.gather(*(listed(house) for _ in range(20)), listed(house, first=1))
    assert found == [[tweet.id for tweet in reversed(tweets)]] * 20 + [[tweets[1].id]]
    # One for each length of the page; the pipeline beside it runs others.
    assert ran.count("top_page") == 2


async def test_what_has_expired_goes_in_parts_and_holds_up_no_rebuild(house: House) -> None:
    top = TopTweets(Scripts(house.redis), house.tweets, TopBounds(kept=1000, trim_at=1100, listed=3))
    tweets = [await engaged(house, likers) for likers in (9, 8)]
    name, place = keys.top_tweets(DAY), popularity.lowest_place(DAY, ids.now_ms()) - 1
    expired = {f"{number:016d}": place for number in range(450)}
    sizes = []
    await top.page(DAY, 2, ids.now_ms())
    await house.redis.zadd(name, expired)
    for _ in range(3):
        await top.rank([tweets[0].id])
        assert [row.tweet_id for row in (await top.page(DAY, 9, ids.now_ms())).rows] == [one.id for one in tweets]
        sizes.append(await house.redis.zcard(name))
    assert sizes == [253, 53, 3]
    # What was trimmed is needed now, however many that have expired are still there.
    await house.redis.zrem(name, "floor:-inf")
    await house.redis.zadd(name, {**expired, f"floor:{place - 1}": math.inf})
    await top.rank([tweets[0].id])
    assert not await house.redis.exists(name)


# ---------------------------------------------------------------- rebuilding


async def test_a_flush_changes_no_answer(house: House) -> None:
    for likers in range(3, 12):
        await engaged(house, likers)
    before = await listed(house)
    assert len(before) == 7
    for _ in range(2):
        await house.redis.flushall()
        assert await listed(house) == before


async def test_many_first_readers_build_once_and_none_sees_less(house: House) -> None:
    for likers in range(5, 12):
        await engaged(house, likers)
    expected = await listed(house)
    await house.redis.flushall()
    pages = await asyncio.gather(*(listed(house) for _ in range(50)))
    assert all(page == expected for page in pages)


async def test_what_changes_during_a_build_is_not_undone_by_it(house: House) -> None:
    scripts, likes = Scripts(house.redis), Likes(house.clients.mongo)
    up, down = await engaged(house, 5), await engaged(house, 5)
    before = await house.tweets.places([up.id, down.id])
    name, latest = keys.top_tweets(DAY), keys.top_latest(DAY)
    await house.redis.flushall()
    assert await scripts.run("top_begin", [name], "mine", 5000) == "begun"
    # The builder has read; now one is liked and one loses a like, and both are ranked before it writes.
    await likes.add(5000, up.id, ids.now_ms())
    await likes.remove(1000, down.id)
    await house.top_tweets.rank([up.id, down.id])
    assert await scripts.run("top_begin", [name], "other", 5000) == "building"
    assert await listed(house) == [up.id]  # from MongoDB
    rows = [arg for id_, places in before.items() for arg in (f"{id_:016d}", repr(places[DAY]))]
    assert await scripts.run("top_fill", [name, latest], "other", "-inf", 60_000, *rows) == 0
    assert await scripts.run("top_fill", [name, latest], "mine", "-inf", 60_000, *rows) == 1
    after = await house.tweets.places([up.id])
    assert await house.redis.zrange(name, 0, -1) == [f"{up.id:016d}", "floor:-inf"]
    assert await house.redis.zscore(name, f"{up.id:016d}") == after[up.id][DAY] > before[up.id][DAY]


async def test_a_dead_builder_is_taken_over_and_may_not_finish(house: House) -> None:
    scripts, name, latest = Scripts(house.redis), keys.top_tweets(DAY), keys.top_latest(DAY)
    await scripts.run("top_begin", [name], "dead", 0)
    assert await scripts.run("top_begin", [name], "alive", 5000) == "begun"
    assert await scripts.run("top_fill", [name, latest], "dead", "-inf", 60_000) == 0
    assert await scripts.run("top_fill", [name, latest], "alive", "-inf", 60_000) == 1
    assert await scripts.run("top_begin", [name], "late", 5000) == "served"


async def test_without_redis_mongodb_answers(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    tweets = [await engaged(house, likers) for likers in (9, 8, 7)]

    async def refuse(*_: object) -> None:
        raise RedisError

    monkeypatch.setattr(Scripts, "run", refuse)
    first = await house.top_tweets.page(DAY, 2, ids.now_ms(), snapshot=True)
    assert ([row.tweet_id for row in first.rows], first.more) == ([tweets[0].id, tweets[1].id], True)
    rest = await house.top_tweets.page(DAY, 2, ids.now_ms(), first.rows[-1].position, snapshot=True)
    assert [(row.tweet_id, row.position.rank, rest.more) for row in rest.rows] == [(tweets[2].id, 3, False)]


# ---------------------------------------------------------------- snapshots


async def test_pages_of_a_snapshot_repeat_nothing_whatever_happens_meanwhile(house: House) -> None:
    tweets = [await engaged(house, likers) for likers in (12, 10, 8, 6)]
    page = await house.top_tweets.page(DAY, 1, ids.now_ms(), snapshot=True)
    seen = [page.rows[0].tweet_id]
    while page.more:
        # The last becomes the first, again and again.
        await engaged(house, 30)
        page = await house.top_tweets.page(DAY, 1, ids.now_ms(), page.rows[-1].position)
        seen.append(page.rows[0].tweet_id)
    assert seen == [tweet.id for tweet in tweets]


async def test_a_cursor_of_an_expired_snapshot_goes_on_by_place(house: House) -> None:
    tweets = [await engaged(house, likers) for likers in (12, 10, 8, 6)]
    page = await house.top_tweets.page(DAY, 2, ids.now_ms(), snapshot=True)
    await engaged(house, 30)
    await house.redis.unlink(f"{keys.top_snapshots(DAY)}:{page.rows[0].position.snapshot}")
    for flush in (False, True):
        if flush:
            await house.redis.flushall()
        rest = await house.top_tweets.page(DAY, 5, ids.now_ms(), page.rows[-1].position)
        assert [(row.tweet_id, row.position.rank) for row in rest.rows] == [(tweets[2].id, 3), (tweets[3].id, 4)]


async def test_tweets_at_one_place_are_all_met_once(house: House) -> None:
    at_ms = ids.now_ms()
    fields = {"engagement": 9, "author_followers": 0}
    docs = []
    for author in range(9):
        tweet_id = ids.new(at_ms, author, tie=0)
        docs.append(new_doc(tweet_id, author, "x") | fields | popularity.places(tweet_id, 9, 0))
    await house.clients.mongo.tweets.insert_many(docs)
    expected = sorted((doc["_id"] for doc in docs), reverse=True)
    for snapshot in (True, False):
        seen: list[int] = []
        after: Position | None = None
        while len(seen) < len(expected):
            page = await house.top_tweets.page(DAY, 2, ids.now_ms(), after, snapshot)
            seen += [row.tweet_id for row in page.rows]
            after = page.rows[-1].position
        assert seen == expected


async def test_snapshots_are_shared_while_nothing_changes_and_bounded(house: House) -> None:
    await engaged(house, 9)
    numbers = [
        (await house.top_tweets.page(DAY, 1, ids.now_ms(), snapshot=True)).rows[0].position.snapshot for _ in range(5)
    ]
    assert len(set(numbers)) == 1
    for likers in range(10, 18):
        await engaged(house, likers)
        await house.top_tweets.page(DAY, 1, ids.now_ms(), snapshot=True)
    assert len([name async for name in house.redis.scan_iter(f"{keys.top_snapshots(DAY)}:*")]) == 3
    for name in [name async for name in house.redis.scan_iter("top:*")]:
        assert 0 < await house.redis.ttl(name) <= 3600


async def test_no_list_is_longer_than_what_is_listed(house: House) -> None:
    bounds = TopBounds(kept=20, trim_at=24, listed=3)
    top_tweets = TopTweets(Scripts(house.redis), house.tweets, bounds)
    for likers in range(5, 12):
        await engaged(house, likers)
    for snapshot in (True, False):
        page = await top_tweets.page(DAY, 2, ids.now_ms(), snapshot=snapshot)
        assert page.more
        page = await top_tweets.page(DAY, 2, ids.now_ms(), page.rows[-1].position)
        assert (len(page.rows), page.more) == (1, False)
