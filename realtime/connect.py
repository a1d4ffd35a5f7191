"""Redis clients: one that gives up soon, for requests, and one that waits, for workers and subscriptions."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import AskError, OutOfMemoryError, ReadOnlyError, RedisError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from datastore import tracing
from datastore.deadlines import left_seconds
from datastore.mongo import is_outage
from realtime.breaker import Breaker
from realtime.cluster import AWAY, Cluster, RefusedError
from realtime.line import Line
from realtime.spans import Traced

Client = Redis
# Of a cluster: what a worker waits for one primary before it goes on without, and how often it then looks. The first is
# longer than a script or a blocking read of events takes, many times over.
PRIMARY_SECONDS, PROBE_SECONDS = 3.0, 0.5
# How a server ends a script in the middle when a slot has left it since it was sent.
MOVED_MEANWHILE = "ttempted to access a non local key"

# Commands that a line takes, whose answers need no reading: short ones, which nobody else's need wait for.
BY_LINE = frozenset({"EVALSHA", "SET", "UNLINK"})

__all__ = [
    "Client",
    "RedisConnectionError",
    "RedisError",
    "for_requests",
    "for_workers",
    "passes_by_itself",
    "set_aside",
]


class Guarded(Redis):
    """A client behind a breaker, which asks nothing when its request is out of time. What requests ask nearly always,
    its scripts and the drop of copies, shares one line; other commands and pipelines have the connections of a pool."""

    breaker: Breaker
    _probe: asyncio.Task[None] | None = None
    line: Line | None = None
    limit_seconds: float | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        _in_time()
        with self.breaker.passing():
            if self.line and args[0] in BY_LINE:
                return await self._by_line(self.line, args)
            async with _limited(self.limit_seconds):
                return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    async def _by_line(self, line: Line, args: Sequence[Any]) -> Any:
        try:
            return await line.call(*args)
        except RedisTimeoutError:
            raise
        except RedisConnectionError:
            # Once more at once, as with the pool: a connection that the server closed is not an outage.
            return await line.call(*args)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        made = _GuardedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        made.breaker, made.limit_seconds = self.breaker, self.limit_seconds
        return made

    def probe(self) -> None:
        """Begin to ask the server beside all callers, and close the breaker when it answers."""
        self._probe = asyncio.create_task(self._probed(), context=Context())

    async def _probed(self) -> None:
        while self.breaker.is_open:
            await asyncio.sleep(PROBE_SECONDS)
            with suppress(RedisError):
                async with _limited(self.limit_seconds):
                    await super().execute_command("PING")  # type: ignore[no-untyped-call]
                self.breaker.close()

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close every connection."""
        if self._probe:
            self._probe.cancel()
        if self.line:
            await self.line.aclose()
        await super().aclose(close_connection_pool)


class _GuardedPipeline(Pipeline):
    """All its commands pass as one."""

    breaker: Breaker
    limit_seconds: float | None

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        _in_time()
        with self.breaker.passing():
            async with _limited(self.limit_seconds):
                return await super().execute(raise_on_error)


class _TracedGuarded(Traced, Guarded):  # type: ignore[misc]
    """Both."""


