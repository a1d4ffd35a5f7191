"""Load: what is refused first as requests become more, and how long one may take."""

from contextlib import ExitStack

import pytest

from datastore.deadlines import left_seconds
from datastore.mongo import PyMongoError, is_outage
from realtime.connect import RedisError, for_requests
from realtime.load import Burden, Load
from tests.realtime.conftest import House


def spared(load: Load) -> list[str]:
    """What there is room for."""
    return [burden.name for burden in Burden if load.spares(burden)]


def test_live_counts_go_first_then_search_then_rebuilds_then_reads_and_tweets_are_accepted() -> None:
    load = Load(at_once=10, seconds=5)
    found = []
    with ExitStack() as requests:
        while not load.full:
            found.append(spared(load))
            requests.enter_context(load.request())
    assert [len(one) for one in found] == [4] * 6 + [3, 2, 2, 1, 1] + [0] * 9
    assert found[6] == ["SEARCH", "REBUILD", "READ"]
    assert found[8] == ["REBUILD", "READ"]
    assert found[10] == ["READ"]
    # Nothing of it stays.
    assert spared(load) == [burden.name for burden in Burden]


async def test_a_request_that_is_out_of_time_asks_neither_store(house: House) -> None:
    redis = for_requests("redis://127.0.0.1:1/0")
    with Load(at_once=10, seconds=1e-9).request():
        assert left_seconds() <= 0
        with pytest.raises(PyMongoError) as away:
            await house.clients.mongo.ping()
        with pytest.raises(RedisError, match="out of time"):
            await redis.get("anything")
    assert is_outage(away.value)
    # It has not been counted against Redis.
    assert not redis.breaker.is_open  # type: ignore[attr-defined]
    await house.clients.mongo.ping()
