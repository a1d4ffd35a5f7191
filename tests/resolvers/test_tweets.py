"""Tweets from outside: what is kept, who may delete, answers and their counts, and the idempotency key."""

from typing import Any

import pytest

from datastore import ids
from schema import globalid
from tests.perch import Perch, Person

POST = """mutation ($input: PostTweetInput!) { postTweet(input: $input) { tweet { id text createdAt isReply
  inReplyTo { id } likeCount retweetCount replyCount viewerHasLiked author { id username tweetCount } }
  errors { __typename code path message ... on TextTooLong { length limit } } } }"""
DELETE = "mutation ($input: TweetInput!) { deleteTweet(input: $input) { deletedTweetId errors { code path } } }"
TWEET = """query ($id: ID!) { tweet(id: $id) { text isReply inReplyTo { id text } replyCount author { username } } }"""
TWEETS = """query ($name: String!, $first: Int, $after: String) { user(username: $name) { tweetCount
  tweets(first: $first, after: $after) { nodes { text } edges { cursor node { text author { username } } }
  pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""


@pytest.fixture
async def ann(perch: Perch) -> Person:
    return await perch.person()


async def post(author: Person, **given: Any) -> dict[str, Any]:
    payload: dict[str, Any] = (await author.do(POST, input=given))["postTweet"]
    return payload


async def refusal(author: Person, **given: Any) -> tuple[str, list[str]]:
    payload = await post(author, **given)
    assert payload["tweet"] is None
    (error,) = payload["errors"]
    return error["code"], error["path"]


async def tweet_of(viewer: Person, tweet_id: str) -> Any:
    return (await viewer.do(TWEET, id=tweet_id))["tweet"]


async def test_a_new_tweet_comes_back_whole(ann: Person) -> None:
    payload = await post(ann, text="hello")
    tweet = payload["tweet"]
    assert payload["errors"] == []
    assert tweet["createdAt"] == ids.created_at(globalid.of_type(tweet["id"], "Tweet")).isoformat()
    assert {name: tweet[name] for name in tweet if name not in ("id", "createdAt")} == {
        "text": "hello",
        "isReply": False,
        "inReplyTo": None,
        "likeCount": 0,
        "retweetCount": 0,
        "replyCount": 0,
        "viewerHasLiked": False,
        "author": {"id": ann.id, "username": ann.username, "tweetCount": 1},
    }


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("e\u0301" * 140, "\u00e9" * 140),
        ("\U0001f426" * 140, "\U0001f426" * 140),
        ("two\r\nlines", "two\nlines"),
        ("  as it is  ", "  as it is  "),
        ('{"$gt": ""} <b>&amp; \\u0000', '{"$gt": ""} <b>&amp; \\u0000'),
    ],
)
async def test_a_text_is_kept_in_nfc_and_otherwise_as_it_is(ann: Person, text: str, kept: str) -> None:
    payload = await post(ann, text=text)
    assert payload["tweet"]["text"] == kept
    assert (await tweet_of(ann, payload["tweet"]["id"]))["text"] == kept


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "TEXT_EMPTY"),
        (" \n\u200b ", "TEXT_EMPTY"),
        ("a\u0000b", "TEXT_FORBIDDEN_CHARACTERS"),
        ("a\u001b[31m", "TEXT_FORBIDDEN_CHARACTERS"),
        ("a\u202eb", "TEXT_FORBIDDEN_CHARACTERS"),
        ("x" * 141, "TEXT_TOO_LONG"),
        ("x" * 50_000, "TEXT_TOO_LONG"),
    ],
)
async def test_a_text_that_breaks_a_rule_is_refused_as_data(ann: Person, text: str, code: str) -> None:
    assert await refusal(ann, text=text) == (code, ["input", "text"])


async def test_a_text_that_is_too_long_tells_its_length_and_the_limit(ann: Person) -> None:
    for text in ("e\u0301" * 141, "\u00e9" * 141):
        (error,) = (await post(ann, text=text))["errors"]
        assert error == {
            "__typename": "TextTooLong",
            "code": "TEXT_TOO_LONG",
            "path": ["input", "text"],
            "message": "141 characters, 140 are allowed.",
            "length": 141,
            "limit": 140,
        }


async def test_a_lone_surrogate_reaches_no_rule(perch: Perch, ann: Person) -> None:
    headers = {"authorization": f"Bearer {ann.token}", "content-type": "application/json"}
    body = '{"query": "mutation ($t: String!) { postTweet(input: {text: $t}) { errors { code } } }", "variables": %s}'
    in_a_variable = await perch.http.post("/graphql", content=body % '{"t": "\\ud800"}', headers=headers)
    assert in_a_variable.status_code == 400
    in_the_document = await ann.ask('mutation { postTweet(input: {text: "\\uD800"}) { errors { code } } }')
    assert in_the_document.codes == ["GRAPHQL_PARSE_FAILED"]


# ---------------------------------------------------------------- replies


async def test_an_answer_names_what_it_answers_and_is_counted(perch: Perch, ann: Person) -> None:
    bob = await perch.person()
    question = await ann.post("question")
    answer = (await post(bob, text="answer", inReplyTo=question["id"]))["tweet"]
    assert (answer["isReply"], answer["inReplyTo"]) == (True, {"id": question["id"]})
    second = await ann.post("and more", inReplyTo=answer["id"])
    assert (await tweet_of(bob, question["id"]))["replyCount"] == 1
    assert (await tweet_of(bob, answer["id"]))["replyCount"] == 1
    await ann.delete(second["id"])
    assert (await tweet_of(bob, answer["id"]))["replyCount"] == 0


async def test_an_answer_outlives_what_it_answers(perch: Perch, ann: Person) -> None:
    bob = await perch.person()
    question = await ann.post("question")
    answer = await bob.post("answer", inReplyTo=question["id"])
    await ann.delete(question["id"])
    assert await tweet_of(bob, question["id"]) is None
    assert await tweet_of(bob, answer["id"]) == {
        "text": "answer", "isReply": True, "inReplyTo": None, "replyCount": 0, "author": {"username": bob.username},
    }  # fmt: skip
    await bob.delete(answer["id"])


async def test_only_what_is_there_can_be_answered(ann: Person) -> None:
    gone = await ann.post("gone")
    await ann.delete(gone["id"])
    for nothing in (gone["id"], globalid.encode("Tweet", 1)):
        assert await refusal(ann, text="answer", inReplyTo=nothing) == ("NOT_FOUND", ["input", "inReplyTo"])
    for junk in ("", "x", ann.id, "VHdlZXQ6LTE"):
        assert (await ann.ask(POST, input={"text": "answer", "inReplyTo": junk})).codes == ["BAD_USER_INPUT"]
    assert (await post(ann, text="no answer", inReplyTo=None))["tweet"]["isReply"] is False


# ---------------------------------------------------------------- the idempotency key


async def test_a_key_has_1_to_128_bytes(ann: Person) -> None:
    for key in ("", "x" * 129, "\u00e9" * 65):
        assert (await ann.ask(POST, input={"text": "x", "idempotencyKey": key})).codes == ["BAD_USER_INPUT"]
    for key in ("x" * 128, "\u00e9" * 64, "\u0000", '{"$gt": ""}', " "):
        first, again = [(await post(ann, text="x", idempotencyKey=key))["tweet"]["id"] for _ in range(2)]
        assert first == again
    without = [(await post(ann, text="x", idempotencyKey=None))["tweet"]["id"] for _ in range(2)]
    assert len(set(without)) == 2


async def test_one_key_for_two_forms_of_one_text_is_one_tweet(ann: Person) -> None:
    composed = await post(ann, text="\u00e9", idempotencyKey="k")
    decomposed = await post(ann, text="e\u0301", idempotencyKey="k")
    assert composed["tweet"]["id"] == decomposed["tweet"]["id"]


async def test_the_same_text_as_an_answer_is_something_else(ann: Person) -> None:
    question = await ann.post("question")
    await post(ann, text="x", idempotencyKey="k")
    given = {"text": "x", "inReplyTo": question["id"], "idempotencyKey": "k"}
    assert await refusal(ann, **given) == ("IDEMPOTENCY_CONFLICT", ["input", "idempotencyKey"])


async def test_a_retry_gives_the_answer_although_what_it_answers_is_gone(perch: Perch, ann: Person) -> None:
    bob = await perch.person()
    question = await ann.post("question")
    given = {"text": "answer", "inReplyTo": question["id"], "idempotencyKey": "k"}
    first = await post(bob, **given)
    await ann.delete(question["id"])
    again = await post(bob, **given)
    assert again["errors"] == []
    assert again["tweet"]["id"] == first["tweet"]["id"]


# ---------------------------------------------------------------- deleting


async def test_only_the_author_deletes_a_tweet_and_only_once(perch: Perch, ann: Person) -> None:
    bob = await perch.person()
    tweet = {"tweetId": (await ann.post("mine"))["id"]}
    refused = {"deletedTweetId": None, "errors": [{"code": "NOT_ALLOWED", "path": ["input", "tweetId"]}]}
    assert await bob.do(DELETE, input=tweet) == {"deleteTweet": refused}
    assert await ann.do(DELETE, input=tweet) == {"deleteTweet": {"deletedTweetId": tweet["tweetId"], "errors": []}}
    gone = {"deletedTweetId": None, "errors": [{"code": "NOT_FOUND", "path": ["input", "tweetId"]}]}
    for person in (ann, bob):
        assert await person.do(DELETE, input=tweet) == {"deleteTweet": gone}
    assert (await ann.do(TWEETS, name=ann.username))["user"]["tweetCount"] == 0


@pytest.mark.parametrize("verb", ["deleteTweet", "likeTweet", "unlikeTweet"])
async def test_a_verb_on_no_tweet_is_not_found_and_on_no_id_bad_input(ann: Person, verb: str) -> None:
    query = f"mutation ($input: TweetInput!) {{ {verb}(input: $input) {{ errors {{ code path }} }} }}"
    gone = await ann.post("gone")
    await ann.delete(gone["id"])
    for nothing in (gone["id"], globalid.encode("Tweet", 1)):
        found = await ann.do(query, input={"tweetId": nothing})
        assert found == {verb: {"errors": [{"code": "NOT_FOUND", "path": ["input", "tweetId"]}]}}
    for junk in ("", "x", ann.id, "VHdlZXQ6MQ==", '{"$gt": ""}'):
        assert (await ann.ask(query, input={"tweetId": junk})).codes == ["BAD_USER_INPUT"]


# ---------------------------------------------------------------- a user's tweets


async def test_a_users_tweets_page_newest_first_without_replies(perch: Perch, ann: Person) -> None:
    written = [await ann.post(f"number {number}") for number in range(5)]
    await ann.post("a reply", inReplyTo=written[0]["id"])
    await ann.delete(written.pop(2)["id"])
    bob = await perch.person()
    found, after = [], None
    while True:
        user = (await bob.do(TWEETS, name=ann.username, first=2, after=after))["user"]
        page = user["tweets"]
        assert user["tweetCount"] == 5
        assert [edge["node"]["text"] for edge in page["edges"]] == [node["text"] for node in page["nodes"]]
        assert {edge["node"]["author"]["username"] for edge in page["edges"]} == {ann.username}
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        assert page["pageInfo"]["startCursor"] == page["edges"][0]["cursor"]
        assert page["pageInfo"]["endCursor"] == page["edges"][-1]["cursor"]
        found += [node["text"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert found == [tweet["text"] for tweet in reversed(written)]


async def test_a_page_that_ends_with_the_list_has_no_next(ann: Person) -> None:
    for number in range(4):
        await ann.post(f"number {number}")
    for first, more in ((3, True), (4, False), (5, False), (100, False), (None, False)):
        page = (await ann.do(TWEETS, name=ann.username, first=first))["user"]["tweets"]
        assert page["pageInfo"]["hasNextPage"] is more
        assert len(page["nodes"]) == min(first or 20, 4)


async def test_an_empty_list_has_no_cursors(ann: Person) -> None:
    page = (await ann.do(TWEETS, name=ann.username))["user"]["tweets"]
    info = {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None}
    assert page == {"nodes": [], "edges": [], "pageInfo": info}
