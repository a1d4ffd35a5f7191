"""Delivery: homeTimelineEvents as texts, each made once for all readers whom it fits. Knows no socket."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Hashable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakValueDictionary

import orjson
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    Node,
    VariableNode,
    Visitor,
    execute_subscription_event,
    visit,
)

from datastore.records import HomeTimelineEvent, TweetAdded
from resolvers import guards
from resolvers.audience import Audience, Scene
from resolvers.context import Context, Services, Watch
from resolvers.live import shown_events
from schema import cursors
from schema.build import PerchSchema
from schema.cost import objects

# Stands for the reader's position while a text is made. Random: nobody can write a tweet that holds it.
_HOLE = f"{secrets.token_hex(16)}/0"
_HOLE_CURSOR = cursors.encode_live(_HOLE)
# Texts of events that need no look into a store, kept by each plan: a delete reaches many readers within moments.
KEPT_TEXTS = 64
# What in a context says who asks.
_OF_THE_VIEWER = frozenset({"viewer_id", "session_id", "expires_at", "client_ip", "user_agent", "connection_params"})


class Observed(Context):
    """A context that notes whether it was asked who the viewer is. What is made without asking fits everybody."""

    __slots__ = ("asked",)

    def __init__(self, context: Context, scene: Scene | None) -> None:
        super().__init__(context.services, context.client_ip, context.user_agent, context.viewer_id)
        self.loaders = scene.loaders if scene else context.services.loaders()
        self.asked = False

    def __getattribute__(self, name: str) -> Any:
        if name in _OF_THE_VIEWER:
            self.asked = True
        return super().__getattribute__(name)


@dataclass(frozen=True, slots=True)
class Text:
    """The payload of a `next` message, cut where the cursor goes; `personal` if it depends on who asked. `cost` is
    what it costs each of its readers."""

    parts: tuple[str, ...]
    personal: bool
    cost: int

    def at(self, cursor: str) -> str:
        """The JSON for a reader who stands there now."""
        return cursor.join(self.parts)


class Plan:
    """A document with its variables, ready to be run for one event after the other."""

    def __init__(self, schema: PerchSchema, watch: Watch, variables: dict[str, Any] | None) -> None:
        raw = watch.info._raw_info
        self._schema = schema
        document = DocumentNode(definitions=(raw.operation, *raw.fragments.values()))
        built = schema.execution_context_class.build(raw.schema, document, raw_variable_values=variables)
        if isinstance(built, list):  # cannot be: the operation has been begun with these very variables
            raise built[0]
        self._executor: Any = built
        self.texts: dict[Hashable, asyncio.Task[Text]] = {}

    async def text(self, context: Observed, event: HomeTimelineEvent) -> Text:
        """The event as this document shows it, to whom the context belongs. Errors of fields are part of it."""
        executor = self._executor.build_per_event_executor(event)
        executor.context_value = context
        context.asked = False
        found: Any = execute_subscription_event(executor)
        result: ExecutionResult = await found if executor.is_awaitable(found) else found
        parts = tuple(payload(self._schema, result).split(_HOLE_CURSOR))
        return Text(parts, context.asked, objects(result.data))


class Deliveries:
    """All homeTimelineEvents subscriptions of a process."""

    def __init__(self, schema: PerchSchema, services: Services) -> None:
        self._schema = schema
        self._audience = Audience(services)
        self._plans: WeakValueDictionary[Hashable, Plan] = WeakValueDictionary()

    async def payloads(
        self, watch: Watch, query: str, variables: dict[str, Any] | None
    ) -> AsyncGenerator[tuple[str, str], None]:
        """(cursor, payload as JSON) of each event, as resolvers.live.home_timeline_events gives them; until cancelled.
        A bug or an outage becomes a last payload of errors, without a cursor."""
        plan = self._plan(watch, query, variables)
        context = watch.info.context
        try:
            async with aclosing(shown_events(watch, self._audience)) as events:
                async for event, scene in events:
                    cursor = cursors.encode_live(event.token)
                    text = await self._text(plan, context, event, scene)
                    await guards.charge_event(context, text.cost)
                    yield cursor, text.at(cursor)
        except Exception as error:
            failure = error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)
            yield "", payload(self._schema, ExecutionResult(None, [failure]))
        finally:
            guards.settle_events(context)

    def _plan(self, watch: Watch, query: str, variables: dict[str, Any] | None) -> Plan:
        raw = watch.info._raw_info
        used = _variables_below(raw)
        rest = {name: value for name, value in (variables or {}).items() if name in used}
        key = (query, raw.operation.name and raw.operation.name.value, orjson.dumps(rest, option=orjson.OPT_SORT_KEYS))
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = Plan(self._schema, watch, variables)
        return plan

    async def _text(self, plan: Plan, context: Context, event: HomeTimelineEvent, scene: Scene | None) -> Text:
        """The text for this reader, whose event it is. `scene` holds what was read for it, None where nothing was."""
        event = replace(event, token=_HOLE)
        made, key = (scene.made, (plan, *_likeness(event))) if scene else (plan.texts, _likeness(event))
        first = key not in made
        if first:
            if len(made) >= KEPT_TEXTS and scene is None:
                made.clear()
            # A task of its own: who asks first may leave, and the text is made all the same.
            made[key] = asyncio.create_task(plan.text(Observed(context, scene), event))
        text: Text = await asyncio.shield(made[key])
        return text if first or not text.personal else await plan.text(Observed(context, scene), event)


def _likeness(event: HomeTimelineEvent) -> tuple[Hashable, ...]:
    """What two readers' events of one batch have in common if they may share a text."""
    if isinstance(event, TweetAdded):
        return event.edge.entry_id, event.edge.source, event.edge.retweeter_id
    return (event,)


def _variables_below(raw: Any) -> set[str]:
    """The names of the variables that decide what an event shows: all but those in the root field's arguments."""
    nodes: list[Node | None] = [*raw.fragments.values(), *(raw.operation.directives or ())]
    for field in raw.field_nodes:
        nodes += [field.selection_set, *(field.directives or ())]
    names = Names()
    for node in filter(None, nodes):
        visit(node, names)
    return names.found


class Names(Visitor):
    """Notes every variable that is used."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.found.add(node.name.value)


def payload(schema: PerchSchema, result: Any) -> str:
    """A result as the stock handler sends it."""
    found: dict[str, Any] = {"data": result.data}
    if result.errors:
        schema.process_errors(result.errors)
        found["errors"] = [error.formatted for error in result.errors]
    return orjson.dumps(found).decode()
