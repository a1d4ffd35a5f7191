"""Search against a brute force over generated texts, page by page; and what its queries read."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datastore import demo_world, ids, search
from datastore.errors import RequestError
from datastore.mongo import Doc, Mongo
from datastore.records import Tweet
from datastore.search import Search
from datastore.tweets import SAID, Tweets, _tweet, new_doc
from datastore.users import Users, findable
from datastore.users import new_doc as new_user
from tests.datastore.importing import load, write
from tests.datastore.profiling import profiled

NOW_MS = 1_780_000_000_000
WORDS = ["every", "even", "odd", "one", "two", "three", "rare"]
PEOPLE = range(1, 21)
SILENT = 99


def texts(count: int) -> Iterator[tuple[int, int, set[str]]]:
    """(id, author, words), oldest first: "every" is in all of them, "even" and "odd" never meet, "rare" is in a few."""
    chance = random.Random(5)
    for number in range(count):
        author = chance.choice(PEOPLE)
        words = {"every", "odd" if number % 2 else "even"} | set(chance.sample(WORDS[3:6], chance.randrange(3)))
        yield ids.new(NOW_MS + number, author, tie=0), author, words | ({"rare"} if number % 50 == 3 else set())


@pytest.fixture
async def world(mongo: Mongo) -> list[tuple[int, int, set[str]]]:
    """400 tweets of 20 people, whose counters are right."""
    made = list(texts(400))
    await mongo.tweets.insert_many([new_doc(tweet_id, author, " ".join(words)) for tweet_id, author, words in made])
    wrote = [author for _, author, _ in made]
    people = [new_user(f"p{person}", f"P {person}", NOW_MS) for person in (*PEOPLE, SILENT)]
    await mongo.users.insert_many(
        [doc | {"_id": int(doc["username"][1:]), "tweets": wrote.count(int(doc["username"][1:]))} for doc in people]
    )
    return made


async def test_first_pages_of_one_moment_are_one_question(mongo: Mongo, world: list[tuple[int, int, set[str]]]) -> None:
    asked = ["even", "odd", "rare", "every", "odd"]
    alone = [(await Search(mongo).tweets([term], None, 5, None)).tweet_ids for term in asked]
    async with profiled(mongo) as seen:
        found = await asyncio.gather(*(Search(mongo).tweets([term], None, 5, None) for term in asked))
    assert [one.tweet_ids for one in found] == alone
    assert seen == ["aggregate"]
    for term, tweet_ids in zip(asked, alone, strict=True):
        assert tweet_ids == [tweet_id for tweet_id, _, words in reversed(world) if term in words][:5]


async def walk(found: Search, terms: list[str], authors: list[int] | None, first: int) -> tuple[list[int], int]:
    """Every id, page by page, and how many pages that took; each page starts where the last one said."""
    tweet_ids: list[int] = []
    before, pages = None, 0
    while True:
        page = await found.tweets(terms, authors, first, before)
        pages += 1
        assert len(page.tweet_ids) <= first
        tweet_ids += page.tweet_ids
        if page.resume is None:
            return tweet_ids, pages
        assert before is None or page.resume < before, "each page gets on"
        before = page.resume


QUERIES = [["every"], ["rare"], ["every", "rare"], ["even", "odd"], ["one", "two"], ["every", "one", "two", "three"],
           ["absent"], ["every", "absent"]]  # fmt: skip
AUTHORS: list[list[int] | None] = [None, [1], [1, 2, 3], [*PEOPLE], [SILENT], [7, SILENT, 123_456], []]


@pytest.mark.parametrize(("scan", "sizes"), [(10, (7,)), (10_000, (1, 7, 100))])
async def test_pages_lose_and_repeat_nothing(
    mongo: Mongo,
    world: list[tuple[int, int, set[str]]],
    monkeypatch: pytest.MonkeyPatch,
    scan: int,
    sizes: tuple[int, ...],
) -> None:
    monkeypatch.setattr(search, "SCAN_LIMIT", scan)
    monkeypatch.setattr(search, "PROBE_LIMIT", max(scan // 4, 1))
    monkeypatch.setattr(search, "AUTHORS_PER_QUERY", 4)
    for terms in QUERIES:
        for authors in AUTHORS:
            expected = [
                tweet_id
                for tweet_id, author, words in reversed(world)
                if words >= set(terms) and (authors is None or author in authors)
            ]
            for first in sizes:
                found, pages = await walk(Search(mongo), terms, authors, first)
                assert found == expected, (terms, authors, first)
                assert pages <= len(expected) / first + 400 / scan + 2


async def test_authors_alone_are_searched_too(mongo: Mongo, world: list[tuple[int, int, set[str]]]) -> None:
    for authors in ([1], [2, 3, SILENT], [SILENT], []):
        expected = [tweet_id for tweet_id, author, _ in reversed(world) if author in authors]
        assert (await walk(Search(mongo), [], authors, 7))[0] == expected


async def test_too_many_authors_to_ask_each_are_met_by_scanning(
    mongo: Mongo, world: list[tuple[int, int, set[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "AUTHORS_ASKED", 2)
    monkeypatch.setattr(search, "SCAN_LIMIT", 10)
    monkeypatch.setattr(search, "PROBE_LIMIT", 5)
    found, _ = await walk(Search(mongo), ["every"], [1, 2, 3], 7)
    assert found == [tweet_id for tweet_id, author, _ in reversed(world) if author <= 3]


class Busy(Search):
    """Somebody posts three tweets after each look at how far a scan will reach."""

    async def _window(self, term: str, bounds: Doc, limit: int) -> search._Window:
        window = await super()._window(term, bounds, limit)
        if limit == search.SCAN_LIMIT:
            later = NOW_MS + 10_000 + await self._tweets.count_documents({})
            docs = [new_doc(ids.new(later + number, 1, tie=0), 1, "one two three") for number in range(3)]
            await self._tweets.insert_many(docs)
        return window


async def test_tweets_that_come_meanwhile_push_nothing_out_of_a_page(
    mongo: Mongo, world: list[tuple[int, int, set[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SCAN_LIMIT", 20)
    monkeypatch.setattr(search, "PROBE_LIMIT", 5)
    expected = [tweet_id for tweet_id, _, words in reversed(world) if words >= {"even", "two"}]
    assert (await walk(Busy(mongo), ["even", "two"], None, 15))[0] == expected


async def test_a_tweet_is_found_at_once_and_a_deleted_one_not_and_nothing_is_left_of_it(mongo: Mongo) -> None:
    ann = new_user("ann", "Ann", NOW_MS)
    await mongo.users.insert_one(ann)
    tweets, found = Tweets(mongo), Search(mongo)
    tweet = await tweets.add(ann["_id"], "secret #Tag @ann", NOW_MS)
    for term in ("secret", "#tag", "tag", "@ann"):
        assert (await found.tweets([term], None, 15, None)).tweet_ids == [tweet.id]
    await tweets.remove(ann["_id"], tweet.id)
    for term in ("secret", "#tag", "tag", "@ann"):
        assert (await found.tweets([term], None, 15, None)).tweet_ids == []
    tombstone = await mongo.tweets.find_one({"_id": tweet.id})
    assert tombstone
    assert not set(tombstone) & set(SAID)
    assert not {"secret", "#tag", "tag", "Tag", "@ann"} & set(map(str, tombstone.values()))
    assert "ecret" not in str(tombstone)


# ---------------------------------------------------------------- what is written


async def test_a_tweet_keeps_its_tags_and_whom_it_names(mongo: Mongo) -> None:
    people = [new_user(name, name, NOW_MS + number) for number, name in enumerate(("Ann", "Bob"))]
    await mongo.users.insert_many(people)
    ann, bob = (doc["_id"] for doc in people)
    tweet = await Tweets(mongo).add(ann, "@BOB @nobody @ann @bob #Käse #KÄSE #b", NOW_MS)
    assert (tweet.hashtags, tweet.mention_ids) == (("Käse", "b"), (bob, ann))
    assert await Tweets(mongo).get(tweet.id) == tweet
    doc = await mongo.tweets.find_one({"_id": tweet.id})
    assert doc
    assert (doc["tags"], doc["mentions"]) == (["käse", "b"], [bob, ann])
    assert {"#kase", "#b", "@bob", "@nobody", "kase"} <= set(doc["terms"])


async def test_a_text_that_names_nobody_costs_no_query_and_one_that_names_many_costs_one(mongo: Mongo) -> None:
    tweets = Tweets(mongo)
    counting: Any = Counting(tweets._users)
    tweets._users = counting
    await tweets.add(1, "a@b.example #tag", NOW_MS)
    assert counting.finds == 0
    await tweets.add(1, "@a @b @c @d", NOW_MS + 1)
    assert counting.finds == 1


class Counting:
    """A collection that counts its reads."""

    def __init__(self, collection: Any) -> None:
        self._collection, self.finds = collection, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collection, name)

    def find(self, *args: Any, **kwargs: Any) -> Any:
        self.finds += 1
        return self._collection.find(*args, **kwargs)


def test_a_text_without_words_has_no_terms() -> None:
    assert not {"terms", "tags", "hashtags", "mentions"} & set(new_doc(1, 2, "!?"))


async def test_imported_tweets_are_found_and_name_those_who_exist(mongo: Mongo, tmp_path: Path) -> None:
    rows = [("1", "ana", "hello @BEN and @nobody #Tag", "2012-05-01"), ("2", "ben", "hello", "2012-05-02")]
    await load(mongo, tweets=write(tmp_path / "tweets.csv", "id,author,text,created_at", rows))
    ben = await Users(mongo).by_username("ben")
    assert ben
    found = await Search(mongo).tweets(["hello", "#tag"], None, 15, None)
    tweet = await Tweets(mongo).get(found.tweet_ids[0])
    assert tweet
    assert (len(found.tweet_ids), tweet.mention_ids, tweet.hashtags) == (1, (ben.id,), ("Tag",))
    assert await Users(mongo).by_username("nobody") is None


async def test_the_demo_world_can_be_searched(mongo: Mongo) -> None:
    taken = next(doc for doc in demo_world.generate("", NOW_MS, 2006).users[2:])
    await mongo.users.insert_one(new_user(taken["username"], "Somebody else", NOW_MS))
    await demo_world.plant(mongo, "a hash", NOW_MS)
    docs = [doc async for doc in mongo.tweets.find()]
    assert all(doc["terms"] for doc in docs)
    people = {doc["_id"] async for doc in mongo.users.find()}
    named = [user_id for doc in docs for user_id in doc.get("mentions", ())]
    assert len(named) > 100
    assert set(named) <= people
    assert [doc["username"] for doc in demo_world.generate("", NOW_MS, 2006).users if doc["_id"] not in people] == [
        taken["username"]
    ]


# ---------------------------------------------------------------- people


def expected_people(people: dict[str, str], prefix: str) -> list[str]:
    """By brute force: whose username begins so, then whose display name does from a word on; each by username."""
    first = sorted(name for name in people if name.startswith(prefix))
    words = {name: shown.lower().split() for name, shown in people.items()}
    second = {
        name
        for name, parts in words.items()
        if any(" ".join(parts[at:]).startswith(prefix) for at in range(len(parts))) and name not in first
    }
    return first + sorted(second)


short = st.text("abc", min_size=1, max_size=4)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    people=st.dictionaries(short, st.lists(short, min_size=1, max_size=3).map(" ".join), min_size=1, max_size=40),
    prefix=short | st.just("a b"),
    first=st.integers(1, 5),
)
async def test_people_are_found_by_both_names_page_by_page(
    mongo: Mongo, people: dict[str, str], prefix: str, first: int
) -> None:
    await mongo.users.delete_many({})
    await mongo.users.insert_many(
        [new_user(name, shown.title(), NOW_MS + number) for number, (name, shown) in enumerate(people.items())]
    )
    found: list[int] = []
    after = None
    while page := await Search(mongo).users(prefix, first, after):
        assert len(page) <= first
        found += [edge.node for edge in page]
        after = page[-1].key
    names = [user.username for user in await Users(mongo).get_many(found) if user]
    assert names == expected_people(people, prefix)


async def test_long_names_page_too(mongo: Mongo) -> None:
    names = [f"long_name_{number:05d}" for number in range(30)]
    await mongo.users.insert_many([new_user(name, "Zoë", NOW_MS + number) for number, name in enumerate(names)])
    first = await Search(mongo).users("zoe", 20, None)
    rest = await Search(mongo).users("zoe", 20, first[-1].key)
    assert len({edge.node for edge in first + rest}) == 30


@pytest.mark.parametrize("key", [(3, 0, 0, 0), (0, 1 << 40, 0, 0), (0, 0, 0, (1 << 53) - 1)])
async def test_a_position_that_nobody_made_is_refused(mongo: Mongo, key: tuple[int, ...]) -> None:
    with pytest.raises(RequestError) as caught:
        await Search(mongo).users("a", 5, key)
    assert caught.value.code == "BAD_USER_INPUT"


async def test_a_position_with_bytes_that_are_no_name_is_a_position(mongo: Mongo) -> None:
    assert await Search(mongo).users("a", 5, (0, (1 << 40) - 1, 0, 0)) == []


def test_who_is_called_as_they_are_named_has_no_beginnings() -> None:
    assert findable("ann", "Ann") == {}
    assert findable("ann", "Ann Lee")["prefixes"]


# ---------------------------------------------------------------- what the queries read


@pytest.fixture
async def profile(mongo: Mongo, world: list[tuple[int, int, set[str]]], monkeypatch: pytest.MonkeyPatch) -> list[Doc]:
    """What MongoDB's profiler wrote down about every query of this room."""
    monkeypatch.setattr(search, "SCAN_LIMIT", 50)
    monkeypatch.setattr(search, "PROBE_LIMIT", 10)
    await mongo.users.insert_many([new_user(f"q{number}", f"Ann {number}", NOW_MS + number) for number in range(200)])
    await mongo.db.command("profile", 2)
    found = Search(mongo)
    for before in (None, world[300][0]):
        for terms in [*QUERIES, [*WORDS]]:
            for authors in AUTHORS:
                await found.tweets(terms, authors, 15, before)
        await found.tweets([], [1, 2], 15, before)
    await found.authors(["P1", "p2", "nobody"])
    for prefix in ("q", "ann", "ann 1", "zzz"):
        page = await found.users(prefix, 15, None)
        await found.users(prefix, 15, page[-1].key if page else None)
    await mongo.db.command("profile", 0)
    ours = {"ns": {"$in": [f"{mongo.db.name}.{name}" for name in ("tweets", "users")]}}
    return [doc async for doc in mongo.db["system.profile"].find(ours)]


