"""The demo world: a small living timeline, the same for the same seed and moment, planted once. Raises no events."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from random import Random

from datastore import bulk, demo_texts, demo_topics, ids, popularity, rules, tweets, users
from datastore.mongo import Doc, Mongo, Session
from datastore.records import Tweet
from datastore.repliers import pair_of

PEOPLE = 200
TWEETS = 2000
DEMO_AUTHOR, DEMO_USER, DEMO_EMAIL = "marlow", "demo", "demo@perch.example"
_AUTHOR, _DEMO = 0, 1  # their places among the people
DEMO_FOLLOWEES, DEMO_FOLLOWED_BACK = 25, 9

_DAY_MS = 24 * 3600 * 1000
_WEEK_MS = 7 * _DAY_MS
_MARKER = "demo_world"


@dataclass(frozen=True, slots=True)
class World:
    """The documents, counters included: every counter is exactly the number of its edges."""

    users: list[Doc]
    follows: list[Doc]
    tweets: list[Doc]
    likes: list[Doc]
    repliers: list[Doc] = field(default_factory=list)


async def plant(mongo: Mongo, password_hash: str, now_ms: int, seed: int = 2006) -> bool:
    """Writes the world, dated back from `now_ms`; False if that was done before, by anybody.

    One transaction with its marker: a crash leaves nothing of it, and of two planters one finds it there. People whose
    name or email somebody has already are left out, with all they would have done.
    """

    async def work(session: Session) -> bool:
        if await is_planted(mongo, session):
            return False
        await mongo.system.insert_one({"_id": _MARKER, "start_ms": now_ms, "seed": seed}, session=session)
        world = generate(password_hash, now_ms, seed)
        planted = _without(world, await _taken(mongo, world, session))
        await bulk.insert_people(mongo, planted.users, session)
        await bulk.insert(mongo.follows, planted.follows, session)
        await bulk.insert(mongo.tweets, planted.tweets, session)
        await bulk.insert(mongo.likes, planted.likes, session)
        await bulk.insert(mongo.repliers, planted.repliers, session)
        return True

    return await bulk.atomically(mongo, work)


async def is_planted(mongo: Mongo, session: Session = None) -> bool:
    """Whether this database holds the world."""
    return await mongo.system.find_one({"_id": _MARKER}, {"_id": 1}, session=session) is not None


def next_demo_tweet(n: int) -> str:
    """What the demo author posts live as their n-th tweet; no two numbers give the same text.

    Their count of tweets is a good n: it goes on from where the planted entries end.
    """
    return demo_texts.log_entry(n)


async def _taken(mongo: Mongo, world: World, session: Session) -> set[int]:
    """Ids of people of the world whose name or email another account has."""
    names = {doc["name_key"]: doc["_id"] for doc in world.users}
    query = {"$or": [{"name_key": {"$in": list(names)}}, {"email_key": rules.email_key(DEMO_EMAIL)}]}
    found = [doc async for doc in mongo.users.find(query, {"name_key": 1, "email_key": 1}, session=session)]
    taken = {names[doc["name_key"]] for doc in found if doc["name_key"] in names}
    return taken | {names[DEMO_USER] for doc in found if doc.get("email_key") == rules.email_key(DEMO_EMAIL)}


def _without(world: World, out: set[int]) -> World:
    """The world without these people, what they wrote, what answers it, and every edge to any of it."""
    gone = set(out)
    for tweet in world.tweets:  # oldest first, so that what an answer answers is decided before it
        if tweet["author"] in out or tweet.get("reply_to") in gone:
            gone.add(tweet["_id"])
    return _counted(
        World(
            [doc for doc in world.users if doc["_id"] not in gone],
            [doc for doc in world.follows if not gone & set(doc["_id"].values())],
            [_without_mentions(doc, out) for doc in world.tweets if doc["_id"] not in gone],
            [doc for doc in world.likes if not gone & set(doc["_id"].values())],
        )
    )


def _without_mentions(tweet: Doc, out: Collection[int]) -> Doc:
    kept = [user_id for user_id in tweet.get("mentions", ()) if user_id not in out]
    rest = {name: value for name, value in tweet.items() if name != "mentions"}
    return rest | {"mentions": kept} if kept else rest


def _counted(world: World) -> World:
    followers = Counter(doc["_id"]["a"] for doc in world.follows)
    following = Counter(doc["_id"]["f"] for doc in world.follows)
    written = Counter(doc["author"] for doc in world.tweets)
    likes = Counter(doc["_id"]["t"] for doc in world.likes)
    replies = Counter(doc["reply_to"] for doc in world.tweets if doc["is_reply"])
    engagement = _engagement(world)
    return World(
        [
            doc | {"followers": followers[key], "following": following[key], "tweets": written[key]}
            for doc in world.users
            for key in [doc["_id"]]
        ],
        world.follows,
        [
            doc
            | {"likes": likes[key], "replies": replies[key], "engagement": engagement[key]}
            | {"author_followers": followers[doc["author"]]}
            | popularity.places(key, engagement[key], followers[doc["author"]])
            for doc in world.tweets
            for key in [doc["_id"]]
        ],
        world.likes,
        [{"_id": pair_of(*pair), "n": count} for pair, count in bulk.repliers_of(world.tweets).items()],
    )


def _engagement(world: World) -> Counter[int]:
    """What datastore.popularity calls so, by tweet."""
    authors = {doc["_id"]: doc["author"] for doc in world.tweets}
    likes = Counter(doc["_id"]["t"] for doc in world.likes if authors[doc["_id"]["t"]] != doc["_id"]["u"])
    return likes + Counter(tweet for tweet, _ in bulk.repliers_of(world.tweets))


def generate(password_hash: str, start_ms: int, seed: int) -> World:
    """The whole world as documents; a pure function of its arguments."""
    random = Random(seed)
    people = _people(random, start_ms)
    follows = _follows(random)
    followers: list[list[int]] = [[] for _ in people]
    for follower, author in sorted(follows):
        followers[author].append(follower)
    said = _tweets(random, people, followers, start_ms)
    user_docs = [_user_doc(person) for person in people]
    mentioned = {doc["name_key"]: doc["_id"] for doc in user_docs}
    user_docs[_DEMO] |= {"email": DEMO_EMAIL, "email_key": rules.email_key(DEMO_EMAIL), "password": password_hash}
    return _counted(
        World(
            user_docs,
            [_follow_doc(random, people[follower], people[author], start_ms) for follower, author in sorted(follows)],
            [_tweet_doc(tweet, mentioned) for tweet in said],
            _likes(random, said, people, followers, start_ms),
        )
    )


@dataclass(frozen=True, slots=True)
class _Person:
    id: int
    username: str
    display_name: str
    bio: str
    topics: list[str]
    joined_ms: int


@dataclass(frozen=True, slots=True)
class _Said:
    """A tweet; `author` is a place among the people."""

    id: int
    author: int
    author_id: int
    text: str
    at_ms: int
    answered: "_Said | None"


def _people(random: Random, start_ms: int) -> list[_Person]:
    names = {DEMO_AUTHOR: "Marlow of the Harbour", DEMO_USER: "Demo"}
    while len(names) < PEOPLE:
        username, display_name = demo_texts.name(random)
        if username.lower() not in {taken.lower() for taken in names}:
            names[username] = display_name
    people = []
    for place, (username, display_name) in enumerate(names.items()):
        topics = random.sample(sorted(demo_topics.TOPICS), 2)
        # The place in the last digits keeps the moments, and so the ids, apart.
        joined_ms = start_ms // PEOPLE * PEOPLE + place - random.randrange(60, 700) * _DAY_MS
        user_id = ids.new(joined_ms, author_id=place, tie=0)
        people.append(_Person(user_id, username, display_name, demo_texts.bio(random, topics), topics, joined_ms))
    return people


def _follows(random: Random) -> set[tuple[int, int]]:
    """(follower, author) pairs of places. How many follow somebody, and whom somebody follows, are power laws."""
    others = range(2, PEOPLE)
    # Zipf's law: the second most followed has about half the followers of the first.
    fame = [1 / (place - 1) ** 0.8 for place in others]
    follows = {(place, _AUTHOR) for place in others if random.random() < 0.95}
    for place in others:
        for author in random.choices(others, fame, k=min(60, int(5 * random.paretovariate(1.1)))):
            follows.add((place, author))
            if random.random() < 0.2:
                follows.add((author, place))
    followees = random.sample(others, DEMO_FOLLOWEES - 1)
    follows |= {(_AUTHOR, place) for place in random.sample(others, 30)}
    follows |= {(_DEMO, place) for place in (_AUTHOR, *followees)}
    follows |= {(place, _DEMO) for place in followees[:DEMO_FOLLOWED_BACK]}
    return {(follower, author) for follower, author in follows if follower != author}


def _tweets(random: Random, people: list[_Person], followers: list[list[int]], start_ms: int) -> list[_Said]:
    """Oldest first: more in the recent hours, more by people who are followed more; one in four is an answer."""
    times: set[int] = set()
    while len(times) < TWEETS:
        times.add(start_ms - 1 - int(_WEEK_MS * random.random() ** 1.6))
    talk = [len(crowd) ** 0.7 + 1 for crowd in followers]
    said: list[_Said] = []
    texts: set[str] = set()
    for at_ms in sorted(times):
        answered = random.choice(said[-80:]) if said and random.random() < 0.25 else None
        # Answers come from followers; a tweet of somebody without any stays unanswered.
        crowd = followers[answered.author] if answered else []
        author = random.choice(crowd) if crowd else random.choices(range(PEOPLE), talk)[0]
        text = _new_text(random, people, author, answered if crowd else None, texts)
        tweet_id = ids.new(at_ms, people[author].id, tie=0)
        said.append(_Said(tweet_id, author, people[author].id, text, at_ms, answered if crowd else None))
    return said


def _new_text(random: Random, people: list[_Person], author: int, answered: _Said | None, texts: set[str]) -> str:
    """One that nobody said yet; it joins `texts`."""
    while True:
        if answered:
            text = demo_texts.answer(random, people[answered.author].username)
        elif author == _AUTHOR:
            text = demo_texts.log_entry(1 + sum(map(demo_texts.is_log_entry, texts)))
        else:
            text = demo_topics.TOPICS[random.choice(people[author].topics)].tweet(random)
        if text not in texts and len(text) <= rules.TWEET_LIMIT:
            texts.add(text)
            return text


def _likes(
    random: Random, said: list[_Said], people: list[_Person], followers: list[list[int]], start_ms: int
) -> list[Doc]:
    """Likes by followers; few tweets get most of them."""
    likes = []
    for tweet in said:
        crowd = followers[tweet.author]
        many = min(len(crowd), int((0.5 + len(crowd) / 40) * random.paretovariate(1.2)))
        for place in random.sample(crowd, many):
            at_ms = min(start_ms, tweet.at_ms + int(random.expovariate(1 / (3 * 3600 * 1000))))
            likes.append({"_id": {"t": tweet.id, "u": people[place].id}, "at": at_ms, "imported": True})
    return likes


def _user_doc(person: _Person) -> Doc:
    doc = users.new_doc(person.username, person.display_name, person.joined_ms)
    return doc | {"_id": person.id, "bio": person.bio, "imported": True}


def _follow_doc(random: Random, follower: _Person, author: _Person, start_ms: int) -> Doc:
    at_ms = random.randrange(max(follower.joined_ms, author.joined_ms), start_ms)
    return {"_id": {"a": author.id, "f": follower.id}, "at": at_ms, "imported": True}


def _tweet_doc(said: _Said, mentioned: Mapping[str, int]) -> Doc:
    at = said.answered
    answered = Tweet(at.id, at.author_id, "", None, None, 0, 0, 0) if at else None
    return tweets.new_doc(said.id, said.author_id, said.text, answered, mentioned) | {"imported": True}


async def post_for_ever(mongo: Mongo, every_seconds: float, say: Callable[[str], None]) -> None:
    """The demo author's posts, one each `every_seconds`, until cancelled. What fails is told and tried again."""
    people, written = users.Users(mongo), tweets.Tweets(mongo)
    while True:
        await asyncio.sleep(every_seconds)
        try:
            author = await people.by_username(DEMO_AUTHOR)
            if author:
                text = next_demo_tweet(author.tweet_count)
                await written.add(author.id, text, ids.now_ms(), author_followers=author.follower_count)
        except Exception as error:  # a missed demo tweet must not stop `make run`
            say(f"the demo author could not post ({type(error).__name__}); trying again")
