"""What tests do with Perch: ask over HTTP, listen over a socket, wait until all has followed."""

import asyncio
import itertools
import json
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import websockets
from websockets.asyncio.client import ClientConnection

import app
from datastore.changes import Changes
from datastore.mongo import Mongo
from datastore.settings import Settings
from realtime.connect import Client
from realtime.pipeline import settle

PATIENCE_SECONDS = 10
PASSWORD = "correct horse 7"
_numbers = itertools.count()

SIGN_UP = """mutation ($input: SignUpInput!) { signUp(input: $input) {
  tokens { accessToken refreshToken } viewer { user { id } } errors { code } } }"""
HOME = """query ($first: Int, $after: String) { homeTimeline(first: $first, after: $after) {
  liveCursor pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  edges { cursor source node { id text likeCount viewerHasLiked author { id username } } } } }"""
LIVE = """subscription ($after: String) { homeTimelineEvents(after: $after) { __typename
  ... on TimelineTweetAdded { cursor edge { cursor source node { id text author { username } } } }
  ... on TimelineTweetRemoved { cursor edgeCursor tweetId }
  ... on TimelineResync { cursor reason } } }"""


@dataclass
class Answer:
    """An HTTP answer: `data`, and the codes of the top-level errors."""

    status: int
    data: Any
    errors: list[dict[str, Any]]

    @property
    def codes(self) -> list[str]:
        return [error["extensions"]["code"] for error in self.errors]


@dataclass
class Person:
    """Somebody who signed up."""

    perch: "Perch"
    username: str
    id: str
    token: str
    refresh_token: str
    password: str

    async def ask(self, query: str, **variables: Any) -> Answer:
        return await self.perch.ask(query, self.token, **variables)

    async def do(self, query: str, **variables: Any) -> Any:
        """The data of an operation that must not fail."""
        answer = await self.ask(query, **variables)
        assert not answer.errors, answer.errors
        return answer.data

    async def post(self, text: str, **more: Any) -> dict[str, Any]:
        """The new tweet's id and text."""
        query = "mutation ($input: PostTweetInput!) { postTweet(input: $input) { tweet { id text } errors { code } } }"
        payload = (await self.do(query, input={"text": text, **more}))["postTweet"]
        assert payload["errors"] == [], payload
        tweet: dict[str, Any] = payload["tweet"]
        return tweet

    async def delete(self, tweet_id: str) -> None:
        await self.verb("deleteTweet", {"tweetId": tweet_id})

    async def like(self, tweet_id: str) -> None:
        await self.verb("likeTweet", {"tweetId": tweet_id})

    async def follow(self, other: "Person") -> None:
        await self.verb("followUser", {"userId": other.id})

    async def unfollow(self, other: "Person") -> None:
        await self.verb("unfollowUser", {"userId": other.id})

    async def verb(self, verb: str, target: dict[str, str]) -> None:
        """A mutation with a tweetId or a userId, which must succeed."""
        kind = "TweetInput" if "tweetId" in target else "UserInput"
        data = await self.do(
            f"mutation ($input: {kind}!) {{ {verb}(input: $input) {{ errors {{ code }} }} }}", input=target
        )
        assert data[verb]["errors"] == [], data

    async def home(self, first: int = 20, after: str | None = None) -> dict[str, Any]:
        """One page of the home timeline."""
        page: dict[str, Any] = (await self.do(HOME, first=first, after=after))["homeTimeline"]
        return page

    async def texts(self, first: int = 100) -> list[str]:
        """What the first page says, newest first."""
        return [edge["node"]["text"] for edge in (await self.home(first))["edges"]]

    @asynccontextmanager
    async def live(self, after: str | None = None, query: str = LIVE) -> AsyncIterator["Live"]:
        """An open homeTimelineEvents subscription."""
        async with self.perch.socket() as socket:
            await socket.init({"authorization": f"Bearer {self.token}"})
            await socket.send(
                {"type": "subscribe", "id": "1", "payload": {"query": query, "variables": {"after": after}}}
            )
            yield Live(socket)