@asynccontextmanager
async def _limited(seconds: float | None) -> AsyncIterator[None]:
    """NOTE: for workers, whose loops end by being cancelled: redis-py's own time limit on sending is a `wait_for`, and
    on Python 3.11 that may lose the cancellation."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise RedisTimeoutError("Redis did not answer in time") from None


def _in_time() -> None:
    if left_seconds() <= 0:
        raise RedisTimeoutError("the request is out of time")


def _refusal() -> RedisError:
    return RefusedError("Redis did not answer lately")


def set_aside() -> Client:
    """A client that asks nothing and fails at once, as if Redis were away. Nothing to close."""
    client = Guarded()
    client.breaker = Breaker((), _refusal, 0)
    client.breaker.hold()
    return client


def for_requests(url: str, timeout_ms: int = 400, open_seconds: float = 1) -> Client:
    """For the request path: an answer within `timeout_ms` or an error, and then MongoDB answers. After two such errors
    in a row nobody waits, for `open_seconds` at a time; of a cluster, nobody who needs that server."""
    seconds = timeout_ms / 1000

    def open_one(of: str) -> Client:
        breaker = Breaker(AWAY, _refusal, open_seconds)
        client = _guarded(of, "perch-requests", seconds, 200, breaker)
        # The line keeps the time of its answers itself.
        client.line = Line(_guarded(of, "perch-requests", None, 1, breaker).connection_pool.make_connection, seconds)
        return client

    return _cluster(url, open_one) if is_cluster(url) else open_one(url)


def _guarded(url: str, name: str, seconds: float | None, connections: int, breaker: Breaker) -> Guarded:
    kind = _TracedGuarded if tracing.is_on() else Guarded
    client: Guarded = kind.from_url(  # type: ignore[assignment]
        url,
        decode_responses=True,
        socket_timeout=seconds,
        socket_connect_timeout=seconds or PRIMARY_SECONDS,
        # One more try at once after a broken connection: an idle one that the server closed is not an outage. None
        # after a timeout: that was the time.
        retry=Retry(NoBackoff(), 1, (RedisConnectionError,)),
        max_connections=connections,
        client_name=name,
        # Else each new connection looks its library's version up in files, and tells Redis in two more round trips.
        driver_info=None,
        protocol=2,
    )
    client.breaker = breaker
    return client


def passes_by_itself(error: Exception) -> bool:
    """Whether it says that a store is away for now, or that a slot is on its way from one server to another: what was
    asked may be asked again until it does not."""
    away = (*AWAY, OutOfMemoryError, ReadOnlyError, AskError, TryAgainError)
    return isinstance(error, away) or MOVED_MEANWHILE in str(error) or is_outage(error)


def for_workers(url: str) -> Client:
    """For blocking reads and pub/sub: no time limit on an answer, short waits between reconnects. Of a cluster each
    server has a limit, above which it is given up and the others are served (realtime/cluster.py)."""

    def open_one(of: str) -> Client:
        client = _guarded(of, "perch-workers", None, 50, Breaker(AWAY, _refusal, math.inf))
        client.limit_seconds = PRIMARY_SECONDS
        # No caller is the probe: a server that hangs would hold one of them up again and again.
        client.breaker.opened = client.probe
        return client

    if is_cluster(url):
        return _cluster(url, open_one, spares=True)
    kind = Traced if tracing.is_on() else Redis
    return kind.from_url(
        url,
        decode_responses=True,
        # NOTE: any socket timeout here would end a blocking XREADGROUP in the middle of its wait.
        socket_timeout=None,
        socket_connect_timeout=2,
        socket_keepalive=True,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.02), 3, (RedisConnectionError, RedisTimeoutError)),
        max_connections=50,
        client_name="perch-workers",
        driver_info=None,
        protocol=2,
    )


def is_cluster(url: str) -> bool:
    """Whether this URL is of a Redis Cluster: redis+cluster:// (or rediss+), with any of its servers, by comma."""
    return "+cluster" in urlsplit(url).scheme


def _cluster(url: str, open_one: Callable[[str], Client], spares: bool = False) -> Cluster:
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    seeds = []
    for seed in hosts.split(","):
        host, colon, port = seed.rpartition(":") if not seed.endswith("]") else (seed, "", "")
        seeds.append((host.strip("[]"), int(port)) if colon else (seed.strip("[]"), 6379))

    def open_node(address: tuple[str, int]) -> Client:
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        one = parts._replace(scheme=parts.scheme.removesuffix("+cluster"), netloc=f"{login}{at}{host}:{address[1]}")
        return open_one(urlunsplit(one))

    return Cluster(seeds, open_node, spares)
