"""The floor: what Perch answers, from a plain Starlette endpoint with orjson: no GraphQL and none of Perch's rules.

    PEER='{"port": ..., "mongo_url": ...}' python -m tests.bench.floor

Reads what the Node servers of tests/bench/peers read (kept timelines and top tweets in Redis; tweets, authors and the
viewer's likes in MongoDB), through the same clients as Perch. Under /rooms a home page comes through Perch's own rooms
instead (session, rules, cached copies), so that the difference to Perch is what GraphQL costs.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import uvicorn
import uvloop
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import app
from datastore import ids, popularity
from datastore.mongo import Doc, DuplicateKeyError
from datastore.records import CursorKind, TopWindow, User
from datastore.settings import Settings
from datastore.tweets import new_doc
from realtime import keys
from resolvers import guards, timelines
from resolvers.context import Context, Services
from resolvers.credentials import Credentials, bearer
from schema import cursors, globalid
from schema import server as wire

Json = dict[str, Any]
BODY = {"author": 1, "text": 1, "likes": 1, "retweets": 1, "replies": 1}
PERSON = {"username": 1, "display_name": 1}
PROFILE = PERSON | {"bio": 1, "followers": 1, "following": 1, "tweets": 1}


@dataclass(frozen=True, slots=True)
class Floor:
    """Answers by operation. Nothing is parsed but JSON, nothing checked but the token."""

    clients: app.Clients

    async def home(self, viewer_id: int, asked: Json) -> Json:
        """Home."""
        first = asked["first"]
        kept: Any = await self.clients.redis.lrange(keys.timeline(viewer_id), 0, first)
        members = [int(member) for member in kept if not member.startswith("floor:")]
        found = await self._by_ids(members[:first])
        shown = await self._page(viewer_id, CursorKind.HOME, found, first)
        shown["pageInfo"]["hasNextPage"] = len(members) > first
        return {"homeTimeline": shown}

    async def top(self, viewer_id: int, asked: Json) -> Json:
        """Top."""
        best: Any = await self.clients.redis.zrange(keys.top_tweets(TopWindow.DAY), 1, asked["first"], desc=True)
        found = await self._by_ids([int(member) for member in best])
        shown = await self._shown(viewer_id, found)
        return {"topTweets": {"nodes": [{"rank": rank, "tweet": tweet} for rank, tweet in enumerate(shown, 1)]}}

    async def profile(self, viewer_id: int, asked: Json) -> Json:
        """Profile."""
        mongo = self.clients.mongo
        user = await mongo.users.find_one({"name_key": asked["name"].lower()}, PROFILE)
        assert user
        written = {"author": user["_id"], "alive": True, "is_reply": False}
        found, follow = await asyncio.gather(
            self._list(written, asked["first"]),
            mongo.follows.find_one({"_id": {"a": user["_id"], "f": viewer_id}}, {"_id": 1}),
        )
        shown = person(user["_id"], user["username"], user["display_name"])
        shown |= {"bio": user["bio"], "createdAt": ids.created_at(user["_id"]).isoformat()}
        shown |= {"followerCount": user["followers"], "followingCount": user["following"], "tweetCount": user["tweets"]}
        shown |= {"viewerIsFollowing": follow is not None}
        return {"user": shown | {"tweets": await self._page(viewer_id, CursorKind.USER_TWEETS, found, asked["first"])}}

    async def search(self, viewer_id: int, asked: Json) -> Json:
        """Search."""
        found = await self._list({"terms": asked["query"].lower()}, asked["first"])
        return {"searchTweets": await self._page(viewer_id, CursorKind.FOUND_TWEETS, found, asked["first"])}

    async def conversation(self, viewer_id: int, asked: Json) -> Json:
        """Conversation."""
        tweet_id = globalid.of_type(asked["id"], "Tweet")
        (tweet,), found = await asyncio.gather(
            self._by_ids([tweet_id]), self._list({"reply_to": tweet_id, "alive": True}, asked["first"])
        )
        (shown,), replies = await asyncio.gather(
            self._shown(viewer_id, [tweet]), self._page(viewer_id, CursorKind.REPLIES, found, asked["first"])
        )
        return {"tweet": shown | {"replies": replies}}

    async def post(self, viewer_id: int, asked: Json) -> Json:
        """Post."""
        mongo = self.clients.mongo
        author = await mongo.users.find_one({"_id": viewer_id}, PROFILE)
        assert author
        now_ms = ids.now_ms()
        while True:
            doc = new_doc(ids.new(now_ms, viewer_id), viewer_id, asked["text"])
            try:
                await mongo.db["tweets"].insert_one(doc | {"author_followers": author["followers"]})
                break
            except DuplicateKeyError:
                now_ms += 1
        await mongo.users.update_one({"_id": viewer_id}, {"$inc": {"tweets": 1}})
        return {"postTweet": {"tweet": (await self._shown(viewer_id, [doc]))[0], "errors": []}}

    async def like(self, viewer_id: int, asked: Json) -> Json:
        """Like."""
        mongo, tweet_id = self.clients.mongo, globalid.of_type(asked["id"], "Tweet")
        await self._by_ids([tweet_id])
        try:
            await mongo.db["likes"].insert_one({"_id": {"t": tweet_id, "u": viewer_id}, "at": ids.now_ms()})
            moved = popularity.move("likes", 1, popularity.unless_author(viewer_id, 1))
            await mongo.tweets.update_one({"_id": tweet_id}, moved)
        except DuplicateKeyError:
            pass
        shown = await self._shown(viewer_id, await self._by_ids([tweet_id]))
        return {"likeTweet": {"tweet": shown[0], "errors": []}}

    async def _by_ids(self, tweet_ids: Sequence[int]) -> list[Doc]:
        found = self.clients.mongo.tweets.find({"_id": {"$in": list(tweet_ids)}, "alive": True}, BODY)
        docs = {doc["_id"]: doc for doc in await found.to_list()}
        return [docs[one] for one in tweet_ids if one in docs]

    async def _list(self, query: Json, first: int) -> list[Doc]:
        found: list[Doc] = await self.clients.mongo.tweets.find(query, BODY).sort("_id", -1).limit(first + 1).to_list()
        return found

    async def _page(self, viewer_id: int, kind: CursorKind, found: Sequence[Doc], first: int) -> Json:
        shown = await self._shown(viewer_id, found[:first])
        return page(kind, [doc["_id"] for doc in found[:first]], shown, len(found) > first)

    async def _shown(self, viewer_id: int, docs: Sequence[Doc]) -> list[Json]:
        """Tweets as they are shown: their authors and the viewer's likes in two queries side by side."""
        mongo, pairs = self.clients.mongo, [{"t": doc["_id"], "u": viewer_id} for doc in docs]
        authors, liked = await asyncio.gather(
            mongo.users.find({"_id": {"$in": list({doc["author"] for doc in docs})}}, PERSON).to_list(),
            mongo.likes.find({"_id": {"$in": pairs}}, {"_id": 1}).to_list(),
        )
        people = {one["_id"]: person(one["_id"], one["username"], one["display_name"]) for one in authors}
        likes = {doc["_id"]["t"] for doc in liked}
        return [
            tweet(doc["_id"], doc["text"], (doc["likes"], doc["retweets"], doc["replies"]), doc["_id"] in likes)
            | {"author": people[doc["author"]]}
            for doc in docs
        ]


