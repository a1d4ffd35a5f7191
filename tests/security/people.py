"""A small world for looking at one person's things with four pairs of eyes. Holds no test."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLObjectType, GraphQLSchema, get_named_type, is_composite_type

from schema.build import build
from tests.perch import Answer, Perch, Person

SCHEMA: GraphQLSchema = build()._schema
WHO = ("nobody", "self", "other", "blocked")


@dataclass
class World:
    """Ann, whose things are looked at. Bob follows her and she him; he answered, liked and retweeted her tweet. She has
    blocked Eve, who follows Bob too, and muted Carol, who has nothing to do with anybody."""

    perch: Perch
    ann: Person
    bob: Person
    carol: Person
    eve: Person
    tweet: str
    # Ann's answer to Bob's tweet, and Bob's to hers.
    reply: str
    answer: str
    bobs: str
    # In each text of Ann's, and nowhere else.
    word: str

    def person(self, who: str) -> Person | None:
        """One of WHO."""
        return {"self": self.ann, "other": self.carol, "blocked": self.eve}.get(who)

    async def ask(self, who: str, query: str, **variables: Any) -> Answer:
        """As one of WHO."""
        person = self.person(who)
        return await self.perch.ask(query, person.token if person else None, **variables)


async def settled(perch: Perch) -> World:
    """A new world in which everything has followed."""
    ann, bob, carol, eve = await perch.persons(4)
    word = f"w{secrets.token_hex(6)}"
    bobs = (await bob.post("by Bob"))["id"]
    tweet = (await ann.post(f"{word} #{word} @{bob.username}"))["id"]
    reply = (await ann.post(f"{word}, she answered", inReplyTo=bobs))["id"]
    await ann.follow(bob)
    await bob.follow(ann)
    await eve.follow(bob)
    for actor, target in ((bob, tweet), (ann, bobs)):
        await actor.like(target)
        await actor.verb("retweet", {"tweetId": target})
    answer = (await bob.post("an answer", inReplyTo=tweet))["id"]
    await ann.verb("blockUser", {"userId": eve.id})
    await ann.verb("muteUser", {"userId": carol.id})
    await perch.settle()
    return World(perch, ann, bob, carol, eve, tweet, reply, answer, bobs, word)


def fields(type_name: str) -> dict[str, Any]:
    """The fields of an object type."""
    type_ = SCHEMA.get_type(type_name)
    assert isinstance(type_, GraphQLObjectType)
    found: dict[str, Any] = type_.fields
    return found


def query_for(world: World, type_name: str, *names: str) -> str:
    """A query for these fields, by the shortest way to the object of this type that is Ann's, or the caller's."""
    ways = {
        "Query": "{ %s }",
        "Viewer": "{ viewer { %s } }",
        "Session": "{ viewer { sessions { %s } } }",
        "User": f'{{ user(username: "{world.ann.username}") {{ %s }} }}',
        "Tweet": f'{{ tweet(id: "{world.tweet}") {{ %s }} }}',
    }
    return ways[type_name] % " ".join(_selection(world, type_name, name) for name in names)


def _selection(world: World, type_name: str, name: str) -> str:
    given = {
        "id": f'"{world.tweet}"',
        "ids": f'["{world.tweet}"]',
        "username": f'"{world.ann.username}"',
        "query": f'"{"from:" if name == "searchTweets" else ""}{world.ann.username}"',
    }
    field = fields(type_name)[name]
    arguments = ", ".join(f"{one}: {given[one]}" for one in field.args if one in given)
    type_ = get_named_type(field.type)
    inside = "nodes { __typename }" if type_.name.endswith("Connection") else "__typename"
    below = f" {{ {inside} }}" if is_composite_type(type_) else ""
    return f"{name}{f'({arguments})' if arguments else ''}{below}"


def outcomes(answer: Answer, type_name: str, names: Sequence[str]) -> dict[str, str]:
    """What somebody got of each field: a code, `hidden` if there was no object to ask, `null`, `empty`, a truth value,
    or `seen`."""
    if answer.errors:
        return dict.fromkeys(names, answer.codes[0])
    value = answer.data
    for step in {"Viewer": ["viewer"], "User": ["user"], "Tweet": ["tweet"]}.get(type_name, []):
        value = value[step]
    if type_name == "Session":
        value = value["viewer"] and value["viewer"]["sessions"][0]
    return {name: "hidden" if value is None else _told(value[name]) for name in names}


def _told(found: Any) -> str:
    found = found["nodes"] if isinstance(found, dict) and "nodes" in found else found
    if isinstance(found, list):
        return "seen" if any(found) else "empty"
    return str(found).lower() if isinstance(found, bool) else "null" if found is None else "seen"
