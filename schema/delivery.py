"""Delivery: homeTimelineEvents for all who subscribed in this process. Knows no socket: see Outlet."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakValueDictionary

import orjson
from graphql import ExecutionResult, GraphQLError, Node, VariableNode, Visitor, visit

from datastore.records import HomeTimelineEvent
from resolvers import guards
from resolvers.audience import Scene
from resolvers.context import Context, Services, Watch
from resolvers.rounds import Late, Rounds, stop
from schema.build import PerchSchema
from schema.plans import Plan, Text, payload, text_of


@dataclass(frozen=True, slots=True)
class Begun:
    """A homeTimelineEvents subscription that was allowed: whose, behind which position, and in which words."""

    plan: Plan
    context: Context
    viewer_id: int
    after: str | None


class Outlet(Protocol):
    """Where the payloads of one subscription go."""

    @property
    def is_writable(self) -> Callable[[], bool]:
        """Tells whether the client has read enough to be sent more."""

    async def drained(self) -> None:
        """Wait until it is writable."""

    def write(self, cursor: bytes, payload: bytes) -> None:
        """Send one event. Does not wait, and does nothing if the client has gone."""


class Teller:
    """Takes the events of one subscription, and tells them in its words. See resolvers.rounds.Taker."""

    __slots__ = ("_begun", "_outlet", "drained", "is_writable")

    def __init__(self, begun: Begun, outlet: Outlet) -> None:
        self._begun, self._outlet = begun, outlet
        # Asked twice for each event: whoever knows is asked at once.
        self.drained, self.is_writable = outlet.drained, outlet.is_writable

    def give(self, event: HomeTimelineEvent, position: str, scene: Scene) -> "Text | asyncio.Task[Text] | None":
        """Write the event, if that needs no wait; else its text."""
        text = text_of(self._begun.plan, self._begun.context, event, scene)
        if not isinstance(text, Text) or not guards.note_event(self._begun.context, text.cost):
            return text
        self._outlet.write(*text.at(position))
        return None

    async def give_slowly(self, late: Sequence[Late], scene: Scene) -> None:
        """Write events that need waits, in order."""
        plan, context = self._begun.plan, self._begun.context
        # All are begun before any is waited for: what their fields read is read together.
        texts = [begun or text_of(plan, context, event, scene) for event, _, begun in late]
        for (_, position, _), text in zip(late, texts, strict=True):
            ready: Text = text if isinstance(text, Text) else await text
            await guards.charge_event(context, ready.cost)
            await self._outlet.drained()
            self._outlet.write(*ready.at(position))


class Deliveries:
    """All homeTimelineEvents subscriptions of a process."""

    def __init__(self, schema: PerchSchema, services: Services) -> None:
        self._schema = schema
        self._rounds = Rounds(services)
        self._plans: WeakValueDictionary[Hashable, Plan] = WeakValueDictionary()

    def begin(self, watch: Watch, query: str, variables: dict[str, Any] | None) -> Begun:
        """What is left of a request once it was looked at: those who ask the same share one plan."""
        context, raw = watch.info.context, watch.info._raw_info
        used = _variables_below(raw)
        rest = {name: value for name, value in (variables or {}).items() if name in used}
        key = (query, raw.operation.name and raw.operation.name.value, orjson.dumps(rest, option=orjson.OPT_SORT_KEYS))
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = Plan(self._schema, watch, variables)
        # It would keep the whole request.
        context.take_over = None
        return Begun(plan, context, watch.viewer_id, watch.after)

    async def deliver(self, begun: Begun, outlet: Outlet) -> None:
        """Write each event as resolvers.live.home_timeline_events gives them, until cancelled. A bug or an outage
        becomes a last payload of errors, without a cursor."""
        try:
            await self._rounds.serve(begun.viewer_id, begun.after, Teller(begun, outlet))
        except Exception as error:
            failure = error if isinstance(error, GraphQLError) else GraphQLError(str(error), original_error=error)
            outlet.write(b"", payload(self._schema, ExecutionResult(None, [failure])))
        finally:
            guards.settle_events(begun.context)

    async def payloads(self, begun: Begun) -> AsyncGenerator[tuple[bytes, bytes], None]:
        """The same as (cursor, payload as JSON), for whoever can wait."""
        outlet = Waiting()
        delivering = asyncio.create_task(self.deliver(begun, outlet))
        delivering.add_done_callback(lambda _: outlet.changed.set())
        try:
            while True:
                for one in outlet.take():
                    yield one
                if delivering.done():
                    return
                await outlet.changed.wait()
        finally:
            await stop(delivering)


class Waiting:
    """An outlet whose events wait for somebody to take them: those of one round at most."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self._events: list[tuple[bytes, bytes]] = []
        self._empty = asyncio.Event()
        self._empty.set()
        self.is_writable = self._empty.is_set

    async def drained(self) -> None:
        await self._empty.wait()

    def write(self, cursor: bytes, payload: bytes) -> None:
        self._events.append((cursor, payload))
        self._empty.clear()
        self.changed.set()

    def take(self) -> list[tuple[bytes, bytes]]:
        """All that waits."""
        taken, self._events = self._events, []
        self.changed.clear()
        self._empty.set()
        return taken


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
