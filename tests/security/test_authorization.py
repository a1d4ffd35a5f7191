"""Authorization, field by field: what nobody, the owner, another and the blocked get to see of a person."""

import asyncio
import json

import pytest

from schema.callers import OWN_FIELDS
from tests.perch import LIVE, PATIENCE_SECONDS, Perch
from tests.security.people import WHO, World, fields, outcomes, query_for, settled


@pytest.fixture(scope="module")
async def world(perch: Perch) -> World:
    return await settled(perch)


# What nobody, the owner, another and the blocked get of each field of Ann's things, or of their own where there is only
# that. A field that is missing here fails a test: whoever adds one says who sees it.
SEEN: dict[tuple[str, str, str, str], str] = {
    ("seen", "seen", "seen", "seen"): """
        Query.user Query.searchUsers Query.rateLimit User.id User.username User.displayName User.bio User.createdAt
        User.followerCount User.followingCount User.tweetCount User.likes User.followers User.following""",
    ("false", "false", "false", "false"): """
        User.isTopUser User.viewerIsFollowing User.isFollowingViewer User.viewerHasBlocked User.viewerHasMuted""",
    # What is on top may be anybody's: tests share their server.
    ("any", "any", "any", "any"): "Query.topTweets",
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
                field = f"{type_name}.{name}"
                found.setdefault(field, []).append("any" if EXPECTED[field][0] == "any" else outcome)
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
