"""Fuzzing: schemathesis against a Perch of its own, as nobody and as somebody: what `make fuzz` runs."""

import argparse
import asyncio
import secrets
import sys
import tempfile
from asyncio.subprocess import PIPE, STDOUT
from contextlib import AsyncExitStack
from pathlib import Path

from pydantic import SecretStr

from datastore.devserver import mongod
from datastore.settings import Settings
from realtime.devserver import valkey
from tests.perch import Perch, serving

# What it calls positive is what its generator thinks of ids and cursors, which are opaque here.
CHECKS = ("--checks", "all", "--exclude-checks", "positive_data_acceptance")


async def run(perch: Perch, folder: Path, cases: int, seed: int, token: str | None = None) -> tuple[int, str]:
    """Its exit code, 0 without failures, and its report, after so many cases for each query and mutation."""
    # After a log-out it would be nobody again.
    header = ("-H", f"Authorization: Bearer {token}", "--exclude-name", "Mutation.logOut") if token else ()
    flags = (*CHECKS, "-n", str(cases), "--seed", str(seed), "--warnings", "off", "--no-color", *header)
    command = (sys.executable, "-m", "schemathesis.cli", "run", f"{perch.url}/graphql", *flags)
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=PIPE, stderr=STDOUT)
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def main(cases: int, seed: int) -> int:
    """The worse of both exit codes."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mongo_url = await stack.enter_async_context(mongod(folder / "mongo"))
        redis_url = await stack.enter_async_context(valkey(folder / "redis"))
        settings = Settings(
            mongo_url=mongo_url,
            redis_url=redis_url,
            data_dir=folder,
            secret_key=SecretStr(secrets.token_hex()),
            rate_limits=False,
        )
        perch = await stack.enter_async_context(serving(settings))
        worst = 0
        for token in (None, (await perch.person()).token):
            code, report = await run(perch, folder, cases, seed, token)
            print(f"fuzz: {'somebody' if token else 'nobody'}", report, sep="\n")
            worst = max(worst, code)
        return worst


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100, help="for each query and mutation")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.cases, given.seed)))
