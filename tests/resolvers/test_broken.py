"""What breaks inside is told to the log, and to the client only as a number to ask about."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from datastore.mongo import AutoReconnect
from datastore.tweets import Tweets
from datastore.users import Users
from tests.perch import Perch

SECRET = "mongodb://root:hunter2@db.internal lost p4ssw0rd"


class Boom(Exception):
    """Something nobody thought of."""


@pytest.fixture(params=[Boom, KeyError, RecursionError])
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking somebody up by name, and posting, fail."""
    fail(monkeypatch, request.param)


def fail(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    async def boom(*args: Any, **kwargs: Any) -> None:
        raise error(SECRET)

    monkeypatch.setattr(Users, "by_username", boom)
    monkeypatch.setattr(Tweets, "add", boom)


@pytest.mark.usefixtures("broken")
async def test_a_broken_field_gives_a_request_id_and_no_exception_text(perch: Perch) -> None:
    with capture_logs() as logs:
        answer = await perch.ask('{ __typename user(username: "ann") { id } }')
    assert answer.data == {"__typename": "Query", "user": None}
    (error,) = answer.errors
    assert error["message"] == "Something broke on our side."
    assert error["path"] == ["user"]
    assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": error["extensions"]["requestId"]}
    assert "hunter2" not in str(error)
    (entry,) = (entry for entry in logs if entry["event"] == "request.failed")
    assert entry["request_id"] == error["extensions"]["requestId"]
    assert SECRET in str(entry["exc_info"])


@pytest.mark.usefixtures("broken")
async def test_each_failure_has_a_request_id_of_its_own(perch: Perch) -> None:
    ids = set()
    for _ in range(3):
        (error,) = (await perch.ask('{ user(username: "ann") { id } }')).errors
        ids.add(error["extensions"]["requestId"])
    assert len(ids) == 3


async def test_a_database_that_is_away_is_no_bug(perch: Perch, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = await perch.person()
    fail(monkeypatch, AutoReconnect)
    answer = await ann.ask('mutation { postTweet(input: {text: "x"}) { tweet { id } errors { code } } }')
    assert (answer.status, answer.data, answer.codes) == (503, None, ["UNAVAILABLE"])
    assert answer.errors[0]["extensions"]["retryAfter"] > 0
    assert "hunter2" not in str(answer.errors)


@pytest.mark.usefixtures("broken")
async def test_a_broken_mutation_is_masked_and_no_refusal(perch: Perch) -> None:
    ann = await perch.person()
    answer = await ann.ask('mutation { postTweet(input: {text: "x"}) { tweet { id } errors { code } } }')
    assert (answer.data, answer.codes) == (None, ["INTERNAL_SERVER_ERROR"])
    assert "hunter2" not in str(answer.errors)


@pytest.mark.usefixtures("broken")
async def test_a_broken_operation_on_a_socket_is_masked_and_the_socket_lives_on(perch: Perch) -> None:
    async with perch.socket() as socket:
        await socket.init()
        query = '{ __typename user(username: "ann") { id } }'
        await socket.send({"type": "subscribe", "id": "1", "payload": {"query": query}})
        message = await socket.receive()
        assert message["type"] == "next"
        (error,) = message["payload"]["errors"]
        assert set(error["extensions"]) == {"code", "requestId"}
        assert "hunter2" not in str(message)
        assert (await socket.receive()) == {"type": "complete", "id": "1"}
        await socket.send({"type": "ping"})
        assert (await socket.receive())["type"] == "pong"
