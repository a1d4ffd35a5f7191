"""Tweets: one per idempotency key whatever dies, counters that move once, and lists that lose and repeat nothing."""

import asyncio
import random
from typing import Any

import pytest

from datastore import ids
from datastore.entries import AUTHORS_PER_QUERY, Entries
from datastore.errors import DomainError, ErrorCode
from datastore.mongo import AutoReconnect, Doc, Mongo
from datastore.records import Tweet
from datastore.retweets import Retweets
from datastore.tweets import Tweets, new_doc
from datastore.users import new_doc as new_user
from tests.datastore.dying import Dying

NOW_MS = 1_780_000_000_000


@pytest.fixture
async def ann(mongo: Mongo) -> int:
    """An author's id."""
    doc = new_user("ann", "Ann", NOW_MS)
    await mongo.users.insert_one(doc)
    author_id: int = doc["_id"]
    return author_id


@pytest.fixture
def tied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every id's tie-breaker is 0: two of one author in one millisecond clash."""
    monkeypatch.setattr(ids, "_random", Zero())


class Zero:
    def getrandbits(self, count: int) -> int:
        return 0


async def counts(mongo: Mongo, author_id: int) -> tuple[int, int]:
    """(the author's counter, their tweets that are alive)."""
    user = await mongo.users.find_one({"_id": author_id})
    assert user
    return user["tweets"], await mongo.tweets.count_documents({"author": author_id, "alive": True})


async def refused(code: ErrorCode, call: Any) -> tuple[str, ...]:
    """The path of the refusal, which must have this code."""
    with pytest.raises(DomainError) as caught:
        await call
    assert caught.value.code is code
    return caught.value.path


# ---------------------------------------------------------------- adding


async def test_a_tweet_comes_back_as_it_was_written(mongo: Mongo, ann: int) -> None:
    tweets = Tweets(mongo)
    tweet = await tweets.add(ann, "hello", NOW_MS)
    assert tweet == Tweet(tweet.id, ann, "hello", None, None, 0, 0, 0)
    assert (ids.at_ms(tweet.id), ids.bucket(tweet.id)) == (NOW_MS, ids.spread(ann, 1024))
    answer = await tweets.add(ann, "and more", NOW_MS + 1, answered=tweet)
    assert (answer.in_reply_to_id, answer.reply_author_id, answer.is_reply) == (tweet.id, ann, True)
    assert await tweets.get_many([answer.id, 7, tweet.id]) == [answer, None, await tweets.get(tweet.id)]
    seen = await tweets.get(tweet.id)
    assert seen
    assert seen.reply_count == 1
    assert await counts(mongo, ann) == (2, 2)


@pytest.mark.usefixtures("tied")
async def test_tweets_of_one_millisecond_all_get_an_id(mongo: Mongo, ann: int) -> None:
    tweets = Tweets(mongo)
    made = await asyncio.gather(*(tweets.add(ann, f"number {number}", NOW_MS) for number in range(10)))
    assert sorted(ids.at_ms(tweet.id) for tweet in made) == [NOW_MS + number for number in range(10)]
    assert await counts(mongo, ann) == (10, 10)


@pytest.mark.usefixtures("tied")
async def test_a_clash_of_reserved_ids_is_tried_again_under_the_same_key(mongo: Mongo, ann: int) -> None:
    tweets = Tweets(mongo)
    plain = await tweets.add(ann, "first", NOW_MS)
    calls = [tweets.add(ann, f"key {key}", NOW_MS, idempotency_key=f"k{key}") for key in range(5) for _ in range(4)]
    made = await asyncio.gather(*calls)
    assert len({tweet.id for tweet in made} | {plain.id}) == 6
    assert {(tweet.id, tweet.text) for tweet in made} == {
        (tweet.id, f"key {number}") for number, tweet in enumerate(made[::4])
    }
    again = [await tweets.add(ann, f"key {key}", NOW_MS + 50, idempotency_key=f"k{key}") for key in range(5)]
    assert [tweet.id for tweet in again] == [tweet.id for tweet in made[::4]]
    assert await counts(mongo, ann) == (6, 6)
    assert await mongo.idempotency.count_documents({}) == 5


# ---------------------------------------------------------------- idempotency


async def test_20_calls_with_one_key_at_once_make_one_tweet(mongo: Mongo, ann: int) -> None:
    tweets = Tweets(mongo)
    made = await asyncio.gather(
        *(tweets.add(ann, "once", NOW_MS + number, idempotency_key="k") for number in range(20))
    )
    assert len({tweet.id for tweet in made}) == 1
    assert await counts(mongo, ann) == (1, 1)


