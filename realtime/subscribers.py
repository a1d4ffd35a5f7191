"""Subscribers: the channels of a process over a Redis Cluster, each at its slot's primary. Promises no message; what
moves is subscribed to again, and the hub sees by the new confirmation that something may have been missed.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from redis.exceptions import MovedError

from realtime.cluster import Cluster
from realtime.connect import Client, RedisError
from realtime.slots import Address, slot_of
from realtime.subscriber import Subscriber, Take

# Between two tries to find who has a slot: it changes hands within tenths of a second.
LOOK_SECONDS = 0.05


def subscriber_of(redis: Client, take: Take, retry_seconds: float) -> "Subscriber | Subscribers":
    """One connection, or of a cluster one for each primary that has channels of ours."""
    kind: Callable[..., Subscriber | Subscribers] = Subscribers if isinstance(redis, Cluster) else Subscriber
    return kind(redis, take, retry_seconds)


class Subscribers:
    """As `Subscriber`. `run()` must be running; of one channel all is taken in the order in which it was sent."""

    def __init__(self, redis: Cluster, take: Take, retry_seconds: float) -> None:
        self._slots = redis.slots
        self._take = take
        self._retry_seconds = retry_seconds
        self._channels: set[str] = set()
        # Where each channel is subscribed to; those to be placed are in none, or in one that has lost them.
        self._at: dict[str, Address] = {}
        self._unplaced: set[str] = set()
        self._of: dict[Address, tuple[Subscriber, asyncio.Task[None]]] = {}
        self._look = asyncio.Event()

    async def subscribe(self, channel: str) -> None:
        """Ask for a channel; its confirmation is taken once a primary sends what is published there."""
        self._channels.add(channel)
        await self._place(channel)

    async def unsubscribe(self, channel: str) -> None:
        """Ask for a channel no longer; idempotent."""
        self._channels.discard(channel)
        self._unplaced.discard(channel)
        await self._leave(channel)

    async def run(self) -> None:
        """Keep every channel where its slot is, until cancelled."""
        seen = 0
        try:
            while True:
                await self._look.wait()
                self._look.clear()
                if seen != self._slots.version:
                    seen = self._slots.version
                    self._unplaced |= {one for one in self._channels if not await self._is_placed(one)}
                for channel in list(self._unplaced):
                    await self._place(channel)
                self._close_idle()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            for _, task in self._of.values():
                task.cancel()

    async def _is_placed(self, channel: str) -> bool:
        try:
            return self._at.get(channel) == await self._slots.owner(slot_of(channel))
        except RedisError:
            return False

    async def _place(self, channel: str) -> None:
        try:
            address = await self._slots.owner(slot_of(channel))
        except RedisError:
            self._lost(channel)
            return
        if channel in self._channels:
            await self._leave(channel)
            self._unplaced.discard(channel)
            self._at[channel] = address
            await self._subscriber(address).subscribe(channel)

    async def _leave(self, channel: str) -> None:
        address = self._at.pop(channel, None)
        if address in self._of:
            await self._of[address][0].unsubscribe(channel)

    def _subscriber(self, address: Address) -> Subscriber:
        if address not in self._of:
            take, refused = partial(self._took, address), partial(self._refused, address)
            made = Subscriber(self._slots.node(address), take, self._retry_seconds, refused)
            self._of[address] = made, asyncio.create_task(made.run())
        return self._of[address][0]

    def _close_idle(self) -> None:
        for address in self._of.keys() - self._at.values():
            self._of.pop(address)[1].cancel()

    def _took(self, address: Address, kind: str, channel: str, data: str) -> None:
        if kind == "sunsubscribe" and self._at.get(channel) == address and channel in self._channels:
            # Not asked for: its slot has left this server.
            self._slots.doubt()
            self._lost(channel)
        self._take(kind, channel, data)

    def _refused(self, address: Address, error: Exception) -> None:
        if isinstance(error, MovedError):
            self._slots.moved(error, address)
            for channel, at in self._at.items():
                if at == address and slot_of(channel) == error.slot_id:
                    self._lost(channel)
        self._slots.doubt()
        self._look.set()

    def _lost(self, channel: str) -> None:
        self._unplaced.add(channel)
        self._look.set()
