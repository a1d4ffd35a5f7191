"""World: the real rooms of a few processes over gated clients, four people, and a clock that ticks with each choice."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

from graphql import OperationDefinitionNode, parse

from datastore import follows, ids, retweets
from datastore.mongo import Mongo
from datastore.settings import Settings
from datastore.users import new_doc
from realtime import fanout, handlers, hub, keys, reader, scripts, top_users
from realtime.cache import Cache
from realtime.copies import Copies
from realtime.handlers import Rooms
from realtime.pipeline import open_rooms
from realtime.scripts import Scripts
from realtime.timelines import Bounds
from resolvers import context
from resolvers.context import Context, Info, Options, Services, open_services
from tests.model.conveyor import Conveyor
from tests.model.gates import GatedMongo, GatedRedis, Line, Published
from tests.model.oracle import History
from tests.model.scheduler import Scheduler
from tests.model.wire import Wire

PEOPLE = 4
# Ids of people and tweets of different runs lie this far apart.
RUN_MS = 100_000
FIRST_MS = 1_600_000_000_000
HOUR_MS = 3_600_000
# (module or class, name, what stands there instead).
Patch = tuple[Any, str, Any]
LUA = Path(scripts.__file__).parent / "lua"
# What publishes in a script, by itself or through common.lua.
_SPEAKS = re.compile(r"\bnumber[(,]|SPUBLISH")

_HOME = cast(OperationDefinitionNode, parse("{ homeTimeline { edges { node { id } } } }").definitions[0])
_HOME_LIVE = cast(OperationDefinitionNode, parse("{ homeTimeline { liveCursor } }").definitions[0])


@dataclass
class Ground:
    """Servers that runs share, one after the other."""

    wire: Wire
    line: Line
    settings: Settings
    runs: int = 0
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def close(self) -> None:
        self.loop.close()
        self.line.close()
        self.wire.close()


class LuaFolder:
    """The folder of scripts, read once; `patches` are (script, line, what stands there instead)."""

    def __init__(self, patches: Sequence[tuple[str, str, str]]) -> None:
        self._texts = {path.name: path.read_text() for path in LUA.glob("*.lua")}
        for script, line, instead in patches:
            name = f"{script}.lua"
            assert self._texts[name].count(line) == 1, f"{name} has no longer one line: {line}"
            self._texts[name] = self._texts[name].replace(line, instead)

    def load(self, line: Line) -> None:
        """Load every script, so that no run has to: which was the first would not be the same in every run."""
        common = self._texts["common.lua"]
        for name, text in self._texts.items():
            if name != "common.lua":
                line.load(name.removesuffix(".lua"), common + text, bool(_SPEAKS.search(text)))

    def __truediv__(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(read_text=lambda: self._texts[name])


@dataclass(frozen=True)
class Size:
    """How small the world is: then floors, trims, switches and lost streams happen all the time."""

    kept: int
    trim_at: int
    events: int
    top_events: int
    threshold: int
    batch: int
    clients: int
    # Followers who read nothing, and come and go together.
    crowd: int


# What the fields of Size are drawn from.
_SIZES: Mapping[str, tuple[int, ...]] = {
    "kept": (2, 3, 3, 5),
    "events": (2, 4, 4, 9),
    "top_events": (3, 5, 9),
    # With 99 nobody becomes a top user; with 1 an author is one from two followers on, with 3 by a crowd.
    "threshold": (1, 1, 2, 2, 3, 99),
    "batch": (1, 2, 9),
    "clients": (1, 1, 2),
    "crowd": (0,),
}


def size_of(rng: Random, sizes: Mapping[str, tuple[int, ...]]) -> Size:
    """A size, with fields drawn from `sizes` where they are given there."""
    drawn = {name: rng.choice(values) for name, values in {**_SIZES, **sizes}.items()}
    if drawn["threshold"] == 3:
        drawn["crowd"] = 4
    return Size(trim_at=drawn["kept"] + rng.choice([1, 2]), **drawn)


@dataclass
class Clock:
    """The time of a run: it ticks with each choice, so that ids have one order and no other clock counts."""

    ms: int

    def now_ms(self) -> int:
        return self.ms


class World:
    """One run's rooms and people."""

    def __init__(self, ground: Ground, size: Size, clock: Clock, published: Published) -> None:
        self.ground, self.size, self.clock = ground, size, clock
        self.scheduler = Scheduler()
        # Whoever is older has the lower id, as everywhere.
        self.people = [ids.first_at(clock.ms + n) for n in range(PEOPLE)]
        self.crowd = [ids.first_at(clock.ms + PEOPLE + n) for n in range(size.crowd)]
        all_ = [*self.people, *self.crowd]
        docs = [new_doc(f"r{ground.runs}p{n}", "", clock.ms) | {"_id": id_} for n, id_ in enumerate(all_)]
        ground.wire["users"].insert_many(docs)
        self.history = History(ground.wire, self.people)
        self.conveyor = Conveyor(self.scheduler, self.history)
        self.line = ground.line
        self.line.send("FLUSHALL")
        self.line.listen([keys.TOP_CHANNEL, *map(keys.reader_channel, self.people)])
        self.bounds = Bounds(size.kept, size.trim_at, events_kept=size.events, build_lease_ms=HOUR_MS)
        self.mongo = cast(Mongo, GatedMongo(ground.wire, self.scheduler.gate, self._written, clock.now_ms))
        self.redis = GatedRedis(self.line, self.scheduler.gate, published)
        rooms = open_rooms(self.mongo, self.redis, 1, self.bounds, size.threshold)
        self.worker_rooms = replace(rooms, raise_event=self.conveyor.raise_event)

    def _written(self, collection: str) -> None:
        self.conveyor.happened(collection, *self.history.look(collection))

    def services(self) -> Services:
        """The rooms of an API process that has just started."""
        options = Options.of(self.ground.settings)
        options = replace(options, bounds=self.bounds, sweep_seconds=0, rate_limits=False)
        return open_services(self.mongo, self.redis, self.redis, options)

    def rooms(self) -> Rooms:
        """What handlers of a batch work with: nothing gathered yet."""
        scripts_ = Scripts(self.redis)
        return replace(self.worker_rooms, fanout=fanout.Fanout(scripts_, self.bounds))

    def info(self, services: Services, viewer: int, live: bool = False) -> Info:
        """What a resolver is called with, asking for a home timeline."""
        nodes = (_HOME_LIVE if live else _HOME).selection_set.selections
        raw = SimpleNamespace(field_nodes=nodes, fragments={})
        asked = Context(services, "127.0.0.1", viewer_id=viewer)
        return cast(Info, SimpleNamespace(context=asked, _raw_info=raw))


