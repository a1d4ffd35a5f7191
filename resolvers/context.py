"""The context of one operation: who asks, from where, and the rooms that answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import strawberry

from datastore.blocks import Blocks
from datastore.entries import Entries
from datastore.errors import RequestError
from datastore.follows import Follows
from datastore.likes import Likes
from datastore.mongo import Mongo
from datastore.records import Bill
from datastore.retweets import Retweets
from datastore.search import Search
from datastore.session_ends import SessionEnds
from datastore.sessions import Sessions
from datastore.settings import Settings
from datastore.trails import Trails
from datastore.tweets import Tweets
from datastore.users import Users
from realtime.cache import Cache, CacheBounds
from realtime.connect import Client, set_aside
from realtime.copies import Copies
from realtime.hub import Hub
from realtime.limits import Budgets, Limits, budgets
from realtime.load import Load
from realtime.open_sessions import OpenSessions
from realtime.scripts import Scripts
from realtime.timelines import Bounds, Timelines
from realtime.top_tweets import TopTweets
from resolvers.credentials import Credentials
from resolvers.loaders import Loaders


@dataclass(frozen=True, slots=True)
class Services:
    """The open rooms, one set per process."""

    users: Users
    sessions: Sessions
    open_sessions: OpenSessions
    session_ends: SessionEnds
    tweets: Tweets
    follows: Follows
    likes: Likes
    retweets: Retweets
    blocks: Blocks
    entries: Entries
    trails: Trails
    cache: Cache
    timelines: Timelines
    top_tweets: TopTweets
    hub: Hub
    limits: Limits
    search: Search
    search_for_nobody: Search
    credentials: Credentials
    load: Load
    text_limit: int
    standby: "Standby | None" = None

    def now(self) -> "Services":
        """These, or their stand-ins while MongoDB has had no primary for long."""
        return self.standby.services if self.standby and self.standby.is_due() else self

    def loaders(self, reader_id: int | None = None) -> Loaders:
        """A fresh set; with a reader one that finds out whether they may be shown what this process has read."""
        return Loaders(self.cache, self.follows, self.likes, self.retweets, self.blocks, reader_id)


@dataclass(frozen=True, slots=True)
class Standby:
    """Rooms that read from any member of MongoDB and leave Redis alone: what may be old must not be kept there."""

    services: Services
    mongo: Mongo
    after_seconds: float

    def is_due(self) -> bool:
        """Whether nobody has taken writes for longer than an election lasts."""
        return self.mongo.without_primary_seconds() > self.after_seconds


@dataclass(frozen=True, slots=True)
class Options:
    """What an operator decides of the request path."""

    secret_key: str
    old_secret_keys: Sequence[str]
    access_token: timedelta
    refresh_token: timedelta
    text_limit: int
    rate_limits: bool
    budgets: Budgets
    sweep_seconds: float
    bounds: Bounds
    cache: CacheBounds
    requests_at_once: int
    request_seconds: float
    standby_after_seconds: float
    read_secondaries: bool

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the operator has it."""
        return cls(
            secret_key=settings.secret_key.get_secret_value(),
            old_secret_keys=[key.get_secret_value() for key in settings.old_secret_keys],
            access_token=timedelta(seconds=settings.access_token_seconds),
            refresh_token=timedelta(days=settings.refresh_token_days),
            text_limit=settings.text_limit,
            rate_limits=settings.rate_limits,
            budgets=budgets(settings),
            sweep_seconds=settings.sweep_seconds,
            bounds=Bounds.of(settings),
            cache=CacheBounds.of(settings),
            requests_at_once=settings.requests_at_once,
            request_seconds=settings.request_seconds,
            standby_after_seconds=settings.standby_after_seconds,
            read_secondaries=settings.read_secondaries,
        )


