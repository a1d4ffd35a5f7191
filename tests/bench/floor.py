"""The floor: what Perch answers, from a plain Starlette endpoint with orjson: no GraphQL and none of Perch's rules.

    python -m tests.bench.floor HOST PORT MONGO_URL REDIS_URL DATABASE SECRET [rooms]

Reads what the Node servers of tests/bench/peers read: the kept timeline in Redis, then tweets, their authors and the
viewer's likes in MongoDB, through the same clients as Perch. With `rooms` the page comes through Perch's own rooms
instead (session, live filter, cached copies), so that the difference to Perch is what GraphQL costs.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
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
from datastore import ids
from datastore.records import CursorKind, Tweet, User
from datastore.settings import Settings
from realtime import keys
from resolvers import guards, timelines
from resolvers.context import Context, Services
from resolvers.credentials import Credentials, bearer
from schema import cursors, globalid

Json = dict[str, Any]
Operation = Callable[[int, Json], Awaitable[Json]]
BODY = {"author": 1, "text": 1, "likes": 1, "retweets": 1, "replies": 1}
PERSON = {"username": 1, "display_name": 1}


@dataclass(frozen=True, slots=True)
class Floor:
    """Answers by operation name; nothing is parsed but JSON."""

    clients: app.Clients

    async def home(self, viewer_id: int, variables: Json) -> Json:
        """Home."""
        first = variables["first"]
        members: Any = await self.clients.redis.zrange(keys.timeline(viewer_id), 0, first, desc=True)
        entries = [int(member) for member in members if member != "floor"]
        tweets = await self.tweets(viewer_id, entries[:first])
        return {"homeTimeline": home_page(entries[:first], len(entries) > first, tweets)}

    async def tweets(self, viewer_id: int, tweet_ids: list[int]) -> dict[int, Json]:
        """Tweets as they are shown, by id: one query, then two side by side."""
        mongo = self.clients.mongo
        found = [doc async for doc in mongo.tweets.find({"_id": {"$in": tweet_ids}, "alive": True}, BODY)]
        authors, liked = await asyncio.gather(
            mongo.users.find({"_id": {"$in": list({doc["author"] for doc in found})}}, PERSON).to_list(),
            mongo.likes.find({"_id": {"$in": [{"t": one, "u": viewer_id} for one in tweet_ids]}}, {"_id": 1}).to_list(),
        )
        people = {doc["_id"]: shown_person(doc["_id"], doc["username"], doc["display_name"]) for doc in authors}
        likes = {doc["_id"]["t"] for doc in liked}
        return {
            doc["_id"]: {
                "id": globalid.encode("Tweet", doc["_id"]),
                "text": doc["text"],
                "createdAt": ids.created_at(doc["_id"]).isoformat(),
                "likeCount": doc["likes"],
                "retweetCount": doc["retweets"],
                "replyCount": doc["replies"],
                "viewerHasLiked": doc["_id"] in likes,
                "author": people[doc["author"]],
            }
            for doc in found
        }


@dataclass(frozen=True, slots=True)
class Rooms:
    """The same page through the rooms below the schema."""

    services: Services

    async def home(self, viewer_id: int, variables: Json) -> Json:
        """Home."""
        context = Context(self.services, "127.0.0.1", viewer_id=viewer_id)
        skeleton = await self.services.timelines.page(viewer_id, variables["first"])
        context.loaders.copies = skeleton.copies
        hydrated = await timelines.hydrate(context, viewer_id, skeleton.entry_ids, ("viewerHasLiked",))
        kept = timelines.visible(viewer_id, skeleton.entry_ids, hydrated)
        edges = timelines.present(viewer_id, kept, hydrated, skeleton.pulled)
        tweets = {edge.entry_id: self._tweet(context, viewer_id, edge.node) for edge in edges}
        return {"homeTimeline": home_page(kept, skeleton.more, tweets)}

    def _tweet(self, context: Context, viewer_id: int, tweet: Tweet) -> Json:
        author = context.loaders.users.load(tweet.author_id)
        assert isinstance(author, User)
        return {
            "id": globalid.encode("Tweet", tweet.id),
            "text": tweet.text,
            "createdAt": ids.created_at(tweet.id).isoformat(),
            "likeCount": tweet.like_count,
            "retweetCount": tweet.retweet_count,
            "replyCount": tweet.reply_count,
            "viewerHasLiked": context.loaders.likes.load((viewer_id, tweet.id)),
            "author": shown_person(author.id, author.username, author.display_name),
        }


def shown_person(user_id: int, username: str, display_name: str) -> Json:
    return {"id": globalid.encode("User", user_id), "username": username, "displayName": display_name}


def home_page(entries: list[int], more: bool, tweets: dict[int, Json]) -> Json:
    edges = [{"cursor": cursors.encode(CursorKind.HOME, (one,)), "node": tweets[one]} for one in entries]
    return {"edges": edges, "pageInfo": {"hasNextPage": more, "endCursor": edges[-1]["cursor"] if edges else None}}


def endpoint(operations: dict[str, Operation], viewer: Callable[[str | None], Awaitable[int]]) -> Starlette:
    """One route, which picks the operation by its name."""

    async def graphql(request: Request) -> Response:
        asked = orjson.loads(await request.body())
        viewer_id = await viewer(request.headers.get("authorization"))
        data = await operations[asked["operationName"]](viewer_id, asked["variables"])
        return Response(orjson.dumps({"data": data}), media_type="application/json")

    return Starlette(routes=[Route("/graphql", graphql, methods=["POST"])])


async def main(host: str, port: str, mongo_url: str, redis_url: str, database: str, secret: str, how: str = "") -> None:
    settings = Settings(
        host=host,
        port=int(port),
        mongo_url=mongo_url,
        redis_url=redis_url,
        mongo_database=database,
        secret_key=SecretStr(secret),
        log_level="WARNING",
    )
    async with app.clients(settings) as clients, app.services_of(settings, clients) as services:
        credentials = Credentials(secret, timedelta(hours=1))

        async def by_token(authorization: str | None) -> int:
            return credentials.identify(bearer(authorization) or "").user_id

        async def by_session(authorization: str | None) -> int:
            context = Context(services, "127.0.0.1")
            await guards.authenticate(context, authorization)
            return guards.viewer(context)

        if how == "rooms":
            asgi = endpoint({"Home": Rooms(services).home}, by_session)
        else:
            asgi = endpoint({"Home": Floor(clients).home}, by_token)
        app.spare_the_collector()
        await uvicorn.Server(app.uvicorn_config(settings, asgi)).serve()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
