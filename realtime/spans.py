"""Spans of Redis commands: clients that have each command traced which belongs to a trace. Names of commands and
scripts only, never a key or a value.
"""

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from datastore import tracing

# The names of scripts by their SHA, as realtime.scripts found them.
SCRIPTS: dict[str, str] = {}


def name_of(command: tuple[Any, ...]) -> str:
    """What a command is called: a script by its own name."""
    name = str(command[0]).lower()
    return f"redis {SCRIPTS.get(command[1], name)}" if name == "evalsha" else f"redis {name}"


class Traced(Redis):
    """Before another kind of client in the order of bases, which does the work."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        with tracing.inner(name_of(args), db_system_name="redis"):
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        made = super().pipeline(transaction, shard_hint)
        execute = made.execute

        async def traced(raise_on_error: bool = True) -> list[Any]:
            first = made.command_stack[0][0] if made.command_stack else ("nothing",)
            with tracing.inner(f"{name_of(first)} x{len(made.command_stack)}", db_system_name="redis"):
                return await execute(raise_on_error)

        made.execute = traced  # type: ignore[method-assign]
        return made