@dataclass(frozen=True, slots=True)
class Rooms:
    """A home page through the rooms below the schema."""

    services: Services

    async def home(self, viewer_id: int, asked: Json) -> Json:
        """Home."""
        context = Context(self.services, "127.0.0.1", viewer_id=viewer_id)
        skeleton = await self.services.timelines.page(viewer_id, asked["first"])
        context.loaders.copies = skeleton.copies
        hydrated = await timelines.hydrate(context, viewer_id, skeleton.entry_ids, ("viewerHasLiked",))
        kept = timelines.visible(viewer_id, skeleton.entry_ids, hydrated)
        edges = timelines.present(viewer_id, kept, hydrated, skeleton.pulled)
        shown = []
        for found in (edge.node for edge in edges):
            author = context.loaders.users.load(found.author_id)
            liked = context.loaders.likes.load((viewer_id, found.id))
            assert isinstance(author, User)
            assert isinstance(liked, bool)
            counts = (found.like_count, found.retweet_count, found.reply_count)
            shown.append(tweet(found.id, found.text, counts, liked))
            shown[-1]["author"] = person(author.id, author.username, author.display_name)
        return {"homeTimeline": page(CursorKind.HOME, kept, shown, skeleton.more)}


def tweet(tweet_id: int, text: str, counts: tuple[int, int, int], liked: bool) -> Json:
    """A tweet without its author."""
    return {
        "id": globalid.encode("Tweet", tweet_id),
        "text": text,
        "createdAt": ids.created_at(tweet_id).isoformat(),
        "likeCount": counts[0],
        "retweetCount": counts[1],
        "replyCount": counts[2],
        "viewerHasLiked": liked,
    }


def person(user_id: int, username: str, display_name: str) -> Json:
    return {"id": globalid.encode("User", user_id), "username": username, "displayName": display_name}


def page(kind: CursorKind, keys_: Sequence[int], shown: Sequence[Json], more: bool) -> Json:
    edges = [{"cursor": cursors.encode(kind, (key,)), "node": node} for key, node in zip(keys_, shown, strict=True)]
    return {"edges": edges, "pageInfo": {"hasNextPage": more, "endCursor": edges[-1]["cursor"] if edges else None}}


def endpoint(path: str, rooms: object, viewer: Callable[[str | None], Awaitable[int]]) -> Route:
    """Picks the method by the operation's name."""

    async def graphql(request: Request) -> Response:
        asked = orjson.loads(await request.body())
        viewer_id = await viewer(request.headers.get("authorization"))
        data = await getattr(rooms, asked["operationName"].lower())(viewer_id, asked["variables"])
        return Response(orjson.dumps({"data": data}), media_type="application/json")

    return Route(path, graphql, methods=["POST"])


@asynccontextmanager
async def server(given: Json) -> AsyncIterator[uvicorn.Server]:
    """Both routes over open clients, not serving yet."""
    settings = Settings(
        port=given["port"],
        mongo_url=given["mongo_url"],
        redis_url=given["redis_url"],
        mongo_database=given["database"],
        secret_key=SecretStr(given["secret"]),
        log_level="WARNING",
    )
    async with app.clients(settings) as clients, app.services_of(settings, clients) as services:
        credentials = Credentials(given["secret"], timedelta(hours=1))

        async def by_token(authorization: str | None) -> int:
            return credentials.identify(bearer(authorization) or "").user_id

        async def by_session(authorization: str | None) -> int:
            context = Context(services, "127.0.0.1")
            await guards.authenticate(context, authorization)
            return guards.viewer(context)

        floor = endpoint("/graphql", Floor(clients), by_token)
        asgi = Starlette(routes=[floor, endpoint("/rooms", Rooms(services), by_session)])
        yield uvicorn.Server(wire.config_of(asgi, settings.host, settings.port, settings.log_level))


async def main(given: Json) -> None:
    async with server(given) as serving:
        app.spare_the_collector()
        await serving.serve()


if __name__ == "__main__":
    uvloop.run(main(orjson.loads(os.environ["PEER"])))
