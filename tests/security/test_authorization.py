"""Authorization, field by field: what nobody, the owner, another and the blocked get to see of a person, and may do."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from graphql import get_named_type

from schema.callers import OPEN_MUTATIONS, OWN_FIELDS
from tests.perch import LIVE, PATIENCE_SECONDS, Answer, Perch
from tests.security.people import WHO, World, fields, outcomes, query_for, settled
from tests.security.talk import subscribe


@pytest.fixture(scope="module")
async def world(perch: Perch) -> World:
    return await settled(perch)


# ---------------------------------------------------------------- what is seen

# What nobody, the owner, another and the blocked get of each field of Ann's things, or of their own where there is only
# that. A field that is missing here fails a test: whoever adds one says who sees it.
SEEN: dict[tuple[str, str, str, str], str] = {
    ("seen", "seen", "seen", "seen"): """
        Query.user Query.searchUsers Query.rateLimit User.id User.username User.displayName User.bio User.createdAt
        User.followerCount User.followingCount User.tweetCount User.likes User.followers User.following""",
    ("false", "false", "false", "false"): """
        User.isTopUser User.viewerIsFollowing User.isFollowingViewer User.viewerHasBlocked User.viewerHasMuted""",
    ("empty", "empty", "empty", "empty"): "Query.topTweets",
    # A block hides every tweet.
    ("seen", "seen", "seen", "null"): "Query.node Query.tweet",
    ("seen", "seen", "seen", "empty"): "Query.nodes Query.searchTweets User.tweets",
    ("seen", "seen", "seen", "hidden"): """
        Tweet.id Tweet.text Tweet.createdAt Tweet.author Tweet.likeCount Tweet.retweetCount Tweet.replyCount
        Tweet.hashtags Tweet.mentions Tweet.replies Tweet.retweeters Tweet.likers""",
    ("false", "false", "false", "hidden"): "Tweet.isReply Tweet.viewerHasLiked Tweet.viewerHasRetweeted",
    ("null", "null", "null", "hidden"): "Tweet.inReplyTo",
    # Everybody's own: another test looks whose it is.
    ("null", "seen", "seen", "seen"): "Query.viewer",
    ("UNAUTHENTICATED", "seen", "empty", "seen"): "Query.homeTimeline",
    ("hidden", "seen", "seen", "seen"): """
        Viewer.user Viewer.sessions Viewer.email Session.id Session.createdAt Session.lastUsedAt Session.userAgent""",
    ("hidden", "true", "true", "true"): "Session.isCurrent",
    ("hidden", "seen", "empty", "empty"): "Viewer.blockedUsers Viewer.mutedUsers",
}
EXPECTED = {field: each for each, named in SEEN.items() for field in named.split()}
TYPES = ("Query", "User", "Tweet", "Viewer", "Session")


def test_the_table_has_every_field_through_which_a_person_can_be_seen() -> None:
    assert set(EXPECTED) == {f"{type_name}.{name}" for type_name in TYPES for name in fields(type_name)}


@pytest.mark.parametrize("type_name", TYPES)
async def test_each_caller_sees_what_the_table_says(world: World, type_name: str) -> None:
    # One of its own refuses the whole operation.
    together = [name for name in fields(type_name) if name not in OWN_FIELDS]
    found: dict[str, list[str]] = {}
    for who in WHO:
        for names in (together, *([name] for name in fields(type_name) if name in OWN_FIELDS)):
            answer = await world.ask(who, query_for(world, type_name, *names))
            for name, outcome in outcomes(answer, type_name, names).items():
                found.setdefault(f"{type_name}.{name}", []).append(outcome)
    expected = {field: list(each) for field, each in EXPECTED.items() if field.startswith(f"{type_name}.")}
    assert found == expected


# Every way to Ann's texts, the ones past other people included.
ROADS = {
    "tweet": "query ($tweet: ID!) { tweet(id: $tweet) { text } }",
    "node": "query ($tweet: ID!) { node(id: $tweet) { ... on Tweet { text } } }",
    "nodes": "query ($tweet: ID!, $reply: ID!) { nodes(ids: [$tweet, $reply]) { ... on Tweet { text } } }",
    "her tweets": "query ($ann: String!) { user(username: $ann) { tweets { nodes { text } } } }",
    "her replies": """query ($ann: String!) {
      user(username: $ann) { tweets(filter: TWEETS_AND_REPLIES) { nodes { text } } } }""",
    "found by word": "query ($word: String!) { searchTweets(query: $word) { nodes { text } } }",
    "found by author": "query ($from: String!) { searchTweets(query: $from) { nodes { text } } }",
    "found by mention": "query ($at: String!) { searchTweets(query: $at) { nodes { text } } }",
    "liked by another": "query ($bob: String!) { user(username: $bob) { likes { nodes { text } } } }",
    "retweeted": "query ($bob: String!) { user(username: $bob) { tweets(filter: RETWEETS) { nodes { text } } } }",
    "answered": "query ($answer: ID!) { tweet(id: $answer) { inReplyTo { text } } }",
    "an answer": "query ($bobs: ID!) { tweet(id: $bobs) { replies { nodes { text } } } }",
}


async def texts_by(world: World, road: str, who: str) -> bool:
    """Whether the answer has a text of Ann's."""
    given = {
        "ann": world.ann.username,
        "from": f"from:{world.ann.username}",
        "at": f"@{world.bob.username}",
        "bob": world.bob.username,
        "word": world.word,
        "tweet": world.tweet,
        "reply": world.reply,
        "answer": world.answer,
        "bobs": world.bobs,
    }
    query = ROADS[road]
    answer = await world.ask(who, query, **{name: value for name, value in given.items() if f"${name}:" in query})
    assert not answer.errors, answer.errors
    return world.word in json.dumps(answer.data)


