"""Retweets: followers see the tweet with who passed it on, unless they follow its author already."""

from typing import Any

from tests.perch import Perch, Person

RETWEET = "mutation ($input: TweetInput!) { retweet(input: $input) { tweet { %s } errors { code } } }"
UNDO = "mutation ($input: TweetInput!) { undoRetweet(input: $input) { tweet { %s } errors { code } } }"
FIELDS = "retweetCount viewerHasRetweeted retweeters { edges { since node { username } } }"
HOME = "{ homeTimeline { edges { cursor source retweetedBy { username } node { text author { username } } } } }"


async def retweet(person: Person, tweet: dict[str, Any]) -> dict[str, Any]:
    payload = (await person.do(RETWEET % FIELDS, input={"tweetId": tweet["id"]}))["retweet"]
    assert payload["errors"] == []
    found: dict[str, Any] = payload["tweet"]
    return found


async def undo(person: Person, tweet: dict[str, Any]) -> dict[str, Any]:
    payload = (await person.do(UNDO % FIELDS, input={"tweetId": tweet["id"]}))["undoRetweet"]
    assert payload["errors"] == []
    found: dict[str, Any] = payload["tweet"]
    return found


async def shown(person: Person) -> list[tuple[str, str | None]]:
    """(text, who retweeted it) of the first page, newest first."""
    edges = (await person.do(HOME))["homeTimeline"]["edges"]
    for edge in edges:
        assert (edge["source"] == "RETWEET") is (edge["retweetedBy"] is not None)
    return [(e["node"]["text"], e["retweetedBy"] and e["retweetedBy"]["username"]) for e in edges]


async def test_a_retweet_reaches_the_retweeters_followers_live_and_by_page(perch: Perch) -> None:
    reader, friend, stranger = await perch.persons(3)
    await reader.follow(friend)
    tweet = await stranger.post("worth passing on")
    await perch.settle()
    async with reader.live((await reader.home())["liveCursor"]) as live:
        await retweet(friend, tweet)
        event = await live.event()
    assert event["edge"]["source"] == "RETWEET"
    assert event["edge"]["node"]["id"] == tweet["id"]
    assert await shown(reader) == [("worth passing on", friend.username)]
    await perch.redis.flushall()
    assert await shown(reader) == [("worth passing on", friend.username)]


async def test_who_follows_the_author_gets_the_tweet_and_no_retweet_of_it(perch: Perch) -> None:
    reader, friend, author = await perch.persons(3)
    await reader.follow(friend)
    await reader.follow(author)
    tweet = await author.post("once is enough")
    await retweet(friend, tweet)
    await perch.settle()
    assert await shown(reader) == [("once is enough", None)]
    await reader.unfollow(author)
    assert await shown(reader) == [("once is enough", friend.username)]


async def test_authors_are_not_shown_retweets_of_their_own(perch: Perch) -> None:
    author, fan = await perch.persons(2)
    await author.follow(fan)
    tweet = await author.post("mine")
    await retweet(fan, tweet)
    await perch.settle()
    assert await shown(author) == [("mine", None)]


async def test_undoing_one_of_two_retweets_leaves_the_other(perch: Perch) -> None:
    reader, one, two, stranger = await perch.persons(4)
    await reader.follow(one)
    await reader.follow(two)
    tweet = await stranger.post("twice")
    await retweet(one, tweet)
    await retweet(two, tweet)
    await perch.settle()
    assert await shown(reader) == [("twice", two.username), ("twice", one.username)]
    async with reader.live((await reader.home())["liveCursor"]) as live:
        await undo(two, tweet)
        assert (await live.event())["__typename"] == "TimelineTweetRemoved"
    assert await shown(reader) == [("twice", one.username)]


async def test_deleting_the_tweet_takes_every_retweet_of_it_out_live_too(perch: Perch) -> None:
    reader, one, two, author = await perch.persons(4)
    await reader.follow(one)
    await reader.follow(two)
    tweet = await author.post("gone soon")
    await retweet(one, tweet)
    await retweet(two, tweet)
    await perch.settle()
    async with reader.live((await reader.home())["liveCursor"]) as live:
        await author.delete(tweet["id"])
        events = [await live.event(), await live.event()]
    assert {event["__typename"] for event in events} == {"TimelineTweetRemoved"}
    assert {event["tweetId"] for event in events} == {tweet["id"]}
    assert len({event["edgeCursor"] for event in events}) == 2
    assert await shown(reader) == []
    payload = (await reader.do(RETWEET % "id", input={"tweetId": tweet["id"]}))["retweet"]
    assert payload == {"tweet": None, "errors": [{"code": "NOT_FOUND"}]}


async def test_repeating_either_verb_is_a_success_and_counts_once(perch: Perch) -> None:
    author, fan = await perch.persons(2)
    tweet = await author.post("again and again")
    for _ in range(3):
        found = await retweet(fan, tweet)
    assert (found["retweetCount"], found["viewerHasRetweeted"]) == (1, True)
    assert [edge["node"]["username"] for edge in found["retweeters"]["edges"]] == [fan.username]
    for _ in range(3):
        found = await undo(fan, tweet)
    assert found == {"retweetCount": 0, "viewerHasRetweeted": False, "retweeters": {"edges": []}}
    assert (await retweet(fan, tweet))["retweetCount"] == 1


async def test_a_users_tweets_are_listed_by_filter(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    theirs = await bob.post("theirs")
    await ann.post("first")
    await ann.post("answer", inReplyTo=theirs["id"])
    await retweet(ann, theirs)
    query = """query ($name: String!, $filter: UserTweetFilter) { user(username: $name) {
      tweets(filter: $filter) { nodes { text } } likes { nodes { text } } } }"""
    expected = {"TWEETS": ["first"], "TWEETS_AND_REPLIES": ["answer", "first"], "RETWEETS": ["theirs"]}
    for name, texts in expected.items():
        user = (await bob.do(query, name=ann.username, filter=name))["user"]
        assert [node["text"] for node in user["tweets"]["nodes"]] == texts
    await ann.like(theirs["id"])
    user = (await bob.do(query, name=ann.username))["user"]
    assert [node["text"] for node in user["likes"]["nodes"]] == ["theirs"]


async def test_replies_are_counted_and_listed_and_survive_what_they_answer(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    question = await ann.post("question")
    answers = [await bob.post(f"answer {number}", inReplyTo=question["id"]) for number in range(3)]
    query = """query ($id: ID!, $after: String) { tweet(id: $id) { replyCount
      replies(first: 2, after: $after) { nodes { text } pageInfo { hasNextPage endCursor } } } }"""
    tweet = (await ann.do(query, id=question["id"]))["tweet"]
    assert tweet["replyCount"] == 3
    assert [node["text"] for node in tweet["replies"]["nodes"]] == ["answer 2", "answer 1"]
    after = tweet["replies"]["pageInfo"]["endCursor"]
    tweet = (await ann.do(query, id=question["id"], after=after))["tweet"]
    assert [node["text"] for node in tweet["replies"]["nodes"]] == ["answer 0"]
    await bob.delete(answers[0]["id"])
    assert (await ann.do(query, id=question["id"]))["tweet"]["replyCount"] == 2
    await ann.delete(question["id"])
    query = "query ($id: ID!) { tweet(id: $id) { isReply inReplyTo { id } } }"
    assert (await ann.do(query, id=answers[1]["id"]))["tweet"] == {"isReply": True, "inReplyTo": None}
