"""Figures: what refusals cost the server, and whether unknown names can be told from known ones. No test; it asserts
nothing. `python -m tests.security.figures`."""

import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from graphql import GraphQLError, parse
from pydantic import SecretStr

from datastore.devserver import mongod
from datastore.settings import Settings
from realtime.devserver import valkey
from schema.build import build
from schema.limits import RULES, TOKENS, judge_by
from tests.perch import Perch, serving
from tests.security.test_hostile_bodies import NO_OPERATIONS, TOO_LARGE
from tests.security.test_hostile_documents import BAD_DOCUMENTS

LOG_IN = 'mutation { logIn(input: {usernameOrEmail: "%s", password: "wrong horse 7"}) { errors { code } } }'
ROUNDS = 60


def of_documents() -> Iterator[tuple[float, str]]:
    """(ms of CPU, name) of reading and judging each hostile document; the best of five, no verdict remembered."""
    schema = build()._schema
    for name, (query, _) in BAD_DOCUMENTS.items():
        took = []
        for _ in range(5):
            start = time.process_time()
            with suppress(GraphQLError):
                judge_by(RULES)(schema, parse(query, max_tokens=TOKENS))
            took.append(time.process_time() - start)
        yield min(took) * 1000, name


async def of_bodies(perch: Perch) -> list[tuple[float, str]]:
    """(ms of CPU, name) of a whole request with each hostile body, its client included; the best of five."""
    found = []
    bodies: dict[str, str | bytes] = {**NO_OPERATIONS, **TOO_LARGE}
    for name, body in bodies.items():
        took = []
        for _ in range(5):
            start = time.process_time()
            await perch.http.post("/graphql", content=body, headers={"content-type": "application/json"})
            took.append(time.process_time() - start)
        found.append((min(took) * 1000, name))
    return found


async def of_log_ins(perch: Perch) -> dict[str, list[float]]:
    """ms from a log-in with a wrong password to its answer, by what is known of the name; in turn."""
    names = {"a known name": (await perch.person()).username, "an unknown name": "nobody_at_all"}
    took: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        for name, who in names.items():
            start = time.perf_counter()
            await perch.ask(LOG_IN % who)
            took[name].append((time.perf_counter() - start) * 1000)
    return took


async def main() -> None:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mongo_url = await stack.enter_async_context(mongod(folder / "mongo"))
        redis_url = await stack.enter_async_context(valkey(folder / "redis"))
        secret = SecretStr("a secret for figures, long enough to sign with")
        settings = Settings(mongo_url=mongo_url, redis_url=redis_url, secret_key=secret, rate_limits=False)
        perch = await stack.enter_async_context(serving(settings))
        gc.freeze()  # as a server does: a look at all that was imported is not the attacker's
        for what, figures in (("documents", list(of_documents())), ("bodies", await of_bodies(perch))):
            worst, name = max(figures)
            print(
                f"hostile {what}: {len(figures)}, median {statistics.median(took for took, _ in figures):.1f} ms of CPU"
            )
            print(f"  worst {worst:.1f} ms: {name}")
        for name, took in (await of_log_ins(perch)).items():
            low, middle, high = statistics.quantiles(took, n=4)
            print(f"a log-in with {name}: quartiles {low:.1f}, {middle:.1f}, {high:.1f} ms")


if __name__ == "__main__":
    asyncio.run(main())