def open_services(mongo: Mongo, redis: Client, live_redis: Client, options: Options) -> Services:
    """The rooms over open clients: `redis` gives up soon, `live_redis` waits. The hub still has to be run."""
    services = _open(mongo, redis, live_redis, options)
    away = _open(mongo.standby(), set_aside(), live_redis, options)
    # What counts, listens or thinks is one and the same.
    same = replace(away, hub=services.hub, limits=services.limits, credentials=services.credentials, load=services.load)
    return replace(services, standby=Standby(same, mongo, options.standby_after_seconds))


def _open(mongo: Mongo, redis: Client, live_redis: Client, options: Options) -> Services:
    scripts = Scripts(redis)
    users, follows, tweets, retweets = Users(mongo), Follows(mongo), Tweets(mongo), Retweets(mongo)
    entries = Entries(tweets, retweets)
    open_sessions = OpenSessions(mongo, options.refresh_token)
    load = Load(options.requests_at_once, options.request_seconds)
    timelines = Timelines(scripts, follows, entries, options.bounds, load)
    return Services(
        users=users,
        sessions=open_sessions.truth,
        open_sessions=open_sessions,
        session_ends=SessionEnds(mongo),
        tweets=tweets,
        follows=follows,
        likes=Likes(mongo),
        retweets=retweets,
        blocks=Blocks(mongo),
        entries=entries,
        trails=Trails(mongo),
        cache=Cache(scripts, tweets, users, options.cache),
        timelines=timelines,
        top_tweets=TopTweets(scripts, tweets),
        hub=Hub(live_redis, redis, timelines, follows, options.bounds.presence_ms, options.sweep_seconds),
        limits=Limits(scripts, options.rate_limits, options.budgets),
        search=Search(mongo),
        search_for_nobody=Search(mongo.lagging() if options.read_secondaries else mongo),
        credentials=Credentials(options.secret_key, options.access_token, options.old_secret_keys),
        load=load,
        text_limit=options.text_limit,
    )


@dataclass(slots=True)
class Context:
    """One operation. A socket holds a template of it and copies it for each operation; a live event renews `loaders`.

    `refused` is why the token was not accepted: it fails the operation before anything runs. `bill` is what it was
    charged, `due` what the events of a subscription have cost beyond that. `take_over` is called with a
    homeTimelineEvents subscription by a transport that delivers its events itself. `operation` is what metrics count
    this under, once that is known.
    """

    services: Services
    client_ip: str
    user_agent: str | None = None
    viewer_id: int | None = None
    session_id: int | None = None
    expires_at: datetime | None = None
    refused: RequestError | None = None
    connection_params: dict[str, Any] | None = None
    take_over: "Callable[[Watch], None] | None" = None
    operation: str = "unknown"
    _loaders: Loaders | None = field(init=False, default=None)
    bill: Bill | None = field(init=False, default=None)
    due: int | None = field(init=False, default=None)

    @property
    def loaders(self) -> Loaders:
        """Made at the first use: an idle socket has none."""
        if self._loaders is None:
            self._loaders = self.services.loaders(self.viewer_id)
            if self.viewer_id is None:
                # Nobody in particular has changed nothing, and so may be shown what this process has read.
                self._loaders.copies = Copies.ALL
        return self._loaders

    @loaders.setter
    def loaders(self, loaders: Loaders) -> None:
        self._loaders = loaders

    @property
    def search(self) -> Search:
        """Who is somebody finds what they have just written."""
        return self.services.search_for_nobody if self.viewer_id is None else self.services.search

    def for_operation(self) -> "Context":
        """The same caller, with loaders of their own."""
        return replace(self)

    def now(self) -> datetime:
        """The time, in UTC. Resolvers ask here, so that a test can say what time it is."""
        return datetime.now(UTC)

    def now_ms(self) -> int:
        """The time in milliseconds since the Unix epoch."""
        return int(self.now().timestamp() * 1000)


Info = strawberry.Info[Context, None]


@dataclass(frozen=True, slots=True)
class Watch:
    """A homeTimelineEvents subscription as it was asked for: allowed, its arguments read, not yet begun."""

    info: Info
    viewer_id: int
    after: str | None
