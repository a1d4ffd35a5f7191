"""Guessing: whatever the way in, each log-in counts and costs the same, and many of them do not slow the others."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from datastore.mongo import Mongo
from datastore.users import Users
from realtime import keys
from realtime.limits import Action, Limits, budgets
from realtime.scripts import Scripts
from resolvers import credentials
from resolvers.accounts import throttled_name
from schema import globalid
from tests.perch import PATIENCE_SECONDS, Perch, Person, serving
from tests.security.talk import ask

HERE = keys.budget(Action.LOG_IN, "ip:127.0.0.1")
LOG_IN = 'logIn(input: {usernameOrEmail: "%s", password: "%s"}) { errors { code } }'
CHANGE = 'changePassword(input: {currentPassword: "%s", newPassword: "battery staple 9"}) { errors { code } }'
DELETE = 'deleteAccount(input: {password: "%s"}) { errors { code } }'
WRONG = [{"code": "WRONG_CREDENTIALS"}]


@pytest.fixture(scope="module")
async def strict(perch: Perch) -> AsyncIterator[Perch]:
    """A server that admits five log-ins, over the same stores."""
    async with serving(perch.settings.model_copy(update={"rate_limits": True, "log_ins_in_5_minutes": 5})) as strict:
        yield strict


@pytest.fixture(autouse=True)
async def _rested(perch: Perch) -> None:
    """Nobody has come from here before."""
    await perch.redis.delete(HERE)


@pytest.fixture
async def ann(perch: Perch) -> Person:
    return await perch.person()


def guess(who: str, number: int = 0) -> str:
    return LOG_IN % (who, f"wrong horse {number}")


# ---------------------------------------------------------------- each one counts


async def over_http(strict: Perch, ann: Person, guesses: list[str]) -> list[str]:
    answers = [await strict.ask(f"mutation {{ {one} }}") for one in guesses]
    return [answer.codes[0] if answer.codes else "looked at" for answer in answers]


async def as_aliases(strict: Perch, ann: Person, guesses: list[str]) -> list[str]:
    """The first refusal ends the document: the fields are not null."""
    body = " ".join(f"a{number}: {one}" for number, one in enumerate(guesses))
    answer = await strict.ask(f"mutation {{ {body} }}")
    at = int(answer.errors[0]["path"][0][1:])
    return ["looked at"] * at + answer.codes


async def over_a_socket(strict: Perch, ann: Person, guesses: list[str]) -> list[str]:
    async with strict.socket() as socket:
        await socket.init()
        payloads = [await ask(socket, "1", f"mutation {{ {one} }}") for one in guesses]
    return [one["errors"][0]["extensions"]["code"] if one.get("errors") else "looked at" for one in payloads]


@pytest.mark.parametrize("way", [over_http, as_aliases, over_a_socket])
async def test_each_log_in_counts_whatever_the_way_in(strict: Perch, ann: Person, way: Any) -> None:
    guesses = [guess(f"nobody_{number}") for number in range(6)]
    assert await way(strict, ann, guesses) == ["looked at"] * 5 + ["RATE_LIMITED"]


async def test_a_batch_is_no_way_in(strict: Perch) -> None:
    batch = [{"query": f"mutation {{ {guess('nobody')} }}"}] * 6
    response = await strict.http.post("/graphql", json=batch)
    assert response.status_code == 400
    assert not await strict.redis.exists(HERE)


async def test_guesses_at_one_account_count_for_its_name_and_its_address(strict: Perch, ann: Person) -> None:
    for who in (ann.username, f"{ann.username}@perch.example"):
        answers = []
        for number in range(6):
            await strict.redis.delete(HERE)
            answers.append(await strict.ask(f"mutation {{ {guess(who, number)} }}"))
        assert [answer.codes for answer in answers] == [[]] * 5 + [["RATE_LIMITED"]]
        right = await strict.ask(f"mutation {{ {LOG_IN % (who, ann.password)} }}")
        assert right.codes == ["RATE_LIMITED"]


@pytest.mark.parametrize("verb", [CHANGE, DELETE])
async def test_who_took_over_a_session_cannot_guess_the_password_with_it(strict: Perch, ann: Person, verb: str) -> None:
    answers = [await strict.ask(f"mutation {{ {verb % f'wrong horse {number}'} }}", ann.token) for number in range(6)]
    assert [next(iter(answer.data.values()))["errors"] for answer in answers[:5]] == [WRONG] * 5
    assert answers[5].codes == ["RATE_LIMITED"]
    assert (await strict.ask(f"mutation {{ {verb % ann.password} }}", ann.token)).codes == ["RATE_LIMITED"]


async def test_of_1000_calls_at_once_exactly_the_burst_is_admitted(strict: Perch, ann: Person) -> None:
    limits = Limits(Scripts(strict.redis), True, budgets(strict.settings))
    who = throttled_name(ann.username)
    spent = await asyncio.gather(*(limits.spend(Action.LOG_IN, who) for _ in range(1000)))
    assert sum(one.wait_seconds == 0 for one in spent) == 5


# ---------------------------------------------------------------- each costs the same


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a log-in does that takes time: looks into the stores, and hashes with their parameters."""
    seen: list[str] = []

    def noting(of: Any, name: str, label: Any) -> None:
        stock = getattr(of, name)

        def noted(*args: Any, **kwargs: Any) -> Any:
            seen.append(label(*args))
            return stock(*args, **kwargs)

        monkeypatch.setattr(of, name, noted)

    for name in ("account_by_login", "account", "set_password"):
        noting(Users, name, lambda *_, name=name: name)
    noting(Limits, "spend", lambda _, action, *__: f"spend {action}")
    noting(credentials, "_verify", lambda kept, _: kept.rpartition("$")[0].rpartition("$")[0])
    return seen


