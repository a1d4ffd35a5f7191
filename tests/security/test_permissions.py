"""Permissions, mutation by mutation: what nobody, the owner, another and the blocked may do to a person's things."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from graphql import get_named_type

from schema.callers import OPEN_MUTATIONS, OWN_FIELDS
from tests.perch import Answer, Perch
from tests.security.people import WHO, World, fields, settled
from tests.security.talk import subscribe

OnAnn = Callable[[World], Awaitable[dict[str, Any]]]
DONE = "done"


async def her(world: World) -> dict[str, Any]:
    return {"userId": world.ann.id}


async def her_tweet(world: World) -> dict[str, Any]:
    return {"tweetId": world.tweet}


async def a_new_tweet(world: World) -> dict[str, Any]:
    return {"tweetId": (await world.ann.post("to be deleted"))["id"]}


async def an_answer_to_her(world: World) -> dict[str, Any]:
    return {"text": "hello", "inReplyTo": world.tweet}


async def another_session_of_hers(world: World) -> dict[str, Any]:
    query = 'mutation { logIn(input: {usernameOrEmail: "%s", password: "%s"}) { errors { code } } }'
    await world.ann.do(query % (world.ann.username, world.ann.password))
    newest, *_ = (await world.ann.do("{ viewer { sessions { id } } }"))["viewer"]["sessions"]
    return {"sessionId": newest["id"]}


def given(**input_: Any) -> OnAnn:
    async def same(world: World) -> dict[str, Any]:
        return input_

    return same


# What comes of a mutation that names Ann's things, for nobody, her, another and the blocked.
ALLOWED: dict[str, tuple[OnAnn, tuple[str, str, str, str]]] = {
    "likeTweet": (her_tweet, ("UNAUTHENTICATED", DONE, DONE, "BLOCKED")),
    "unlikeTweet": (her_tweet, ("UNAUTHENTICATED", DONE, DONE, DONE)),
    "retweet": (her_tweet, ("UNAUTHENTICATED", DONE, DONE, "BLOCKED")),
    "undoRetweet": (her_tweet, ("UNAUTHENTICATED", DONE, DONE, DONE)),
    "postTweet": (an_answer_to_her, ("UNAUTHENTICATED", DONE, DONE, "BLOCKED")),
    "deleteTweet": (a_new_tweet, ("UNAUTHENTICATED", DONE, "NOT_ALLOWED", "NOT_ALLOWED")),
    "followUser": (her, ("UNAUTHENTICATED", "SELF_ACTION", DONE, "BLOCKED")),
    "unfollowUser": (her, ("UNAUTHENTICATED", "SELF_ACTION", DONE, DONE)),
    "muteUser": (her, ("UNAUTHENTICATED", "SELF_ACTION", DONE, DONE)),
    "unmuteUser": (her, ("UNAUTHENTICATED", DONE, DONE, DONE)),
    "blockUser": (her, ("UNAUTHENTICATED", "SELF_ACTION", DONE, DONE)),
    "unblockUser": (her, ("UNAUTHENTICATED", DONE, DONE, DONE)),
    "revokeSession": (another_session_of_hers, ("UNAUTHENTICATED", DONE, "NOT_FOUND", "NOT_FOUND")),
    # These act on whoever asks and on nobody else: there is nothing in them by which Ann could be named.
    "updateProfile": (given(bio="mine"), ("UNAUTHENTICATED", DONE, DONE, DONE)),
    "changePassword": (
        given(currentPassword="wrong horse 7", newPassword="battery staple 9"),
        ("UNAUTHENTICATED", "WRONG_CREDENTIALS", "WRONG_CREDENTIALS", "WRONG_CREDENTIALS"),
    ),
    "deleteAccount": (
        given(password="wrong horse 7"),
        ("UNAUTHENTICATED", "WRONG_CREDENTIALS", "WRONG_CREDENTIALS", "WRONG_CREDENTIALS"),
    ),
    "logOut": (given(), ("UNAUTHENTICATED", DONE, DONE, DONE)),
}


async def came_of(world: World, who: str, name: str, input_: dict[str, Any]) -> str:
    """The code of a refusal, or DONE."""
    kind = get_named_type(fields("Mutation")[name].args["input"].type).name
    query = f"mutation ($input: {kind}!) {{ {name}(input: $input) {{ errors {{ code }} }} }}"
    answer: Answer = await world.ask(who, query, input=input_)
    if answer.errors:
        return answer.codes[0]
    codes = [error["code"] for error in answer.data[name]["errors"]]
    return codes[0] if codes else DONE


@pytest.fixture(scope="module")
async def stage(perch: Perch) -> World:
    """A world to act in."""
    return await settled(perch)


def test_the_table_has_every_mutation_but_those_that_open_an_account_or_a_session() -> None:
    assert set(ALLOWED) == set(fields("Mutation")) - OPEN_MUTATIONS


@pytest.mark.parametrize("name", sorted(ALLOWED, key=lambda name: name == "logOut"))
async def test_each_caller_may_do_what_the_table_says(perch: Perch, stage: World, name: str) -> None:
    stage = await settled(perch) if name in ("blockUser", "logOut") else stage
    make, expected = ALLOWED[name]
    for who, code in zip(WHO, expected, strict=True):
        if (who, name) == ("blocked", "unblockUser"):
            # It lifts a block of their own, and not the one that is on them.
            assert await came_of(stage, who, name, await make(stage)) == DONE
            assert await came_of(stage, who, "likeTweet", await her_tweet(stage)) == "BLOCKED"
        assert (who, await came_of(stage, who, name, await make(stage))) == (who, code)


@pytest.mark.parametrize("name", ["unlikeTweet", "undoRetweet"])
async def test_what_the_blocked_take_back_shows_them_nothing(stage: World, name: str) -> None:
    query = f"mutation ($input: TweetInput!) {{ {name}(input: $input) {{ tweet {{ text }} errors {{ code }} }} }}"
    for who, shown in (("other", True), ("blocked", False)):
        answer = await stage.ask(who, query, input={"tweetId": stage.tweet})
        assert answer.data[name]["errors"] == []
        assert (answer.data[name]["tweet"] is not None) is shown


async def test_an_id_of_nothing_is_refused_like_what_may_not_be_seen(stage: World) -> None:
    gone = (await stage.ann.post("gone"))["id"]
    await stage.ann.delete(gone)
    for name in ("likeTweet", "retweet", "deleteTweet"):
        assert await came_of(stage, "other", name, {"tweetId": gone}) == "NOT_FOUND"


# ---------------------------------------------------------------- before anything runs

ROOTS = [(type_name, name) for type_name in ("Query", "Mutation", "Subscription") for name in fields(type_name)]


async def test_what_needs_an_account_is_refused_to_nobody_before_anything_runs(perch: Perch) -> None:
    """An error that has no path is of the whole operation."""
    async with perch.socket() as socket:
        await socket.init()
        for number, (type_name, name) in enumerate(ROOTS):
            await socket.send(subscribe(str(number), **asking(type_name, name)))
            while (message := await socket.receive())["type"] == "complete":
                pass
            await socket.send({"type": "complete", "id": str(number)})
            payload = message["payload"]
            errors = payload if isinstance(payload, list) else payload.get("errors", [])
            refusals = [error for error in errors if error["extensions"]["code"] == "UNAUTHENTICATED"]
            expected = [None] if needs_one(type_name, name) else []
            assert [error.get("path") for error in refusals] == expected, name


def asking(type_name: str, name: str) -> dict[str, Any]:
    """An operation for one root field, in a fragment: none is a way out."""
    args = {one: part.type for one, part in fields(type_name)[name].args.items() if str(part.type).endswith("!")}
    declared = ", ".join(f"${one}: {type_}" for one, type_ in args.items())
    given = ", ".join(f"{one}: ${one}" for one in args)
    query = f"{type_name.lower()} {f'({declared})' if declared else ''} {{ ...F }} fragment F on {type_name} "
    query += f"{{ {name}{f'({given})' if given else ''} {{ __typename }} }}"
    return {"query": query, "variables": {one: _any(type_) for one, type_ in args.items()}}


def needs_one(type_name: str, name: str) -> bool:
    return name in OWN_FIELDS or (type_name == "Mutation" and name not in OPEN_MUTATIONS)


def _any(type_: Any) -> Any:
    """A value that fits an input object."""
    named = get_named_type(type_)
    if not hasattr(named, "fields"):
        return ["x"] if "[" in str(type_) else "x"
    parts = named.fields
    return {name: "x" for name, part in parts.items() if str(part.type).endswith("!")}