async def test_no_road_leads_the_blocked_to_a_tweet_and_each_leads_everybody_else(world: World) -> None:
    for road in ROADS:
        assert [await texts_by(world, road, who) for who in WHO] == [True, True, True, False], road


async def test_what_is_deleted_is_on_no_road_for_anybody(perch: Perch) -> None:
    world = await settled(perch)
    await world.ann.delete(world.tweet)
    await world.ann.do('mutation { deleteAccount(input: {password: "%s"}) { errors { code } } }' % world.ann.password)  # noqa: UP031
    for road in ROADS:
        for who in ("nobody", "other", "blocked"):
            assert not await texts_by(world, road, who), (road, who)


async def test_what_is_private_is_its_owners_alone(world: World) -> None:
    private = (
        "{ viewer { email user { id } sessions { id } blockedUsers { nodes { id } } mutedUsers { nodes { id } } } }"
    )
    own = {who: (await world.ask(who, private)).data["viewer"] for who in WHO[1:]}
    for who, seen in own.items():
        person = world.person(who)
        assert person
        assert (seen["email"], seen["user"]) == (f"{person.username}@perch.example", {"id": person.id})
    secrets = {own["self"]["email"], own["self"]["sessions"][0]["id"]}
    assert own["self"]["blockedUsers"]["nodes"] == [{"id": world.eve.id}]
    assert own["self"]["mutedUsers"]["nodes"] == [{"id": world.carol.id}]
    for who in ("other", "blocked"):
        assert not [secret for secret in secrets if secret in json.dumps(own[who])]
    # A session is a node to nobody, not even to its owner.
    for who in WHO:
        answer = await world.ask(who, "query ($id: ID!) { node(id: $id) { id } }", id=own["self"]["sessions"][0]["id"])
        assert (answer.data, answer.codes) in (({"node": None}, []), ({"node": None}, ["BAD_USER_INPUT"]))


# ---------------------------------------------------------------- what may be done

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


async def test_a_live_road_is_closed_to_the_blocked(world: World) -> None:
    """Eve follows Bob, who passes Ann's tweet on."""
    after = (await world.eve.home())["liveCursor"]
    async with world.eve.live(after, LIVE) as live:
        await world.bob.verb("undoRetweet", {"tweetId": world.tweet})
        await world.bob.verb("retweet", {"tweetId": world.tweet})
        await world.bob.post("for everybody")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while world.word not in (event := json.dumps(await live.event())) and "for everybody" not in event:
                pass
    assert world.word not in event
