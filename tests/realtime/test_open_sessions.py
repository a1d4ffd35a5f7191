"""Open sessions: remembered for a moment, and an end that is made anywhere is the end."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from datastore.records import Session
from datastore.sessions import Sessions
from realtime.open_sessions import IDLE_SECONDS, LIFE_SECONDS, OpenSessions
from tests.perch import PATIENCE_SECONDS, Perch, serving

LIFETIME = timedelta(days=30)
NOW = datetime.now(UTC)
NOW_MS = int(NOW.timestamp() * 1000)
LOG_OUT = "mutation { logOut(input: {}) { errors { code } } }"


class Clock:
    """Stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        self.at += 1e-6
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_sessions(perch: Perch, clock: Clock) -> OpenSessions:
    return OpenSessions(perch.mongo, LIFETIME, clock)


async def ended_elsewhere(perch: Perch, session: Session) -> None:
    """Ended by another process, of which this one hears nothing."""
    await perch.mongo.sessions.delete_one({"_id": session.id})


async def test_a_session_that_ended_elsewhere_unheard_is_over_when_its_look_is_too_old(
    perch: Perch, open_sessions: OpenSessions, clock: Clock
) -> None:
    session = await open_sessions.truth.add(7, b"x", None, NOW_MS)
    assert await open_sessions.get(session.id, NOW) == session
    await ended_elsewhere(perch, session)
    clock.at += LIFE_SECONDS / 2
    assert await open_sessions.get(session.id, NOW) == session
    clock.at += LIFE_SECONDS / 2
    assert await open_sessions.get(session.id, NOW) is None


async def test_one_look_tells_of_all_that_somebody_has_come_with(
    perch: Perch, open_sessions: OpenSessions, clock: Clock
) -> None:
    stays, ends = [await open_sessions.truth.add(7, b"x", None, NOW_MS) for _ in range(2)]
    for session in (stays, ends):
        assert await open_sessions.get(session.id, NOW)
    await ended_elsewhere(perch, ends)
    clock.at += LIFE_SECONDS * 0.9
    await open_sessions.look(NOW)
    assert await open_sessions.get(ends.id, NOW) is None
    clock.at += LIFE_SECONDS * 0.9
    await ended_elsewhere(perch, stays)
    assert await open_sessions.get(stays.id, NOW) == stays, "its look was not renewed"


async def test_nobody_looks_for_those_who_have_not_come_for_long(
    perch: Perch, open_sessions: OpenSessions, clock: Clock
) -> None:
    session = await open_sessions.truth.add(7, b"x", None, NOW_MS)
    assert await open_sessions.get(session.id, NOW)
    clock.at += IDLE_SECONDS
    await open_sessions.look(NOW)
    await ended_elsewhere(perch, session)
    assert await open_sessions.get(session.id, NOW) is None


ENDS: dict[str, Callable[[Sessions, Session], object]] = {
    "end": lambda sessions, session: sessions.end(session.id),
    "revoke": lambda sessions, session: sessions.revoke(7, session.id),
    "end_all": lambda sessions, session: sessions.end_all(7),
    "replay": lambda sessions, session: sessions.rotate(session.id, b"x", b"z", NOW),
}


@pytest.mark.parametrize("how", ENDS)
async def test_a_session_that_ended_here_is_over_at_once_and_so_is_what_was_being_read(
    perch: Perch, how: str, clock: Clock
) -> None:
    class Held(OpenSessions):
        """Held up between its reading and its keeping."""

        def _keep(self, session_id: int, session: Session | None, began: float) -> None:
            kept.append((session_id, session, began))

    kept: list[tuple[int, Session | None, float]] = []
    open_sessions = Held(perch.mongo, LIFETIME, clock)
    session = await open_sessions.truth.add(7, b"x", None, NOW_MS)
    if how == "replay":
        assert await open_sessions.truth.rotate(session.id, b"x", b"y", NOW)
    assert await open_sessions.get(session.id, NOW)
    await ENDS[how](open_sessions.truth, session)  # type: ignore[misc]
    for late in kept:
        OpenSessions._keep(open_sessions, *late)
    assert await open_sessions.get(session.id, NOW) is None


async def test_a_session_lasts_until_its_own_time_and_longer_when_it_was_refreshed_elsewhere(
    perch: Perch, open_sessions: OpenSessions
) -> None:
    session = await open_sessions.truth.add(7, b"x", None, NOW_MS)
    assert await open_sessions.get(session.id, NOW)
    late = NOW + LIFETIME
    assert await open_sessions.get(session.id, late) is None
    assert await open_sessions.get(session.id, NOW)
    await Sessions(perch.mongo, LIFETIME).rotate(session.id, b"x", b"y", NOW + timedelta(days=1))
    assert await open_sessions.get(session.id, late)


async def test_who_logs_out_at_one_server_is_soon_refused_by_the_other(perch: Perch) -> None:
    (ann,) = await perch.persons(1)
    async with serving(perch.settings) as other:
        assert (await other.ask("{ viewer { email } }", ann.token)).data["viewer"]
        await ann.do(LOG_OUT)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await other.ask("{ viewer { email } }", ann.token)).codes != ["UNAUTHENTICATED"]:
                await asyncio.sleep(0.01)
