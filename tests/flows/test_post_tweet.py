"""Walk 1: postTweet, from the mutation to the follower's open socket."""

from tests.perch import Perch


async def test_a_post_reaches_a_followers_page_and_open_subscription(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    await bob.follow(ann)
    await perch.settle()
    async with bob.live((await bob.home())["liveCursor"]) as live:
        tweet = await ann.post("hello")
        event = await live.event()
    assert event["__typename"] == "TimelineTweetAdded"
    assert event["edge"]["source"] == "FOLLOWING"
    assert event["edge"]["node"] == {"id": tweet["id"], "text": "hello", "author": {"username": ann.username}}
    page = await bob.home()
    assert [edge["cursor"] for edge in page["edges"]] == [event["edge"]["cursor"]]


async def test_a_stranger_gets_nothing(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    await bob.home()
    await ann.post("to nobody")
    await perch.settle()
    assert await bob.texts() == []


async def test_authors_see_their_own_tweet_at_once_without_waiting_for_a_worker(perch: Perch) -> None:
    ann = await perch.person()
    for number in range(5):
        await ann.post(f"tweet {number}")
        page = await ann.home()
        assert page["edges"][0]["node"]["text"] == f"tweet {number}"
        assert page["edges"][0]["source"] == "SELF"


async def test_a_deleted_tweet_leaves_page_and_subscription(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    await bob.follow(ann)
    tweet = await ann.post("not for long")
    await perch.settle()
    page = await bob.home()
    async with bob.live(page["liveCursor"]) as live:
        await ann.delete(tweet["id"])
        event = await live.event()
    assert event["__typename"] == "TimelineTweetRemoved"
    assert event["tweetId"] == tweet["id"]
    assert event["edgeCursor"] == page["edges"][0]["cursor"]
    assert await bob.texts() == []


async def test_a_delete_acts_on_pages_before_any_worker_has_seen_it(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    await bob.follow(ann)
    tweet = await ann.post("gone at once")
    await perch.settle()
    assert await bob.texts() == ["gone at once"]
    await ann.delete(tweet["id"])
    assert await bob.texts() == []


async def test_one_idempotency_key_makes_one_tweet(perch: Perch) -> None:
    ann = await perch.person()
    first = await ann.post("once", idempotencyKey="k1")
    again = await ann.post("once", idempotencyKey="k1")
    assert first["id"] == again["id"]
    assert await ann.texts() == ["once"]
    query = "mutation ($input: PostTweetInput!) { postTweet(input: $input) { tweet { id } errors { code path } } }"
    payload = (await ann.do(query, input={"text": "twice", "idempotencyKey": "k1"}))["postTweet"]
    assert payload["tweet"] is None
    assert payload["errors"] == [{"code": "IDEMPOTENCY_CONFLICT", "path": ["input", "idempotencyKey"]}]
    bob = await perch.person()
    assert (await bob.post("once", idempotencyKey="k1"))["id"] != first["id"]


async def test_one_authors_posts_arrive_in_order(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    await bob.follow(ann)
    await perch.settle()
    async with bob.live((await bob.home())["liveCursor"]) as live:
        expected = [(await ann.post(f"number {number}"))["text"] for number in range(30)]
        assert [await live.added() for _ in expected] == expected
    assert await bob.texts() == expected[::-1]
