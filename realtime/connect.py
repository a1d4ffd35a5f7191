"""Redis clients: one that gives up soon, for requests, and one that waits, for workers and subscriptions."""

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

Client = Redis

__all__ = ["Client", "RedisConnectionError", "RedisError", "for_requests", "for_workers"]


def for_requests(url: str, timeout_ms: int = 500) -> Client:
    """For the request path: an answer within `timeout_ms` or an error, and then MongoDB answers."""
    seconds = timeout_ms / 1000
    return Redis.from_url(
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


def for_workers(url: str) -> Client:
    """For blocking reads and pub/sub: no time limit on an answer, short waits between reconnects."""
    return Redis.from_url(
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
