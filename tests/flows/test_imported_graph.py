"""An imported follow graph works like one that grew: its authors' tweets reach every timeline that is read."""

import asyncio
import random
from argparse import Namespace
from pathlib import Path

import app
from datastore import ids, importer
from datastore.records import User
from realtime import keys
from realtime.pipeline import open_rooms
from realtime.timelines import Bounds
from schema import globalid
from tests.perch import PATIENCE_SECONDS, Perch

FOLLOWERS = 600


async def imported(perch: Perch, folder: Path, prefix: str) -> User:
    """A power-law graph of ten authors; gives the most followed one."""
    rng = random.Random(prefix)
    follows = {(who, min(int(rng.paretovariate(0.5)) - 1, 9)) for who in range(FOLLOWERS) for _ in range(3)}
    rows = [f"{prefix}u{who},{prefix}a{author}\n" for who, author in sorted(follows)]
    path = folder / "follows.csv"
    path.write_text("follower,followee\n" + "".join(rows))

    async def touched(_: object) -> None:
        return None

    counts = await importer.run(perch.mongo, now_ms=ids.now_ms(), follows=path, touched=touched)
    assert (counts["follows"].added, counts["follows"].bad) == (len(rows), 0)
    async with app.services_of(perch.settings, app.Clients(perch.mongo, perch.redis, perch.redis)) as services:
        found = [await services.users.by_username(f"{prefix}a{number}") for number in range(10)]
    return max((user for user in found if user), key=lambda user: user.follower_count)


async def test_a_tweet_of_the_most_followed_author_is_in_every_read_timeline(perch: Perch, tmp_path: Path) -> None:
    author = await imported(perch, tmp_path, "g")
    assert author.follower_count > FOLLOWERS / 2
    async with app.services_of(perch.settings, app.Clients(perch.mongo, perch.redis, perch.redis)) as services:
        readers = [one async for batch in services.follows.walk_followers(author.id) for one in batch]
        assert len(readers) == author.follower_count
        for reader in readers:
            await services.timelines.page(reader, 1)
        tweet = await services.tweets.add(author.id, "to all of you", ids.now_ms())
        await perch.settle()
        for reader in readers:
            assert await perch.redis.lindex(keys.timeline(reader), 0) == str(tweet.id)


async def test_imported_authors_above_the_threshold_become_top_users(perch: Perch, tmp_path: Path) -> None:
    author = await imported(perch, tmp_path, "h")
    settings = perch.settings
    rooms = open_rooms(perch.mongo, perch.redis, settings.partitions, Bounds.of(settings), 8)
    assert author.id in await rooms.top_users.promote_all()
    tweet = await rooms.tweets.add(author.id, "pulled", ids.now_ms())
    await perch.settle()
    async for followers in rooms.follows.walk_followers(author.id):
        for reader in followers[:20]:
            page = await rooms.timelines.page(reader, 5)
            assert page.entry_ids[0] == tweet.id
            assert author.id in page.pulled


async def test_what_an_import_counts_shows_when_it_ends_whatever_was_cached(perch: Perch, tmp_path: Path) -> None:
    ann, bob = await perch.persons(2)
    path = tmp_path / "follows.csv"
    path.write_text(f"follower,followee\n{bob.username},{ann.username}\n")
    query = "query ($id: ID!) { node(id: $id) { ... on User { followerCount } } }"
    assert (await perch.ask(query, id=ann.id)).data["node"] == {"followerCount": 0}
    assert await perch.redis.exists(keys.user_copy(globalid.of_type(ann.id, "User")))
    await app.import_(perch.settings, Namespace(users=None, follows=path, tweets=None, on_error="stop"))
    # Who has no account may be shown what this process remembers for a moment.
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await perch.ask(query, id=ann.id)).data["node"] != {"followerCount": 1}:
            await asyncio.sleep(0.05)