async def _from_truth(_: Cache, kind: Any, record_ids: Sequence[int], __: Copies) -> list[Any]:
    found: list[Any] = await kind.truth(record_ids)
    return found


async def _nothing_to_drop(*_: Any, **__: Any) -> None:
    return None


@contextmanager
def small(size: Size, clock: Clock, lua: LuaFolder, patches: Sequence[Patch] = ()) -> Iterator[None]:
    """Chunks of one or two instead of hundreds, the run's own clock, and the patches of an ablation."""
    chunks: list[Patch] = [
        (follows, "WALK_BATCH", size.batch),
        (retweets, "WALK_BATCH", size.batch),
        (fanout, "PAIRS_PER_SCRIPT", size.batch),
        # Those with as many followers as a batch are walked.
        (handlers, "FEW_FOLLOWERS", size.batch),
        (top_users, "TOP_EVENTS_KEPT", size.top_events),
        (reader, "QUEUE_LIMIT", size.batch + 1),
        (hub, "LOOKED_AT_ONCE", size.batch + 1),
        (scripts, "_FOLDER", lua),
        (ids, "now_ms", clock.now_ms),
        # Nobody logs in, and opening the rooms would hash a password.
        (context, "Credentials", lambda *_: None),
        # Copies of tweets and people have clocks of their own and tests of their own: here all is read from its truth.
        (Cache, "_get", _from_truth),
        (Cache, "drop", _nothing_to_drop),
    ]
    with ExitStack() as stack:
        for target, name, value in [*chunks, *patches]:
            stack.enter_context(mock.patch.object(target, name, value))
        yield
