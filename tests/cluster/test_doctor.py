"""Doctor on a Redis Cluster: every primary is looked at, and that of the events more strictly."""

from datastore.findings import Verdict
from realtime.doctor import redis_doctors
from tests.cluster.conftest import Servers


async def test_each_primary_is_looked_at_and_only_that_of_the_events_must_keep_what_it_has(
    servers: Servers,
) -> None:
    first, *others = await redis_doctors(servers.redis)
    found = {one.name: one for doctor in (first, *others) for one in await doctor.findings()}
    assert not [one for one in found.values() if one.verdict is Verdict.WRONG]
    assert len(others) == 2
    assert len([name for name in found if name.startswith("redis.version")]) == 3
    assert [name for name in found if name.startswith("redis.eviction")] == ["redis.eviction"]