async def test_an_unknown_a_deleted_and_an_imported_account_cost_the_work_of_a_wrong_password(
    perch: Perch, strict: Perch, ann: Person, work: list[str]
) -> None:
    gone, imported = await perch.persons(2)
    await gone.do(f"mutation {{ {DELETE % gone.password} }}")
    mongo: Mongo = perch.mongo
    await mongo.users.update_one({"_id": globalid.of_type(imported.id, "User")}, {"$unset": {"password": ""}})
    done: dict[str, list[str]] = {}
    for person, name in ((ann, "wrong"), (gone, "deleted"), (imported, "imported")):
        for who in (person.username, f"{person.username}@perch.example"):
            done[f"{name} {'@' in who}"] = await worked(strict, work, who)
    done["unknown False"] = await worked(strict, work, "nobody_at_all")
    done["unknown True"] = await worked(strict, work, "nobody@perch.example")
    expected = ["spend query", "spend log_in", "spend log_in", "account_by_login", "$argon2id$v=19$m=19456,t=2,p=1"]
    assert done == dict.fromkeys(done, expected)


async def worked(strict: Perch, work: list[str], who: str) -> list[str]:
    await strict.redis.delete(HERE)
    work.clear()
    assert (await strict.ask(f"mutation {{ {guess(who)} }}")).data == {"logIn": {"errors": WRONG}}
    return list(work)


# ---------------------------------------------------------------- many do not slow the others


async def test_log_ins_beyond_two_wait_and_nobody_else_does(perch: Perch, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, free = 0, 0, threading.Event()
    counting = threading.Lock()

    def held(kept: str, password: str) -> bool:
        nonlocal running, most
        with counting:
            running += 1
            most = max(most, running)
        free.wait(PATIENCE_SECONDS)
        with counting:
            running -= 1
        return False

    monkeypatch.setattr(credentials, "_verify", held)
    log_ins = [asyncio.create_task(perch.ask(f"mutation {{ {guess(f'nobody_{n}')} }}")) for n in range(60)]
    try:
        while running < 2:
            await asyncio.sleep(0)
        for _ in range(20):
            assert (await perch.ask("{ topTweets { nodes { score } } }")).errors == []
        assert not any(log_in.done() for log_in in log_ins)
    finally:
        free.set()
    for log_in in log_ins:
        assert (await log_in).data == {"logIn": {"errors": WRONG}}
    assert most == 2
