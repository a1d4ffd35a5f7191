"""Verdicts: every difference between what the model says and what is stored, shown on pages and held on screens, while
nobody acts. Repairs nothing."""

import asyncio
from collections.abc import Sequence
from typing import Any

from schema import globalid
from tests.faults.box import Box, eventually
from tests.faults.population import Population
from tests.faults.watchers import Watcher
from tests.perch import Person

# How long a screen may take to show what has followed.
SCREEN_SECONDS = 30.0
# The newest entries of a person that are compared in each round; in the last one all are.
JUDGED = 400
COUNTS = """query ($ids: [ID!]!) { nodes(ids: $ids) { ... on User { tweetCount followerCount followingCount }
  ... on Tweet { likeCount } } }"""


async def judged(population: Population, watchers: Sequence[Watcher], newest: int = JUDGED) -> list[str]:
    """One line for each difference, once everything that was written has followed."""
    await population.rest()
    await population.box.repair()
    found = await stored(population)
    for person in population.people:
        found += await shown(population, person, newest)
    for watcher in watchers:
        found += await held(population, watcher)
    return found


async def stored(population: Population) -> list[str]:
    """What was accepted and is not in MongoDB, or is there and was never accepted."""
    mongo, model = population.box.perch.mongo, population.model
    tweets = {doc["_id"] async for doc in mongo.tweets.find({"alive": True}, {"_id": 1})}
    follows = {(doc["_id"]["f"], doc["_id"]["a"]) async for doc in mongo.follows.find({}, {"_id": 1})}
    likes = {(doc["_id"]["u"], doc["_id"]["t"]) async for doc in mongo.likes.find({}, {"_id": 1})}
    followed = {(_user(follower), _user(author)) for follower, author in model.follows}
    liked = {(_user(who), tweet) for who, tweet in model.likes if tweet in model.tweets}
    found = []
    for what, there, expected in (
        ("tweets", tweets, set(model.tweets)),
        ("follows", follows, followed),
        # A like of a tweet that is gone may still be there, and nobody sees it.
        ("likes", {one for one in likes if one[1] in model.tweets}, liked),
    ):
        population.figures.lost += len(expected - there)
        population.figures.doubled += len(there - expected)
        if there != expected:
            found.append(f"{what} in MongoDB: lost {sorted(expected - there)}, not expected {sorted(there - expected)}")
    return found


async def shown(population: Population, person: Person, newest: int) -> list[str]:
    """How this person's home timeline differs: what is lost, what is too much, what is out of order, what they are said
    to like and do not."""
    edges = await pages(population.box, person, newest)
    seen = [globalid.of_type(edge["node"]["id"], "Tweet") for edge in edges]
    expected = population.model.home(person)[:newest]
    lost, wrong = set(expected) - set(seen), set(seen) - set(expected)
    doubled = len(seen) - len(set(seen)) + len(wrong)
    population.figures.lost += len(lost)
    population.figures.doubled += doubled
    found = []
    if lost or doubled:
        found.append(f"{person.username}: lost {sorted(lost)}, not expected {sorted(wrong)}, {doubled} too many")
    elif seen != expected:
        found.append(f"{person.username}: out of order: {seen}")
    liked = {one for one, edge in zip(seen, edges, strict=True) if edge["node"]["viewerHasLiked"]}
    if liked != {tweet for who, tweet in population.model.likes if who == person.id} & set(seen):
        found.append(f"{person.username}: is said to like {sorted(liked)}")
    return found


async def pages(box: Box, person: Person, newest: int) -> list[dict[str, Any]]:
    """The newest entries of a person's home timeline, read page by page from one server and the other."""
    seen: list[dict[str, Any]] = []
    after = None
    while len(seen) < newest:
        page = await box.at(person, len(seen) // 100 % 2).home(100, after)
        seen += page["edges"]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    return seen[:newest]


async def held(population: Population, watcher: Watcher) -> list[str]:
    """How this reader's screen differs, once it had time to follow; and what came twice."""

    async def agrees() -> bool:
        return not watcher.differs()

    found = []
    try:
        await eventually(agrees, SCREEN_SECONDS)
    except TimeoutError:
        found.append(f"the screen of {watcher.reader.username} differs in {sorted(watcher.differs())}")
    found += [f"{watcher.reader.username} was sent {one} twice" for one in watcher.repeated]
    population.figures.doubled += len(watcher.repeated)
    population.figures.unaided += watcher.unaided
    watcher.begin_round()
    return found


async def counted(population: Population) -> list[str]:
    """How the counters differ, once the reconciler has passed: a process that died behind an edge left them off."""
    await population.box.command("reconcile")
    model, found = population.model, []
    for person in population.people:
        expected = {
            "tweetCount": sum(author == person.id for author, _ in model.tweets.values()),
            "followerCount": sum(author == person.id for _, author in model.follows),
            "followingCount": sum(follower == person.id for follower, _ in model.follows),
        }
        (node,) = (await person.do(COUNTS, ids=[person.id]))["nodes"]
        found += [f"{person.username}: {node}, not {expected}"] if node != expected else []
    tweets = sorted(model.tweets)
    for at in range(0, len(tweets), 100):
        part = tweets[at : at + 100]
        nodes = (await population.people[0].do(COUNTS, ids=[globalid.encode("Tweet", one) for one in part]))["nodes"]
        for one, node in zip(part, nodes, strict=True):
            likes = sum(tweet == one for _, tweet in model.likes)
            found += [f"tweet {one}: {node}, not {likes} likes"] if node != {"likeCount": likes} else []
        await asyncio.sleep(0)
    return found


def _user(global_id: str) -> int:
    return globalid.of_type(global_id, "User")
