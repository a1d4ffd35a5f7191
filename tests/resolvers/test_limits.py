"""Action limits: a burst is admitted exactly, and who comes too often is told when to come again."""

import asyncio
import math
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from datastore.settings import Settings
from realtime import keys
from realtime.limits import Action, budgets
from resolvers.accounts import throttled_name
from schema import globalid
from tests.perch import Answer, Perch, Person, serving

SIGN_UP = "mutation ($input: SignUpInput!) { signUp(input: $input) { tokens { accessToken } errors { code } } }"
LOG_IN = 'logIn(input: {usernameOrEmail: "%s", password: "wrong horse 7"}) { errors { code } }'
HERE = "127.0.0.1"
# What the settings say when nobody says otherwise.
BUDGETS = budgets(Settings.model_construct())


@pytest.fixture(scope="module")
async def strict(perch: Perch) -> AsyncIterator[Perch]:
    """A server with action limits, over the same stores."""
    async with serving(perch.settings.model_copy(update={"rate_limits": True})) as strict:
        yield strict


@pytest.fixture(autouse=True)
async def _rested(perch: Perch) -> None:
    """Nobody has come from here before."""
    await perch.redis.delete(keys.budget(Action.SIGN_UP, HERE), keys.budget(Action.LOG_IN, f"ip:{HERE}"))


async def exhaust(perch: Perch, action: Action, who: str, but: int = 0) -> None:
    """As after a whole burst of calls just now, but for the last few."""
    budget = BUDGETS[action]
    seconds, micros = await perch.redis.time()
    spent_us = budget.per_seconds * 1_000_000 * (budget.burst - but) // budget.burst
    await perch.redis.set(keys.budget(action, who), seconds * 1_000_000 + micros + spent_us)


def given(**more: Any) -> dict[str, Any]:
    name = f"r{secrets.token_hex(6)}"
    return {"username": name, "email": f"{name}@perch.example", "password": "correct horse 7"} | more


def wait_of(answer: Answer, longest: int) -> int:
    """The seconds after which the refused call may be tried again."""
    assert (answer.status, answer.data, answer.codes) == (200, None, ["RATE_LIMITED"])
    wait: int = answer.errors[0]["extensions"]["retryAfter"]
    assert isinstance(wait, int)
    assert 0 < wait <= longest
    return wait


async def test_of_12_parallel_sign_ups_from_one_address_5_are_admitted(strict: Perch) -> None:
    answers = await asyncio.gather(*(strict.ask(SIGN_UP, input=given()) for _ in range(12)))
    admitted = [answer for answer in answers if not answer.errors]
    assert [answer.data["signUp"]["errors"] for answer in admitted] == [[]] * BUDGETS[Action.SIGN_UP].burst == [[]] * 5
    for answer in answers:
        if answer.errors:
            wait_of(answer, 30 * 60 // 5)


async def test_what_a_rule_refuses_costs_nothing(strict: Perch) -> None:
    for _ in range(10):
        answer = await strict.ask(SIGN_UP, input=given(username="not a name"))
        assert answer.data["signUp"]["errors"] == [{"code": "USERNAME_INVALID"}]
    assert not (await strict.ask(SIGN_UP, input=given())).errors


async def test_of_30_parallel_log_ins_from_one_address_25_are_looked_at(strict: Perch) -> None:
    queries = [f"mutation {{ {LOG_IN % secrets.token_hex(6)} }}" for _ in range(30)]
    answers = await asyncio.gather(*map(strict.ask, queries))
    looked_at = [answer for answer in answers if not answer.errors]
    assert [answer.data["logIn"]["errors"] for answer in looked_at] == [[{"code": "WRONG_CREDENTIALS"}]] * 25
    for answer in answers:
        if answer.errors:
            wait_of(answer, 5 * 60 // 25)


async def test_aliases_count_each_log_in(strict: Perch) -> None:
    def document(count: int) -> str:
        return "mutation { " + " ".join(f"a{n}: {LOG_IN % secrets.token_hex(6)}" for n in range(count)) + " }"

    await exhaust(strict, Action.LOG_IN, f"ip:{HERE}", but=8)
    assert not (await strict.ask(document(4))).errors
    assert "RATE_LIMITED" in (await strict.ask(document(8))).codes


async def test_one_account_is_throttled_wherever_the_log_ins_come_from(perch: Perch, strict: Perch) -> None:
    ann = await perch.person()
    await exhaust(perch, Action.LOG_IN, throttled_name(ann.username))
    query = f"mutation {{ {LOG_IN % ann.username.upper()} }}"
    wait_of(await strict.ask(query), 5 * 60 // 25)
    assert not (await strict.ask(f"mutation {{ {LOG_IN % 'another'} }}")).errors


async def verbs(perch: Perch, strict: Perch) -> list[tuple[Action, str]]:
    other = await perch.person()
    tweet = await other.post("hello")
    return [
        (Action.TWEET, 'postTweet(input: {text: "x"})'),
        (Action.LIKE, f'likeTweet(input: {{tweetId: "{tweet["id"]}"}})'),
        (Action.FOLLOW, f'followUser(input: {{userId: "{other.id}"}})'),
    ]


async def test_each_action_has_a_budget_of_its_own_for_each_person(perch: Perch, strict: Perch) -> None:
    ann, bob = await perch.persons(2)
    asked = await verbs(perch, strict)
    for action, verb in asked:
        await exhaust(perch, action, str(globalid.of_type(ann.id, "User")))
        query = f"mutation {{ {verb} {{ errors {{ code }} }} }}"
        budget = BUDGETS[action]
        wait_of(await strict.ask(query, ann.token), math.ceil(budget.per_seconds / budget.burst))
        assert not (await strict.ask(query, bob.token)).errors
        for other, verb_of_other in asked[asked.index((action, verb)) + 1 :]:
            assert other is not action
            assert not (await strict.ask(f"mutation {{ {verb_of_other} {{ errors {{ code }} }} }}", ann.token)).errors


async def test_taking_back_and_reading_are_never_refused(perch: Perch, strict: Perch) -> None:
    ann, bob = await perch.persons(2)
    tweet = await bob.post("hello")
    await ann.follow(bob)
    await ann.like(tweet["id"])
    for action in set(Action) - {Action.QUERY}:
        await exhaust(perch, action, str(globalid.of_type(ann.id, "User")))
    reader = Person(strict, ann.username, ann.id, ann.token, ann.refresh_token, ann.password)
    await reader.unfollow(bob)
    await reader.do(
        "mutation ($i: TweetInput!) { unlikeTweet(input: $i) { errors { code } } }", i={"tweetId": tweet["id"]}
    )
    assert await reader.home()


async def test_without_limits_nobody_is_counted(perch: Perch) -> None:
    await exhaust(perch, Action.SIGN_UP, HERE)
    assert not (await perch.ask(SIGN_UP, input=given())).errors
