"""Walks of tests/flows, over a Redis Cluster."""
# ruff: noqa: F401  pytest finds them here, and runs them in the world of this folder

from realtime.connect import Client
from tests.flows.test_delete_account import deleted, holds, number, purged, value_of
from tests.flows.test_follow import test_recent_tweets_of_a_newly_followed_author_merge_in
from tests.flows.test_live import (
    pair,
    test_a_flush_is_announced_and_the_subscription_goes_on,
    test_a_resume_gives_what_was_missed_and_a_second_one_nothing,
)
from tests.flows.test_post_tweet import (
    test_a_deleted_tweet_leaves_page_and_subscription,
    test_a_post_reaches_a_followers_page_and_open_subscription,
)
from tests.flows.test_top_users import (
    crowd,
    test_every_follower_sees_each_tweet_once_and_in_order_across_both_switches,
)
from tests.perch import Perch


async def test_a_deleted_account_leaves_no_key_on_any_primary(perch: Perch) -> None:
    ann, bob = await perch.persons(2)
    await ann.follow(bob)
    await bob.follow(ann)
    tweet = await ann.post("soon gone")
    await bob.like(tweet["id"])
    await perch.settle()
    await ann.texts()
    await bob.texts()
    about = [str(number(ann))]
    assert await naming(perch.redis, about)
    await deleted(ann)
    await purged(perch, ann)
    assert await naming(perch.redis, about) == []


async def naming(redis: Client, words: list[str]) -> list[str]:
    """The keys whose name or value holds any of the words."""
    return [name async for name in redis.scan_iter() if holds((name, await value_of(redis, name)), words)]
