"""Misfortunes: what may befall a cluster in a box. Each ends; what it stopped can be started again."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from tests.faults.box import SERVERS, WORKERS, Box


async def worker_killed(box: Box, random: Random) -> None:
    await box.kill(random.choice(WORKERS))


async def server_killed(box: Box, random: Random) -> None:
    await box.kill(random.choice(SERVERS))


async def worker_stopped(box: Box, random: Random) -> None:
    await box.stop(random.choice(WORKERS))


async def server_stopped(box: Box, random: Random) -> None:
    await box.stop(random.choice(SERVERS))


async def worker_frozen(box: Box, random: Random) -> None:
    """Longer than its leases: another takes over, and it wakes as a zombie."""
    box.freeze_process(random.choice(WORKERS))
    await asyncio.sleep(random.uniform(1, 3))
    box.thaw()


async def primary_killed(box: Box, random: Random) -> None:
    await box.kill_child((await box.primary()).child)


async def primary_frozen(box: Box, random: Random) -> None:
    """Longer than an election or shorter; where another was elected, it wakes and does not know."""
    box.freeze((await box.primary()).child)
    await asyncio.sleep(random.uniform(1, 5))
    box.thaw()


async def primary_steps_down(box: Box, random: Random) -> None:
    await box.perch.mongo.client.admin.command("replSetStepDown", 10)


async def redis_killed(box: Box, random: Random) -> None:
    await box.kill_child(box.valkey)


async def redis_flushed(box: Box, random: Random) -> None:
    await box.perch.redis.flushall()


async def redis_frozen(box: Box, random: Random) -> None:
    box.freeze(box.valkey)
    await asyncio.sleep(random.uniform(0.5, 4))
    box.thaw()


async def one_server_cut_off(box: Box, random: Random) -> None:
    """The second server alone does not reach Redis."""
    box.redis_line.hold()
    await asyncio.sleep(random.uniform(0.5, 3))
    box.redis_line.pass_on()
    box.redis_line.cut()


async def one_server_slowed(box: Box, random: Random) -> None:
    """Each answer of Redis to the second server takes so much longer; some are too late."""
    box.redis_line.delay_seconds = random.uniform(0.05, 0.3)
    await asyncio.sleep(random.uniform(0.5, 3))
    box.redis_line.delay_seconds = 0


async def pubsub_cut(box: Box, random: Random) -> None:
    for _ in range(10):
        await box.perch.kill_pubsub()
        await asyncio.sleep(0.15)


Misfortune = Callable[[Box, Random], Awaitable[None]]
MISFORTUNES: list[Misfortune] = [
    worker_killed,
    server_killed,
    worker_stopped,
    server_stopped,
    worker_frozen,
    primary_killed,
    primary_frozen,
    primary_steps_down,
    redis_killed,
    redis_flushed,
    redis_frozen,
    one_server_cut_off,
    one_server_slowed,
    pubsub_cut,
]
