"""Walks of tests/flows about what is popular and what people do, over a Redis Cluster."""
# ruff: noqa: F401  pytest finds them here, and runs them in the world of this folder

from tests.flows.test_top_tweets import (
    crowd,
    test_a_subscriber_gets_the_list_at_once_and_then_each_change,
    test_likes_make_a_rank_and_unlikes_take_it,
)
from tests.flows.test_topics import test_everything_a_person_does_is_told_in_order
