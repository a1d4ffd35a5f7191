"""Many readers asked about at once see what each would see on a page, however much the events tell of themselves."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from datastore import ids
from datastore.mongo import Mongo
from datastore.records import Hiding, HomeEdge, Tweet, TweetAdded
from realtime.reader import Said
from resolvers.audience import Audience
from resolvers.context import Context, Services
from resolvers.timelines import hydrate, shown_as
from schema import globalid
from tests.perch import Perch


async def people_of(perch: Perch, count: int) -> tuple[list[int], Services]:
    services: Any = perch.endpoint._services
    return [globalid.of_type(one.id, "User") for one in await perch.persons(count)], services


async def wild(services: Services, people: Sequence[int], chance: random.Random) -> list[tuple[int, Tweet, int | None]]:
    """Tweets, replies and retweets of people who follow, block and mute each other: (entry, tweet, retweeter)."""
    now_ms = ids.now_ms()
    pairs = [(one, other) for one in people for other in people if one != other]
    for one, other in pairs:
        if chance.random() < 0.6:
            await services.follows.add(one, other, now_ms)
        if chance.random() < 0.15:
            await services.blocks.add(one, chance.choice([Hiding.BLOCK, Hiding.MUTE]), other, now_ms)
    tweets = [await services.tweets.add(one, "a tweet", now_ms) for one in people]
    tweets += [await services.tweets.add(one, "a reply", now_ms, chance.choice(tweets)) for one in people]
    entries: list[tuple[int, Tweet, int | None]] = [(tweet.id, tweet, None) for tweet in tweets]
    for one in people:
        tweet = chance.choice(tweets)
        await services.retweets.add(one, tweet, now_ms)
        retweets = await services.retweets.of_user(one, 1, None)
        entries.append((retweets[0].id, tweet, one))
    # Some are gone when they are told.
    await services.tweets.remove(tweets[0].author_id, tweets[0].id)
    await services.retweets.remove(people[1], entries[-len(people) + 1][1].id)
    return entries


async def on_a_page(services: Services, viewer: int, entry: int) -> HomeEdge | None:
    context = Context(services, "127.0.0.1", "test", viewer)
    return shown_as(viewer, entry, await hydrate(context, viewer, [entry]), (0,))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("tells", ["all", "nothing", "some"])
async def test_everybody_is_shown_what_their_page_would_show(perch: Perch, seed: int, tells: str) -> None:
    chance = random.Random(seed)
    people, services = await people_of(perch, 5)
    asked: list[tuple[int, Said]] = []
    for entry, tweet, retweeter in await wild(services, people, chance):
        told = tells == "all" or (tells == "some" and chance.random() < 0.5)
        said = Said("+", entry, tweet.id, people=tweet.concerns(retweeter)) if told else Said("+", entry)
        asked += [(viewer, said) for viewer in people]
    chance.shuffle(asked)
    events, scene = await Audience(services).look(asked)
    found = [event.edge if isinstance(event, TweetAdded) else None for event in events]
    pages = await asyncio.gather(*(on_a_page(services, viewer, said.entry_id) for viewer, said in asked))
    assert found == [*pages]
    assert scene.shown == {edge.entry_id for edge in found if edge} != {said.entry_id for _, said in asked}


async def test_followers_of_one_author_are_told_of_a_tweet_with_one_question_and_share_the_event(
    perch: Perch, monkeypatch: pytest.MonkeyPatch
) -> None:
    (author, *readers), services = await people_of(perch, 5)
    for reader in readers:
        await services.follows.add(reader, author, ids.now_ms())
    tweet = await services.tweets.add(author, "a tweet", ids.now_ms())
    said = Said("+", tweet.id, tweet.id, people=tweet.concerns())
    questions: list[int] = []
    ask = Mongo.ask

    async def noted(self: Mongo, asked: Any) -> Any:
        questions.append(len(asked))
        return await ask(self, asked)

    async def quiet() -> None:
        """Until the author's profile is in Redis, and stays."""
        await perch.settle()
        await services.cache.users([author])
        questions.clear()

    monkeypatch.setattr(Mongo, "ask", noted)
    await quiet()
    events, _ = await Audience(services).look([(reader, said) for reader in (author, *readers)])
    assert len(questions) == 1
    assert all(events)
    assert len({id(event) for event in events[1:]}) == 1
    # One of them does not follow any more: the count tells, and then it is asked who.
    await services.follows.remove(readers[2], author)
    await quiet()
    events, _ = await Audience(services).look([(reader, said) for reader in (author, *readers)])
    assert [bool(event) for event in events] == [True, True, True, False, True]
    assert len(questions) == 2