async def test_a_key_is_one_authors_and_one_contents(mongo: Mongo, ann: int) -> None:
    tweets = Tweets(mongo)
    first = await tweets.add(ann, "once", NOW_MS, idempotency_key="k")
    other = await tweets.add(ann + 1, "once", NOW_MS, idempotency_key="k")
    assert other.id != first.id
    assert other.author_id == ann + 1
    for call in (
        tweets.add(ann, "twice", NOW_MS, idempotency_key="k"),
        tweets.add(ann, "once", NOW_MS, answered=first, idempotency_key="k"),
    ):
        assert await refused(ErrorCode.IDEMPOTENCY_CONFLICT, call) == ("input", "idempotencyKey")
    assert (await tweets.add(ann, "once", NOW_MS, idempotency_key="K")).id != first.id
    assert await counts(mongo, ann) == (2, 2)


async def test_a_death_between_reservation_and_insert_leaves_the_tweet_to_the_retry(mongo: Mongo, ann: int) -> None:
    dying, tweets = Tweets(mongo), Tweets(mongo)
    dying._tweets = Dying(mongo.tweets, "insert_one")  # type: ignore[assignment]
    with pytest.raises(AutoReconnect):
        await dying.add(ann, "once", NOW_MS, idempotency_key="k")
    assert await counts(mongo, ann) == (0, 0)
    reserved = await mongo.idempotency.find_one({})
    assert reserved
    tweet = await tweets.add(ann, "once", NOW_MS + 5000, idempotency_key="k")
    assert tweet.id == reserved["tweet"]
    assert (await tweets.add(ann, "once", NOW_MS + 9000, idempotency_key="k")).id == tweet.id
    assert await counts(mongo, ann) == (1, 1)


async def test_a_death_right_behind_the_insert_makes_no_second_tweet(mongo: Mongo, ann: int) -> None:
    dying, tweets = Tweets(mongo), Tweets(mongo)
    dying._tweets = Dying(mongo.tweets, "insert_one", after=True)  # type: ignore[assignment]
    with pytest.raises(AutoReconnect):
        await dying.add(ann, "once", NOW_MS, idempotency_key="k")
    tweet = await tweets.add(ann, "once", NOW_MS + 5000, idempotency_key="k")
    assert ids.at_ms(tweet.id) == NOW_MS
    assert await mongo.tweets.count_documents({"author": ann}) == 1


async def test_a_key_whose_tweet_was_deleted_makes_no_new_one(mongo: Mongo, ann: int) -> None:
    tweets = Tweets(mongo)
    tweet = await tweets.add(ann, "once", NOW_MS, idempotency_key="k")
    await tweets.remove(ann, tweet.id)
    call = tweets.add(ann, "once", NOW_MS, idempotency_key="k")
    assert await refused(ErrorCode.NOT_FOUND, call) == ("input", "idempotencyKey")
    assert await counts(mongo, ann) == (0, 0)


# ---------------------------------------------------------------- removing


