"""WORKERS: several server processes behind one port, which die, come back and drain as one server would."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.perch import PATIENCE_SECONDS, Perch
from tests.processes import Cluster

BUSY = "{ __typename }"


@pytest.fixture
async def cluster(urls: tuple[str, str], tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(urls, tmp_path, WORKERS="2")
    yield cluster
    await cluster.stop()


async def asked(perch: Perch) -> int:
    """The status of a request over a connection of its own."""
    async with httpx.AsyncClient(base_url=perch.url, timeout=PATIENCE_SECONDS) as http:
        return (await http.post("/graphql", json={"query": BUSY})).status_code


async def answering(perch: Perch) -> set[int]:
    """The pids of those who have answered so far, by the metrics that all of them share."""
    await asyncio.gather(*(asked(perch) for _ in range(8)))
    return {
        int(pid) for pid in re.findall(r'perch_requests_in_hand{pid="(\d+)"}', (await perch.http.get("/metrics")).text)
    }


async def until_two_answer(perch: Perch, parent: psutil.Process, but: int = 0) -> set[int]:
    async with asyncio.timeout(6 * PATIENCE_SECONDS):
        while True:
            living = {child.pid for child in parent.children()} - {but}
            if len(living) == 2 and living <= await answering(perch):
                return living


async def test_two_servers_share_a_port_one_is_replaced_and_both_drain(cluster: Cluster) -> None:
    process = await cluster.start("serve")
    async with cluster.perch() as perch:
        parent = psutil.Process(process.pid)
        first = await until_two_answer(perch, parent)
        dead = min(first)
        psutil.Process(dead).kill()
        assert [await asked(perch) for _ in range(10)] == [200] * 10
        second = await until_two_answer(perch, parent, dead)
        assert len(second - first) == 1
        # Over connections that are open already: none of these is cut off.
        async with httpx.AsyncClient(base_url=perch.url, timeout=PATIENCE_SECONDS) as http:
            flying = [asyncio.create_task(http.post("/graphql", json={"query": BUSY})) for _ in range(20)]
            await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
            process.send_signal(signal.SIGTERM)
            assert [answer.status_code for answer in await asyncio.gather(*flying)] == [200] * 20
    assert await asyncio.wait_for(process.wait(), 2 * PATIENCE_SECONDS) == 0
    assert not [pid for pid in second if psutil.pid_exists(pid)]
