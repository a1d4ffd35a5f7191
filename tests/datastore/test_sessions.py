"""Sessions: a refresh token is good for one use, and a replay ends the whole family."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from datastore.mongo import Mongo
from datastore.records import Session
from datastore.sessions import SPENT_KEPT, Sessions

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
LIFETIME = timedelta(days=30)


@pytest.fixture
def sessions(mongo: Mongo) -> Sessions:
    return Sessions(mongo, LIFETIME)


async def test_a_session_is_there_until_it_ends(sessions: Sessions) -> None:
    session = await sessions.add(7, b"first", "a browser", NOW_MS)
    assert session == Session(session.id, 7, NOW, "a browser", NOW + LIFETIME)
    assert session.created_at == NOW
    assert await sessions.get(session.id, NOW) == session
    await sessions.end(session.id)
    await sessions.end(session.id)
    assert await sessions.get(session.id, NOW) is None
    assert await sessions.rotate(session.id, b"first", b"second", NOW) is None


async def test_a_refresh_token_is_good_for_one_use(sessions: Sessions) -> None:
    session = await sessions.add(7, b"0", None, NOW_MS)
    for number in range(5):
        later = NOW + timedelta(days=number)
        rotated = await sessions.rotate(session.id, b"%d" % number, b"%d" % (number + 1), later)
        assert rotated == Session(session.id, 7, later, None, later + LIFETIME)
    assert await sessions.get(session.id, NOW) == rotated


async def test_of_20_refreshes_with_one_token_one_wins_and_the_family_ends(mongo: Mongo, sessions: Sessions) -> None:
    session = await sessions.add(7, b"first", None, NOW_MS)
    other = await sessions.add(7, b"other", None, NOW_MS)
    outcomes = await asyncio.gather(
        *(sessions.rotate(session.id, b"first", b"fresh %d" % number, NOW) for number in range(20))
    )
    assert sum(outcome is not None for outcome in outcomes) == 1
    assert await sessions.get(session.id, NOW) is None
    for number in range(20):
        assert await sessions.rotate(session.id, b"fresh %d" % number, b"next", NOW) is None
    assert await sessions.get(other.id, NOW) == other


async def test_a_replayed_token_ends_its_family_and_no_other(sessions: Sessions) -> None:
    session, other = await sessions.add(7, b"1", None, NOW_MS), await sessions.add(7, b"1", None, NOW_MS)
    for spent, fresh in ((b"1", b"2"), (b"2", b"3")):
        assert await sessions.rotate(session.id, spent, fresh, NOW)
    assert await sessions.rotate(session.id, b"1", b"4", NOW) is None
    assert await sessions.get(session.id, NOW) is None
    assert await sessions.rotate(session.id, b"3", b"4", NOW) is None
    assert await sessions.get(other.id, NOW) == other


async def test_an_unknown_token_ends_nothing(sessions: Sessions) -> None:
    session = await sessions.add(7, b"first", None, NOW_MS)
    assert await sessions.rotate(session.id, b"guessed", b"second", NOW) is None
    assert await sessions.rotate(session.id + 1, b"first", b"second", NOW) is None
    assert await sessions.get(session.id, NOW) == session
    assert await sessions.rotate(session.id, b"first", b"second", NOW)


async def test_the_spent_tokens_that_are_remembered_are_bounded(mongo: Mongo, sessions: Sessions) -> None:
    session = await sessions.add(7, b"0", None, NOW_MS)
    for number in range(SPENT_KEPT + 2):
        assert await sessions.rotate(session.id, b"%d" % number, b"%d" % (number + 1), NOW)
    doc = await mongo.sessions.find_one({"_id": session.id})
    assert doc
    assert len(doc["spent"]) == SPENT_KEPT
    assert await sessions.rotate(session.id, b"1", b"x", NOW) is None
    assert await sessions.get(session.id, NOW) is not None
    assert await sessions.rotate(session.id, b"2", b"x", NOW) is None
    assert await sessions.get(session.id, NOW) is None


async def test_a_session_that_nobody_uses_expires_and_each_refresh_prolongs_it(sessions: Sessions) -> None:
    session = await sessions.add(7, b"1", None, NOW_MS)
    last = NOW + LIFETIME - timedelta(milliseconds=1)
    assert await sessions.get(session.id, last)
    assert await sessions.get(session.id, NOW + LIFETIME) is None
    assert await sessions.of_user(7, NOW + LIFETIME) == []
    assert await sessions.rotate(session.id, b"1", b"2", NOW + LIFETIME) is None
    assert await sessions.rotate(session.id, b"1", b"2", last)
    assert await sessions.get(session.id, last + LIFETIME - timedelta(milliseconds=1))
    assert await sessions.get(session.id, last + LIFETIME) is None


async def test_a_users_sessions_come_newest_first_and_end_together(sessions: Sessions) -> None:
    opened = [await sessions.add(7, b"x", f"device {number}", NOW_MS + number) for number in range(5)]
    other = await sessions.add(8, b"x", None, NOW_MS)
    assert await sessions.of_user(7, NOW) == opened[::-1]
    await sessions.end(opened[2].id)
    await sessions.end_all(7)
    await sessions.end_all(7)
    assert await sessions.of_user(7, NOW) == []
    assert [await sessions.get(one.id, NOW) for one in opened] == [None] * 5
    assert await sessions.get(other.id, NOW) == other


async def test_a_list_of_sessions_has_at_most_100(sessions: Sessions) -> None:
    opened = await asyncio.gather(*(sessions.add(7, b"x", None, NOW_MS + number) for number in range(105)))
    assert await sessions.of_user(7, NOW) == sorted(opened, key=lambda one: one.id, reverse=True)[:100]


async def test_a_renewed_session_has_a_new_refresh_token_and_the_old_one_is_spent(sessions: Sessions) -> None:
    session = await sessions.add(7, b"1", None, NOW_MS)
    later = NOW + timedelta(days=1)
    assert await sessions.renew(session.id, b"2", later) == Session(session.id, 7, later, None, later + LIFETIME)
    assert await sessions.rotate(session.id, b"2", b"3", later)
    assert await sessions.rotate(session.id, b"1", b"4", later) is None
    assert await sessions.get(session.id, later) is None
    assert await sessions.renew(session.id, b"5", later) is None


async def test_a_session_is_revoked_by_its_user_alone(sessions: Sessions) -> None:
    session = await sessions.add(7, b"x", None, NOW_MS)
    assert not await sessions.revoke(8, session.id)
    assert await sessions.get(session.id, NOW)
    assert await sessions.revoke(7, session.id)
    assert not await sessions.revoke(7, session.id)