@dataclass
class Socket:
    """A graphql-transport-ws connection."""

    connection: ClientConnection

    async def send(self, message: Any) -> None:
        await self.connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def receive(self, seconds: float = PATIENCE_SECONDS) -> Any:
        return json.loads(await asyncio.wait_for(self.connection.recv(), seconds))

    async def init(self, payload: Any = None) -> None:
        await self.send({"type": "connection_init", "payload": payload})
        assert (await self.receive())["type"] == "connection_ack"

    async def closed(self) -> int:
        """The close code, once the server has closed."""
        await asyncio.wait_for(self.connection.wait_closed(), PATIENCE_SECONDS)
        return self.connection.close_code or 0


@dataclass
class Live:
    """The events of one subscription."""

    socket: Socket

    async def event(self, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """The next event, whatever it is."""
        message = await self.socket.receive(seconds)
        assert message["type"] == "next", message
        event: dict[str, Any] = message["payload"]["data"]["homeTimelineEvents"]
        return event

    async def added(self) -> str:
        """The text of the next event, which must be a tweet that was added."""
        event = await self.event()
        assert event["__typename"] == "TimelineTweetAdded", event
        text: str = event["edge"]["node"]["text"]
        return text

    async def resync(self) -> str:
        """The reason of the next event, which must be a resync."""
        event = await self.event()
        assert event["__typename"] == "TimelineResync", event
        reason: str = event["reason"]
        return reason


@dataclass
class Perch:
    """A running server."""

    url: str
    settings: Settings
    mongo: Mongo
    redis: Client
    http: httpx.AsyncClient
    app: Any = None
    people: list[Person] = field(default_factory=list)

    @property
    def endpoint(self) -> Any:
        """What answers at /graphql, where the server runs in this process (schema.transport.Endpoint)."""
        return self.app._endpoint._app

    async def ask(self, query: str, token: str | None = None, **variables: Any) -> Answer:
        """One operation over HTTP."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        response = await self.http.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
        body = response.json()
        return Answer(response.status_code, body.get("data"), body.get("errors", []))

    async def sign_up(self, username: str, password: str = PASSWORD) -> Person:
        """A new person."""
        given = {"username": username, "email": f"{username}@perch.example", "password": password}
        payload = (await self.ask(SIGN_UP, input=given)).data["signUp"]
        assert payload["errors"] == [], payload
        tokens = payload["tokens"]
        user_id = payload["viewer"]["user"]["id"]
        return Person(self, username, user_id, tokens["accessToken"], tokens["refreshToken"], password)

    async def person(self) -> Person:
        """Somebody new, with a name nobody has."""
        return await self.sign_up(f"p{next(_numbers)}_{secrets.token_hex(4)}")

    async def persons(self, count: int) -> list[Person]:
        """Several new people."""
        return [await self.person() for _ in range(count)]

    @asynccontextmanager
    async def socket(self, **options: Any) -> AsyncIterator[Socket]:
        """A socket that has not said anything yet."""
        url = self.url.replace("http", "ws") + "/graphql"
        options = {"subprotocols": ["graphql-transport-ws"]} | options
        async with websockets.connect(url, **options) as connection:
            yield Socket(connection)

    async def is_ready(self) -> bool:
        """Whether the server says that it can serve."""
        try:
            return (await self.http.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def kill_pubsub(self) -> None:
        """Cut every pub/sub connection on the server's side."""
        await self.redis.client_kill_filter(_type="pubsub")

    async def settle(self) -> None:
        """Wait until everything written so far has followed."""
        beats = settle(Changes(self.mongo), self.redis, self.settings.partitions)
        # A worker process may be starting meanwhile.
        await asyncio.wait_for(beats, 3 * PATIENCE_SECONDS)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Perch]:
    """The API of these settings on a free port, in this process."""
    async with app.api(settings) as asgi, app.clients(settings) as clients:
        server = app.server_of(settings.model_copy(update={"port": free_port()}), asgi)
        # NOTE: not serve(), which would take the signals of the test process.
        task = asyncio.create_task(server._serve())
        while not server.started:
            await asyncio.sleep(0.01)
        url = f"http://127.0.0.1:{server.config.port}"
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as http:
            yield Perch(url, settings, clients.mongo, clients.redis, http, asgi)
        server.should_exit = True
        await task


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