async def test_of_20_deletes_at_once_one_moves_the_counters(mongo: Mongo, ann: int) -> None:
    tweets = Tweets(mongo)
    question = await tweets.add(ann, "question", NOW_MS)
    answer = await tweets.add(ann, "answer", NOW_MS + 1, answered=question)
    calls = [tweets.remove(ann, answer.id) for _ in range(20)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert outcomes.count(question.id) == 1
    assert [error.code for error in outcomes if isinstance(error, DomainError)] == [ErrorCode.NOT_FOUND] * 19
    assert await counts(mongo, ann) == (1, 1)
    seen = await tweets.get(question.id)
    assert seen
    assert seen.reply_count == 0


async def test_whatever_replies_come_and_go_at_once_each_replier_counts_once_while_one_is_alive(
    mongo: Mongo, ann: int
) -> None:
    tweets, chance = Tweets(mongo), random.Random(7)
    question = await tweets.add(ann, "question", NOW_MS)
    alive: dict[int, int] = {}

    async def answer(replier: int, n: int) -> None:
        made = await tweets.add(replier, "answer", NOW_MS + n, answered=question)
        if chance.random() < 0.6:
            await tweets.remove(replier, made.id)
        else:
            alive[replier] = alive.get(replier, 0) + 1

    await asyncio.gather(*(answer(ann + replier, 10 * n) for replier in range(5) for n in range(1, 7)))
    doc = await mongo.tweets.find_one({"_id": question.id})
    assert doc
    others = {replier: n for replier, n in alive.items() if replier != ann}
    assert (doc["replies"], doc["engagement"]) == (sum(alive.values()), len(others))
    stated = {one["_id"]["a"]: one["n"] async for one in mongo.repliers.find({"_id.t": question.id})}
    assert stated == others
    assert 0 < len(others) < sum(others.values())


async def test_only_the_author_deletes_and_a_stranger_learns_no_more_than_they_see(mongo: Mongo, ann: int) -> None:
    tweets = Tweets(mongo)
    tweet = await tweets.add(ann, "mine", NOW_MS)
    assert await refused(ErrorCode.NOT_ALLOWED, tweets.remove(ann + 1, tweet.id)) == ("input", "tweetId")
    assert await refused(ErrorCode.NOT_FOUND, tweets.remove(ann, tweet.id + 1)) == ("input", "tweetId")
    assert await tweets.get(tweet.id) == tweet
    await tweets.remove(ann, tweet.id)
    assert await refused(ErrorCode.NOT_FOUND, tweets.remove(ann + 1, tweet.id)) == ("input", "tweetId")


async def test_a_tombstone_has_no_text_and_is_in_no_list(mongo: Mongo, ann: int) -> None:
    tweets = Tweets(mongo)
    tweet = await tweets.add(ann, "a secret", NOW_MS)
    await tweets.remove(ann, tweet.id)
    assert await tweets.get(tweet.id) is None
    assert await tweets.by_author(ann, 10, None) == []
    assert await Entries(tweets, Retweets(mongo)).newest([ann], 10) == []
    assert await tweets.author_of(tweet.id) == ann
    assert await tweets.author_of(7) is None
    assert "secret" not in str(await mongo.tweets.find_one({"_id": tweet.id}))


async def test_nobody_sees_a_counter_below_zero(mongo: Mongo, ann: int) -> None:
    tweets = Tweets(mongo)
    tweet = await tweets.add(ann, "hello", NOW_MS)
    await mongo.tweets.update_one({"_id": tweet.id}, {"$inc": {"likes": -1, "retweets": -1, "replies": -1}})
    assert await tweets.get(tweet.id) == tweet


# ---------------------------------------------------------------- lists


async def test_an_authors_tweets_page_newest_first_without_replies(mongo: Mongo, ann: int) -> None:
    tweets = Tweets(mongo)
    written = [await tweets.add(ann, f"number {number}", NOW_MS + number) for number in range(7)]
    await tweets.add(ann, "a reply", NOW_MS + 3, answered=written[2])
    await tweets.add(ann + 1, "of another", NOW_MS + 4)
    await tweets.remove(ann, written.pop(4).id)
    found: list[str] = []
    before: int | None = None
    while page := await tweets.by_author(ann, 2, before):
        assert len(page) <= 2
        found += [tweet.text for tweet in page]
        before = page[-1].id
    assert found == [tweet.text for tweet in reversed(written)]


def world(authors: int, count: int, seed: int) -> list[Doc]:
    """Tweets, replies and tombstones of many authors, many in one millisecond."""
    chance = random.Random(seed)
    docs: dict[int, Doc] = {}
    while len(docs) < count:
        author = chance.randrange(authors)
        tweet_id = ids.new(NOW_MS + chance.randrange(count // 4), author)
        docs[tweet_id] = new_doc(tweet_id, author, "x")
        if chance.random() < 0.2:
            docs[tweet_id] |= {"is_reply": True, "reply_to": 7, "reply_author": 8}
        if chance.random() < 0.2:
            del docs[tweet_id]["alive"], docs[tweet_id]["text"]
    return list(docs.values())


async def test_entry_ids_are_those_that_reading_everything_would_find(mongo: Mongo) -> None:
    docs = world(3 * AUTHORS_PER_QUERY, 3000, seed=11)
    await mongo.tweets.insert_many(docs)
    entries, chance = Entries(Tweets(mongo), Retweets(mongo)), random.Random(12)
    for people in (0, 1, 5, AUTHORS_PER_QUERY, AUTHORS_PER_QUERY + 1, 3 * AUTHORS_PER_QUERY):
        authors = chance.sample(range(3 * AUTHORS_PER_QUERY), people)
        wanted = set(authors)
        alive = sorted((doc["_id"] for doc in docs if doc["author"] in wanted and doc.get("alive")), reverse=True)
        pivots = [doc["_id"] for doc in chance.sample(docs, 2)]
        for before in (None, *pivots):
            for above in (0, min(pivots)):
                for first in (1, 33, 5000):
                    expected = [one for one in alive if above < one and (before is None or one < before)][:first]
                    assert await entries.newest(authors, first, before, above) == expected


async def test_walking_entry_ids_page_by_page_gives_each_once(mongo: Mongo) -> None:
    docs = world(AUTHORS_PER_QUERY + 50, 600, seed=13)
    await mongo.tweets.insert_many(docs)
    entries, authors = Entries(Tweets(mongo), Retweets(mongo)), list(range(AUTHORS_PER_QUERY + 50))
    walked: list[int] = []
    while page := await entries.newest(authors, 37, walked[-1] if walked else None):
        walked += page
    assert walked == sorted((doc["_id"] for doc in docs if doc.get("alive")), reverse=True)
