"""Plans: documents of homeTimelineEvents, run for events, each once for all readers whom the text fits. Knows no socket
and no reader.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import orjson
from graphql import DocumentNode, ExecutionResult, execute_subscription_event

from datastore.records import HomeTimelineEvent
from resolvers.audience import ANYWHERE, Scene
from resolvers.context import Context, Watch
from schema import cursors
from schema.build import PerchSchema
from schema.cost import objects

# Stands for the reader's cursor while a text is made.
_HOLE = cursors.live(ANYWHERE)
# What in a context says who asks.
_OF_THE_VIEWER = frozenset({"viewer_id", "session_id", "expires_at", "client_ip", "user_agent", "connection_params"})


class Observed(Context):
    """A context that notes whether it was asked who the viewer is. What is made without asking fits everybody."""

    __slots__ = ("asked",)

    def __init__(self, context: Context, scene: Scene) -> None:
        super().__init__(context.services, context.client_ip, context.user_agent, context.viewer_id)
        self.loaders = scene.loaders
        self.asked = False

    def __getattribute__(self, name: str) -> Any:
        if name in _OF_THE_VIEWER:
            self.asked = True
        return super().__getattribute__(name)


@dataclass(frozen=True, slots=True)
class Text:
    """The payload of a `next` message, cut where the cursor goes; `personal` if it depends on who asked. `cost` is
    what it costs each of its readers."""

    parts: tuple[bytes, ...]
    personal: bool
    cost: int

    def at(self, position: str) -> tuple[bytes, bytes]:
        """The cursor of a reader who stands there now, and their JSON."""
        cursor = cursors.live(position)
        return cursor, cursor.join(self.parts)


class Plan:
    """A document with its variables, ready to be run for one event after the other."""

    def __init__(self, schema: PerchSchema, watch: Watch, variables: dict[str, Any] | None) -> None:
        raw = watch.info._raw_info
        self._schema = schema
        document = DocumentNode(definitions=(raw.operation, *raw.fragments.values()))
        built: Any = schema.execution_context_class.build(raw.schema, document, raw_variable_values=variables)
        if isinstance(built, list):  # cannot be: the operation has been begun with these very variables
            raise built[0]
        self._executor = built
        self._name, self._complete = built.root()

    def text(self, context: Observed, event: HomeTimelineEvent) -> "Text | asyncio.Task[Text]":
        """The event as this document shows it, to whom the context belongs; a task where fields must wait. Errors of
        fields are part of it."""
        context.asked = False
        if data := self._shaped(context, event):
            return self._text(context, ExecutionResult(data, None))
        executor = self._executor.build_per_event_executor(event)
        executor.context_value = context
        found: Any = execute_subscription_event(executor)
        if executor.is_awaitable(found):
            # A task of its own: who asks first may leave, and the text is made all the same.
            return asyncio.create_task(self._awaited(context, found))
        return self._text(context, found)

    def _shaped(self, context: Observed, event: HomeTimelineEvent) -> dict[str, Any] | None:
        """What graphql-core would give, past all that it looks at for every event anew; None where it has to be asked:
        where a field fails, or waits."""
        if self._complete is None:
            return None
        self._executor.context_value = context
        reading = self._executor.reading()
        try:
            value = self._complete(event, reading)
        except Exception:
            return None
        finally:
            self._executor.context_value = None
        if reading.waiting:
            # So it will be with the next event.
            self._complete = None
            reading.drop()
            return None
        return {self._name: value}

    async def _awaited(self, context: Observed, found: Awaitable[ExecutionResult]) -> Text:
        return self._text(context, await found)

    def _text(self, context: Observed, result: ExecutionResult) -> Text:
        parts = tuple(payload(self._schema, result).split(_HOLE))
        return Text(parts, context.asked, objects(result.data))


def text_of(plan: Plan, context: Context, event: HomeTimelineEvent, scene: Scene) -> "Text | asyncio.Task[Text]":
    """The text of an event for one of the readers who are given it; a task where it must be waited for. `scene` holds
    what was read for it and what was made for others."""
    # By its identity: readers who are shown the same have the same event.
    key = plan, id(event)
    found = scene.made.get(key)
    if found is None:
        found = scene.made[key] = _run(plan, context, event, scene)
        return found
    if isinstance(found, asyncio.Task):
        return asyncio.create_task(_behind(found, plan, context, event, scene))
    return found if not found.personal else _run(plan, context, event, scene)


def _run(plan: Plan, context: Context, event: HomeTimelineEvent, scene: Scene) -> "Text | asyncio.Task[Text]":
    return plan.text(Observed(context, scene), event)


async def _behind(
    first: "asyncio.Task[Text]", plan: Plan, context: Context, event: HomeTimelineEvent, scene: Scene
) -> Text:
    """What was made for the first who asked, if it fits everybody; else what is made for this one."""
    text = await asyncio.shield(first)
    if text.personal:
        own = _run(plan, context, event, scene)
        text = own if isinstance(own, Text) else await own
    return text


def payload(schema: PerchSchema, result: Any) -> bytes:
    """A result as the stock handler sends it."""
    found: dict[str, Any] = {"data": result.data}
    if result.errors:
        schema.process_errors(result.errors)
        found["errors"] = [error.formatted for error in result.errors]
    return orjson.dumps(found)
