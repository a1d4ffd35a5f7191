"""Delivery in groups says byte for byte what the stock road says, to each reader what is theirs, and once for all."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resolvers.context import Context
from schema import globalid, plans
from tests.perch import Perch, Person

# What depends on who asks, what fails, what is conditional: each with its fields.
ENTRY_PARTS = (
    "cursor source",
    "retweetedBy { username viewerIsFollowing }",
    "node { text createdAt author { username } }",
    "node { viewerHasLiked viewerHasRetweeted }",
    "node { author { viewerIsFollowing isTopUser } }",
    "node { inReplyTo { text viewerHasLiked } }",
    "n: node { words: text ... on Tweet { id } }",
    "node { replies(first: $few) { nodes { text } } }",
    "node { likers(first: 0) { nodes { username } } }",
    "node { text @include(if: $yes) isReply @skip(if: $yes) }",
    "...Entry",
)
FRAGMENT = "fragment Entry on HomeTimelineEdge { cursor node { likeCount mentions { username } } }"
EVENTS = (
    "... on TimelineTweetAdded { cursor edge { %s } }",
    "... on TimelineTweetAdded { edge { %s } here: cursor cursor }",
    "... on TimelineTweetAdded @include(if: $yes) { edge { %s } }",
)
OTHERS = "... on TimelineTweetRemoved { cursor edgeCursor tweetId } ... on TimelineResync { reason cursor }"


@st.composite
def documents(draw: st.DrawFn) -> str:
    parts = draw(st.lists(st.sampled_from(ENTRY_PARTS), min_size=1, max_size=4, unique=True))
    alias = draw(st.sampled_from(["", "home: "]))
    name = draw(st.sampled_from(["__typename", ""]))
    event = draw(st.sampled_from(EVENTS)) % " ".join(parts)
    fields = f"{alias}homeTimelineEvents(after: $after) {{ {name} {event} {OTHERS} }}"
    return whole(fields, yes=draw(st.booleans()))


def whole(fields: str, yes: bool = True) -> str:
    """A document around a root field, with the variables and the fragment that it uses."""
    variables = {"$after": "String", "$few": "Int = 1", "$yes": f"Boolean = {str(yes).lower()}"}
    declared = ", ".join(f"{name}: {type_}" for name, type_ in variables.items() if name in fields)
    return f"subscription Live({declared}) {{ {fields} }} {FRAGMENT if '...Entry' in fields else ''}"


@dataclass
class History:
    """Two readers, what each stood at before all that happened, and how many events each is shown."""

    readers: list[Person]
    cursors: list[str]
    shown: list[int]


async def history(perch: Perch) -> History:
    """A tweet, a liked one, an answer, a stranger's tweet passed on and a deleted one, seen by two readers."""
    first, second, author, stranger = await perch.persons(4)
    for reader in (first, second):
        await reader.follow(author)
    await second.follow(stranger)
    await perch.settle()
    cursors = [(await reader.home())["liveCursor"] for reader in (first, second)]
    plain = await author.post(f"plain, for @{first.username}")
    await author.post("an answer", inReplyTo=plain["id"])
    passed_on = await stranger.post('a stranger\'s \u2028 "words"')
    await author.verb("retweet", {"tweetId": passed_on["id"]})
    gone = await author.post("soon gone")
    await perch.settle()
    await first.like(plain["id"])
    await author.delete(gone["id"])
    await perch.settle()
    # Both: two tweets and the removal. The first: the stranger's, passed on. The second: the stranger's own.
    return History([first, second], cursors, [4, 4])


async def grouped(reader: Person, document: str, after: str, count: int) -> list[str]:
    """What the server sends over a socket."""
    async with reader.perch.socket() as socket:
        await socket.init({"authorization": f"Bearer {reader.token}"})
        payload = {"query": document, "variables": {"after": after}}
        await socket.send({"type": "subscribe", "id": 'a "quoted" id', "payload": payload})
        return [str(await asyncio.wait_for(socket.connection.recv(), 10)) for _ in range(count)]


async def stock(reader: Person, document: str, after: str, count: int) -> list[str]:
    """What Strawberry makes of it, reader by reader."""
    endpoint: Any = reader.perch.endpoint
    context = Context(endpoint._services, "127.0.0.1", viewer_id=globalid.of_type(reader.id, "User"))
    results = await endpoint.schema.stream(document, variable_values={"after": after}, context_value=context)
    found: list[str] = []
    async with aclosing(results):
        while len(found) < count:
            result = await asyncio.wait_for(anext(results), 10)
            payload = {"data": result.data}
            if result.errors:
                payload["errors"] = [error.formatted for error in result.errors]
            message = {"id": 'a "quoted" id', "type": "next", "payload": payload}
            found.append(orjson.dumps(message).decode())
    return found


@pytest.fixture(scope="module")
async def happened(perch: Perch) -> History:
    return await history(perch)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(document=documents())
async def test_delivery_in_groups_says_byte_for_byte_what_the_stock_road_says(happened: History, document: str) -> None:
    await both(happened, document)


@pytest.mark.parametrize("part", ENTRY_PARTS)
async def test_every_kind_of_field_comes_out_as_on_the_stock_road(happened: History, part: str) -> None:
    fields = f"{EVENTS[0] % part} {OTHERS}"
    await both(happened, whole(f"homeTimelineEvents(after: $after) {{ {fields} }}"))


async def test_a_document_is_run_once_for_all_whom_it_fits_and_by_itself_for_each_viewer_it_names(
    happened: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []
    run = plans.Plan.text

    def counted(plan: plans.Plan, context: Any, event: Any) -> Any:
        runs.append(type(event).__name__)
        return run(plan, context, event)

    monkeypatch.setattr(plans.Plan, "text", counted)
    event = "... on TimelineTweetAdded { edge { node { text author { username } } } }"
    shared = whole(f"homeTimelineEvents(after: $after) {{ __typename {event} }}")
    second = (happened.readers[1], happened.cursors[1], happened.shown[1])
    await asyncio.gather(*(grouped(second[0], shared, *second[1:]) for _ in range(2)))
    alone = len(runs)
    runs.clear()
    reader, cursor, count = second
    await asyncio.gather(*(grouped(reader, shared, cursor, count) for _ in range(10)))
    assert len(runs) < 10 * count / 2, (alone, runs)


async def both(happened: History, document: str) -> None:
    roads = zip(happened.readers, happened.cursors, happened.shown, strict=True)
    asked = [(reader, document, cursor, count) for reader, cursor, count in roads]
    # Each reader twice, at once: what may be shared is shared.
    expected = await asyncio.gather(*(stock(*one) for one in asked))
    for _ in range(2):
        found = await asyncio.gather(*(grouped(*one) for one in asked + asked))
        assert found == expected + expected
