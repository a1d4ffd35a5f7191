"""Redis clients: one that gives up soon, for requests, and one that waits, for workers and subscriptions."""

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from datastore import tracing
from datastore.deadlines import left_seconds
from datastore.mongo import is_outage
from realtime.breaker import Breaker
from realtime.spans import Traced

Client = Redis

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
    """A client behind a breaker, which asks nothing when its request is out of time."""

    breaker: Breaker

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        _in_time()
        with self.breaker.passing():
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        made = _GuardedPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        made.breaker = self.breaker
        return made


class _GuardedPipeline(Pipeline):
    """All its commands pass as one."""

    breaker: Breaker

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        _in_time()
        with self.breaker.passing():
            return await super().execute(raise_on_error)


class _TracedGuarded(Traced, Guarded):  # type: ignore[misc]
    """Both."""


def _in_time() -> None:
    if left_seconds() <= 0:
        raise RedisTimeoutError("the request is out of time")


def _refusal() -> RedisError:
    return RedisConnectionError("Redis did not answer lately")


def set_aside() -> Client:
    """A client that asks nothing and fails at once, as if Redis were away. Nothing to close."""
    client = Guarded()
    client.breaker = Breaker((), _refusal, 0)
    client.breaker.hold()
    return client


def for_requests(url: str, timeout_ms: int = 400, open_seconds: float = 1) -> Client:
    """For the request path: an answer within `timeout_ms` or an error, and then MongoDB answers. After two such errors
    in a row nobody waits, for `open_seconds` at a time."""
    client = _patient_for(url, timeout_ms / 1000)
    client.breaker = Breaker((RedisConnectionError, RedisTimeoutError), _refusal, open_seconds)
    return client


def _patient_for(url: str, seconds: float) -> Guarded:
    kind = _TracedGuarded if tracing.is_on() else Guarded
    client: Guarded = kind.from_url(  # type: ignore[assignment]
        url,
        decode_responses=True,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        # One more try at once after a broken connection: an idle one that the server closed is not an outage. None
        # after a timeout: that was the time.
        retry=Retry(NoBackoff(), 1, (RedisConnectionError,)),
        max_connections=200,
        client_name="perch-requests",
        protocol=2,
    )
    return client


def passes_by_itself(error: Exception) -> bool:
    """Whether it says that a store is away for now: what was asked may be asked again until it does not."""
    away = (RedisConnectionError, RedisTimeoutError, OutOfMemoryError, ReadOnlyError)
    return isinstance(error, away) or is_outage(error)


def for_workers(url: str) -> Client:
    """For blocking reads and pub/sub: no time limit on an answer, short waits between reconnects."""
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
        protocol=2,
    )