async def test_every_query_is_answered_by_an_index_in_its_order_and_reads_no_more_than_its_bound(
    profile: list[Doc],
) -> None:
    assert len(profile) > 150
    for entry in profile:
        assert "IXSCAN" in entry["planSummary"] or entry["planSummary"] == "IDHACK", entry
        assert "COLLSCAN" not in entry["planSummary"], entry
        assert not entry.get("hasSortStage"), entry
        # A merge looks once into each range; the scan of a term stops at its bound.
        assert entry["keysExamined"] <= 2 * 50 + 20, entry
        assert entry["docsExamined"] <= 50 + 20, entry


async def test_terms_are_counted_and_single_terms_and_beginnings_answered_in_the_index_alone(
    profile: list[Doc],
) -> None:
    counted = [e for e in profile if "$group" in str(e["command"].get("pipeline"))]
    single = [e for e in profile if set(e["command"].get("filter", {})) in ({"terms"}, {"terms", "_id"})]
    assert len(counted) > 100
    assert len(single) >= 6
    assert [e for e in counted + single if e["docsExamined"]] == []


async def test_a_scan_is_led_by_the_rarest_term(mongo: Mongo, world: list[tuple[int, int, set[str]]]) -> None:
    await mongo.db.command("profile", 2)
    await Search(mongo).tweets(["every", "rare", "even"], None, 100, None)
    await mongo.db.command("profile", 0)
    (scan,) = [
        e
        async for e in mongo.db["system.profile"].find(
            {"op": "command", "command.pipeline.$project": {"$exists": True}}
        )
    ]
    assert scan["keysExamined"] <= 10
    assert scan["docsExamined"] <= 10


def test_records_of_documents_from_before_search_have_no_entities() -> None:
    old: Doc = {"_id": 1, "author": 2, "text": "#old", "likes": 0, "retweets": 0, "replies": 0}
    assert _tweet(old) == Tweet(1, 2, "#old", None, None, 0, 0, 0)
