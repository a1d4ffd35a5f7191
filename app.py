"""What runs: the commands, the settings they read from the environment, and the clients they open and close."""

import argparse
import asyncio
import gc
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import uvloop
from pydantic import SecretStr, ValidationError
from starlette.applications import Starlette

from datastore import backup as backups
from datastore import demo_world, ids, importer, ownership, processes, shards, tracing, upgrade
from datastore.changes import Changes
from datastore.doctor import MongoDoctor, of_settings
from datastore.findings import Finding, Verdict
from datastore.mongo import Mongo
from datastore.ownership import Run
from datastore.processes import Child, DevServerError, Program
from datastore.records import ImportCounts
from datastore.settings import Settings, complaints, settings_table
from realtime import devserver as redis_devserver
from realtime import telemetry
from realtime.connect import Client, for_requests, for_workers
from realtime.dead_letters import DeadLetters
from realtime.doctor import PipelineDoctor, redis_doctors
from realtime.pipeline import Pipeline, open_rooms
from realtime.scripts import fresh_token
from realtime.timelines import Bounds
from resolvers import accounts
from resolvers.context import Context, Options, Services, open_services
from schema import health, server, start, transport
from schema.build import build as build_schema
from schema.documents import BadDocumentError, Documents
from schema.documents import add as add_documents
from schema.sockets import Patience, Sockets
from schema.spans import TracedRequests, trace_operations

DEMO_TWEET_SECONDS = 20.0
# Longer than it takes to pass over the largest oplog.
STREAM_ANSWER_MS = 3_600_000
# Objects made before a young collection, young ones before a middle one, middle ones before a full one; Python's own
# are 700, 10 and 10.
COLLECTOR_THRESHOLDS = (50_000, 20, 50)
DEMO_TOP_USER_THRESHOLD = 100
# Everybody may know it: the account exists only where `make run` planted it. GraphiQL's first example uses it.
DEMO_PASSWORD = "perch-demo-2006"  # noqa: S105
PROJECT = Path(__file__).parent
GRAPHIQL = PROJECT / "web" / "graphiql" / "dist"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
COMMANDS = {
    "serve": "run the API server",
    "work": "run a worker, relay included",
    "dev": "run everything here, servers included: what `make run` runs",
    "import": "load users, follows and tweets from files",
    "reconcile": "compare counters, timelines and lists with their truth, and repair them",
    "doctor": "look at the stores, the settings and the pipeline, and tell what to do; changes nothing",
    "shard-plan": "print how to spread the collections over a sharded cluster, and do it with --run",
    "backup": "write the whole database to one file, as it is at one moment",
    "restore": "fill an empty database from such a file, and empty Redis",
    "dead-letters": "list, retry or drop the events that workers set aside",
    "token": "print an access token (not in production)",
    "documents": "trust the documents of files, by their SHA-256",
    "settings": "print every setting with its value, default and description",
    "sdl": "print the GraphQL schema",
}
WELCOME = """
Perch is up. Ctrl-C stops it.

  Open      {url}/app      the web client
            {url}/graphql  GraphiQL
  Log in    demo / {password}:
            mutation {{ logIn(input: {{ usernameOrEmail: "demo", password: "{password}" }})
                       {{ tokens {{ accessToken }} }} }}
            and send the header  Authorization: Bearer <accessToken>  from then on
  Query     {{ homeTimeline(first: 5) {{ nodes {{ text author {{ username }} }} }} }}
  Live      subscription {{ homeTimelineEvents {{ ... on TimelineTweetAdded {{ edge {{ node {{ text }} }} }} }} }}
  Logs      {logs}/*.log
"""


Command = Callable[[Settings], Coroutine[Any, Any, None]]


def with_secret(settings: Settings) -> Settings:
    """In development, the settings with a random key that is made once and kept for the owner's eyes only."""
    if settings.secret_key.get_secret_value():
        return settings
    return settings.model_copy(update={"secret_key": SecretStr(ownership.kept_secret(settings.data_dir))})


async def with_servers(settings: Settings, owner: str, command: Command) -> None:
    """Runs a command with settings in which both URLs are given."""
    async with redis_devserver.servers(settings, owner) as (mongo_url, redis_url):
        await command(settings.model_copy(update={"mongo_url": mongo_url, "redis_url": redis_url}))


# ---------------------------------------------------------------- commands: both URLs and the key are in the settings


@dataclass(frozen=True, slots=True)
class Clients:
    """Open connections: `redis` gives up soon, for requests; `live` waits, for blocking reads and pub/sub."""

    mongo: Mongo
    redis: Client
    live: Client


@asynccontextmanager
async def clients(settings: Settings) -> AsyncIterator[Clients]:
    """Connections for both URLs, closed at the end."""
    opened = Clients(
        Mongo(
            settings.mongo_url,
            settings.mongo_database,
            driver=settings.mongo_driver,
            shared_seconds=settings.request_seconds,
        ),
        for_requests(settings.redis_url, settings.redis_timeout_ms, settings.breaker_open_seconds),
        for_workers(settings.redis_url),
    )
    try:
        yield opened
    finally:
        await opened.redis.aclose()
        await opened.live.aclose()
        await opened.mongo.close()


@asynccontextmanager
async def patient(settings: Settings) -> AsyncIterator[Mongo]:
    """A client of MongoDB that waits long for an answer."""
    # Motor takes a thread and 45 us of CPU for each event of a stream, its successor 6 us and none (decision 25).
    mongo = Mongo(settings.mongo_url, settings.mongo_database, driver="pymongo", answer_ms=STREAM_ANSWER_MS)
    try:
        yield mongo
    finally:
        await mongo.close()


@asynccontextmanager
async def services_of(settings: Settings, opened: Clients) -> AsyncIterator[Services]:
    """The rooms that answer requests, over a database that is ready for them."""
    await upgrade.prepare(opened.mongo, fresh_token())
    await Changes(opened.mongo).prepare()
    services = open_services(opened.mongo, opened.redis, opened.live, Options.of(settings))
    try:
        yield services
    finally:
        services.credentials.close()


@asynccontextmanager
async def api(settings: Settings) -> AsyncIterator[Starlette]:
    """The ASGI application with everything behind it."""
    async with (
        clients(settings) as opened,
        services_of(settings, opened) as services,
        running(services.hub.run()),
        running(services.open_sessions.run()),
        running((sockets := Sockets(patience_of(settings))).follow(services)),
        running(sockets.run()),
    ):
        derived = {"redis": lambda: opened.redis.ping()}
        probes = health.routes({"mongo": opened.mongo.ping}, derived, settings.metrics, lambda: sockets.draining)
        development = settings.profile == "development"
        ide = GRAPHIQL if development else None
        documents = Documents.of(settings.trusted_documents, settings.documents)
        schema = build_schema(settings.cost_limit, development, documents)
        front = transport.Front(ide, list(settings.allowed_origins), settings.trusted_proxies)
        pages = start.routes(start.Offer(PROJECT, development, settings.metrics))
        asgi = transport.application(schema, services, sockets, front, [*probes, *pages])
        asgi.state.sockets = sockets
        if tracing.is_on():
            trace_operations(schema, tracing.span)
            asgi.put_around(lambda endpoint: TracedRequests(endpoint, tracing.span))
        yield asgi


@asynccontextmanager
async def traced(settings: Settings, service: str) -> AsyncIterator[None]:
    """Traces what begins meanwhile, if TRACES says where to send it. Clients must be opened within."""
    with tracing.exporting(settings.traces, settings.traces_share, service):
        yield


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[Pipeline]:
    """A relay, a worker, a purger and a reconciler, running meanwhile."""
    async with clients(settings) as opened, patient(settings) as streams:
        await upgrade.prepare(opened.mongo, fresh_token())
        pipeline = Pipeline(opened.mongo, streams, opened.live, settings)
        async with running(pipeline.run()):
            yield pipeline


@asynccontextmanager
async def running(background: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs something beside the body. If it fails, the body is cancelled and the failure is raised."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(background)
        yield
        task.cancel()


def patience_of(settings: Settings) -> Patience:
    """What the sockets of this process may take, and how they are sent away."""
    return Patience(
        per_user=settings.sockets_per_user,
        unread_bytes=settings.unread_kb * 1024,
        stalled_seconds=settings.stalled_seconds,
        drain_slice=settings.drain_slice,
        drain_pause_seconds=settings.drain_pause_seconds,
    )


async def serve(settings: Settings, listen_fd: int | None = None) -> None:
    """The API server, until SIGTERM; then it drains. With WORKERS so many of them, behind one port."""
    if settings.workers > 1 and listen_fd is None:
        await serve_together(settings)
        return
    async with traced(settings, "perch-serve"), api(settings) as asgi, running(telemetry.follow_loop_lag()):
        spare_the_collector()
        listening = server_of(settings, asgi)
        await listening.serve(None if listen_fd is None else [socket.socket(fileno=listen_fd)])


async def serve_together(settings: Settings) -> None:
    """Listens, answers nothing and hands the socket to WORKERS servers: whoever is free takes the next connection, and
    none that waits is lost with a server that ends. They are started again when they die, and drain side by side."""
    with processes.listener(settings.host, settings.port) as shared, tempfile.TemporaryDirectory() as counted:
        handed = ("--listen-fd", str(shared.fileno()))

        async def one() -> None:
            # In that folder each of them counts, and each /metrics tells what all have (schema/health.py).
            program = program_of(settings, "serve", *handed)
            env = {**(program.env or {}), "PROMETHEUS_MULTIPROC_DIR": counted}
            program = replace(program, env=env, held=(shared.fileno(),), among_ours=True)
            process = Child(replace(program, orphan_signal=signal.SIGTERM))
            await process.start()
            async with processes.kept(process, say):
                await asyncio.Event().wait()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(settings.workers):
                tasks.create_task(one())


def spare_the_collector() -> None:
    """Take what lives as long as the process out of the garbage collector's sight, and let it look seldom: an answer is
    thousands of objects that end by their reference counts, and a full look at ten thousand sockets takes long."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


def server_of(settings: Settings, asgi: Starlette) -> server.Server:
    """The server for an application that `api` gave."""
    where = (settings.host, settings.port, settings.log_level)
    return server.Server(asgi, asgi.state.sockets, *where, settings.drain_idle_seconds)


async def work(settings: Settings) -> None:
    """Relay and worker, until SIGTERM: this coroutine is cancelled. With WORK_PORT they tell how they are."""
    async with traced(settings, "perch-work"), working(settings) as pipeline, running(telemetry.follow_loop_lag()):
        spare_the_collector()
        if not settings.work_port:
            await asyncio.Event().wait()
        probes = health.routes(pipeline.probes(), {}, settings.metrics, lambda: False, pipeline.backlog)
        await server.probes(Starlette(routes=probes), settings.host, settings.work_port, settings.log_level)


async def import_(settings: Settings, args: argparse.Namespace) -> None:
    """Loads args.users, args.follows and args.tweets (paths or None); args.on_error is skip or stop."""
    async with clients(settings) as opened, services_of(settings, opened) as services:
        try:
            with importer.progress_bar() as progress:
                counts = await importer.run(
                    opened.mongo,
                    now_ms=ids.now_ms(),
                    users=args.users,
                    follows=args.follows,
                    tweets=args.tweets,
                    on_error=args.on_error,
                    progress=progress,
                    touched=services.timelines.drop,
                )
        except importer.ImportStopped as stopped:
            print_counts(stopped.counts)
            raise DevServerError(str(stopped)) from stopped
        finally:
            # Its counters raise no events.
            await services.cache.forget_all()
        print_counts(counts)
        await promote_due(settings, opened)


async def promote_due(settings: Settings, opened: Clients) -> None:
    """Makes top users of those whom an import or the demo world gave too many followers."""
    rooms = open_rooms(opened.mongo, opened.live, settings.partitions, Bounds.of(settings), settings.top_user_threshold)
    due = await rooms.top_users.promote_all()
    if due:
        say(f"{len(due):,} authors have more than {settings.top_user_threshold:,} followers and are top users now")


def print_counts(counts: Mapping[str, ImportCounts]) -> None:
    """One line for each kind of row, and one for each bad row that was kept."""
    for kind, done in counts.items():
        say(f"{kind}: {done.read:,} read, {done.added:,} added, {done.present:,} there before, {done.bad:,} bad")
        for line in done.errors:
            say(f"  {line}")


async def reconcile(settings: Settings, check: bool) -> None:
    """Compares all that is derived with its truth, once, and repairs what drifted; with `check` it only reports. Raises
    if drift is left. Works along with the workers, if any run."""
    async with clients(settings) as opened:
        if settings.profile == "development" and await demo_world.is_planted(opened.mongo):
            # As `make run` has it: its top users are right.
            settings = settings.model_copy(update={"top_user_threshold": demo_threshold(settings)})
    async with working(settings) as pipeline:
        try:
            report = await pipeline.reconciler.once(repair=not check)
        except TimeoutError:
            raise DevServerError("the workers do not keep up with what is written: run it again later") from None
    print(f"{'WHAT':<20} {'COMPARED':>12} {'DRIFTED':>12} {'REPAIRED':>12}")
    for what, *counts in report.rows():
        print(f"{what:<20} " + " ".join(f"{count:>12,}" for count in counts))
    if report.busy:
        say(f"{report.busy:,} changed all the while and could not be judged: run it again")
    if report.left:
        raise DevServerError(f"{report.left:,} differences are left")


async def doctor(settings: Settings, as_json: bool) -> None:
    """Prints a line for each thing that was looked at, and one on what to do. Raises if anything is wrong."""
    async with clients(settings) as opened:
        found = [*of_settings(settings), *await MongoDoctor(opened.mongo, settings.request_seconds).findings()]
        for one in await redis_doctors(opened.redis):
            found += await one.findings()
        if not any(one.name.endswith(".answers") and one.verdict is Verdict.WRONG for one in found):
            found += await PipelineDoctor(Changes(opened.mongo), opened.redis, settings).findings()
    print(json.dumps([asdict(one) for one in found]) if as_json else told(found))
    if wrong := sum(one.verdict is Verdict.WRONG for one in found):
        raise DevServerError(f"{wrong} of {len(found)} are wrong")


def told(found: Sequence[Finding]) -> str:
    """As lines, each with what to do behind it."""
    lines = []
    for one in found:
        lines.append(f"{one.verdict:<8} {one.name:<24} {one.told}")
        lines += [f"{'':<34}{one.todo}"] if one.todo else []
    return "\n".join(lines)


async def shard(settings: Settings) -> None:
    """Spreads over a sharded cluster what nothing is in the way of."""
    async with clients(settings) as opened:
        try:
            done = await shards.run(opened.mongo)
        except shards.NoRouterError as error:
            raise DevServerError(str(error)) from error
    say(f"spread over the cluster: {', '.join(done)}")


async def backup(settings: Settings, path: Path) -> None:
    """Writes MongoDB's database to a file while everything runs on."""
    async with clients(settings) as opened:
        counts = await backups.backup(opened.mongo, path)
    say(f"{path}: {sum(counts.values()):,} documents, {path.stat().st_size:,} bytes")


async def restore(settings: Settings, path: Path) -> None:
    """Fills an empty database; Redis is emptied, since what it holds was derived from another one."""
    async with clients(settings) as opened:
        try:
            counts = await backups.restore(opened.mongo, path)
        except backups.BackupError as error:
            raise DevServerError(str(error)) from error
        await opened.redis.flushdb()
    say(f"{sum(counts.values()):,} documents restored; now run: python -m app reconcile")


async def dead_letters(settings: Settings, action: str, ids: Sequence[str]) -> None:
    """Lists, puts back or drops the events with these ids, or all that workers set aside."""
    async with clients(settings) as opened:
        letters = DeadLetters(opened.redis)
        if action == "list":
            async for one in letters.each(ids):
                print(f"{one.id}  {one.at:%Y-%m-%d %H:%M:%S}  {one.stream}  {one.event}  {one.why}")
            return
        count = await (letters.retry(ids) if action == "retry" else letters.drop(ids))
        say(f"{count:,} events {'put back' if action == 'retry' else 'dropped'}")


async def token(settings: Settings, name: str) -> None:
    """Prints an access token for a user; never in production."""
    if settings.profile == "production":
        raise DevServerError("tokens are not handed out in production: log in")
    async with clients(settings) as opened, services_of(settings, opened) as services:
        user = await services.users.by_username(name)
        if user is None:
            raise DevServerError(f'there is no user "{name}"')
        context = Context(services, "127.0.0.1", "python -m app token")
        print((await accounts.open_session(context, user.id)).access_token)


def printed(command: str, settings: Settings) -> str:
    """What a command prints that needs no server."""
    if command == "shard-plan":
        return "\n".join(shards.lines(settings.mongo_database))
    return settings_table(settings) if command == "settings" else sdl()


def sdl() -> str:
    """The schema as SDL."""
    return build_schema().as_str()


def trust(settings: Settings, files: Sequence[Path]) -> None:
    """Adds the documents of files to the manifest, and prints the hash of each."""
    for name, file in add_documents(build_schema()._schema, settings.documents, files).items():
        print(f"{name}  {file}")


async def seed(settings: Settings) -> None:
    """A small living world, on the first start of a database only."""
    async with clients(settings) as opened, services_of(settings, opened) as services:
        password_hash = await services.credentials.hash(DEMO_PASSWORD)
        if await demo_world.plant(opened.mongo, password_hash, ids.now_ms()):
            say("planted a small world: 200 people and 2,000 tweets")
            await promote_due(settings, opened)


async def demo_author(settings: Settings) -> None:
    """Posts until cancelled, so that live means live."""
    async with clients(settings) as opened:
        await demo_world.post_for_ever(opened.mongo, DEMO_TWEET_SECONDS, say)


# ---------------------------------------------------------------- dev: what `make run` runs


async def dev(settings: Settings, under_make: bool = False) -> None:
    """Everything on one machine until cancelled; then demo author, server, worker, Valkey and MongoDB stop in turn."""
    with ownership.own(settings.data_dir, ownership.MAKE_RUN):
        for port in range(settings.port, settings.port + 1 + settings.cluster):
            processes.check_port(settings.host, port)
        async with AsyncExitStack() as stack:
            stack.callback(say, "stopped")
            if under_make:
                stack.callback(asyncio.create_task(processes.obey_make()).cancel)
            say("starting MongoDB and Valkey (those given by URL are used as they are)")
            mongo_url, redis_url = await stack.enter_async_context(redis_devserver.embedded(settings, say))
            settings = settings.model_copy(update={"mongo_url": mongo_url, "redis_url": redis_url})
            run = Run(os.getpid(), settings.host, settings.port, mongo_url, redis_url)
            await stack.enter_async_context(ownership.published(settings.data_dir, run))
            if settings.seed:
                settings = settings.model_copy(update={"top_user_threshold": demo_threshold(settings)})
                await seed(settings)
            say("starting the worker and the server")
            await stack.enter_async_context(child(settings, "work"))
            front = await stack.enter_async_context(child(settings, "serve"))
            if settings.cluster:
                second = settings.model_copy(update={"port": settings.port + 1})
                for command in ("work", "serve"):
                    await stack.enter_async_context(child(second, command, "-2"))
                say(f"a second server listens at port {second.port}")
            if not await front.ready(lambda: processes.is_ok(settings.host, settings.port, "/readyz")):
                raise DevServerError(f"the server does not start: {processes.last_words(front.program.log)}")
            print(welcome(settings), flush=True)
            stack.callback(say, "stopping")
            await (demo_author(settings) if settings.seed else asyncio.Event().wait())


def demo_threshold(settings: Settings) -> int:
    """Low enough for the demo world to have a top user, unless the operator chose one."""
    chosen = "top_user_threshold" in settings.model_fields_set
    return settings.top_user_threshold if chosen else DEMO_TOP_USER_THRESHOLD


def program_of(settings: Settings, command: str, *arguments: str, suffix: str = "") -> Program:
    """`python -m app COMMAND` with these settings; its log's name has the suffix."""
    data_dir = settings.data_dir.absolute()
    env = os.environ | {
        "PORT": str(settings.port),
        "MONGO_URL": settings.mongo_url,
        "REDIS_URL": settings.redis_url,
        "DATA_DIR": str(data_dir),
        "TOP_USER_THRESHOLD": str(settings.top_user_threshold),
        "PYTHONUNBUFFERED": "1",
    }
    run = (sys.executable, "-m", "app", command, *arguments)
    return Program(command, run, data_dir / f"{command}{suffix}.log", env, orphan_signal=signal.SIGKILL)


@asynccontextmanager
async def child(settings: Settings, command: str, suffix: str = "") -> AsyncIterator[Child]:
    """`python -m app COMMAND` with these settings, started again whenever it dies."""
    process = Child(program_of(settings, command, suffix=suffix))
    await process.start()
    async with processes.kept(process, say):
        yield process


def say(line: str) -> None:
    """One line of progress."""
    print(f"perch: {line}", flush=True)


def welcome(settings: Settings) -> str:
    """What to open and what to try first."""
    # Compared, and not bound to.
    everywhere = ("0.0.0.0", "::")  # noqa: S104  # nosec B104
    host = "127.0.0.1" if settings.host in everywhere else settings.host
    return WELCOME.format(password=DEMO_PASSWORD, url=f"http://{host}:{settings.port}", logs=settings.data_dir)


# ---------------------------------------------------------------- the command line


def parser() -> argparse.ArgumentParser:
    """The command line; each command's help is its function's docstring."""
    top = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, what in COMMANDS.items():
        commands.add_parser(name, help=what, description=what)
    commands.choices["dev"].add_argument(
        "--under-make", action="store_true", help="stop when make, the parent, stops or dies"
    )
    documents = commands.choices["documents"]
    documents.add_argument("verb", choices=("add",), help="what to do")
    documents.add_argument("files", nargs="+", type=Path, metavar="FILE", help=".graphql, or a manifest (.json)")
    commands.choices["serve"].add_argument("--listen-fd", type=int, help="a socket that listens already (WORKERS)")
    commands.choices["token"].add_argument("name", help="username")
    commands.choices["reconcile"].add_argument(
        "--check", action="store_true", help="repair nothing; exit code 1 if anything has drifted"
    )
    commands.choices["doctor"].add_argument("--json", action="store_true", help="as one list of objects")
    commands.choices["shard-plan"].add_argument("--run", action="store_true", help="run it; MONGO_URL is a mongos")
    for name in ("backup", "restore"):
        commands.choices[name].add_argument("path", type=Path, metavar="FILE", help="for instance perch.bson.gz")
    commands.choices["dead-letters"].add_argument("action", choices=("list", "retry", "drop"))
    commands.choices["dead-letters"].add_argument("ids", nargs="*", help="as `list` shows them; none: all of them")
    for kind in ("users", "follows", "tweets"):
        commands.choices["import"].add_argument(
            f"--{kind}", type=Path, metavar="FILE", help="CSV or JSON Lines, or .gz"
        )
    commands.choices["import"].add_argument("--on-error", choices=("skip", "stop"), default="stop", help="at a bad row")
    return top


def command_of(args: argparse.Namespace, settings: Settings) -> Coroutine[Any, Any, None]:
    """The coroutine to run for the parsed command line."""
    if args.command == "dev":
        return dev(settings, args.under_make)
    commands: dict[str, Command] = {
        "serve": lambda found: serve(found, args.listen_fd),
        "work": work,
        "import": lambda found: import_(found, args),
        "reconcile": lambda found: reconcile(found, args.check),
        "doctor": lambda found: doctor(found, args.json),
        "shard-plan": shard,
        "backup": lambda found: backup(found, args.path),
        "restore": lambda found: restore(found, args.path),
        "dead-letters": lambda found: dead_letters(found, args.action, args.ids),
        "token": lambda found: token(found, args.name),
    }
    return with_servers(settings, f"python -m app {args.command}", commands[args.command])


async def until_stopped(command: Coroutine[Any, Any, None]) -> bool:
    """Runs it; False if SIGINT, SIGTERM or SIGHUP ended it. The first one cancels; later ones are ignored, so that
    what stops in order stops in order."""
    task = asyncio.ensure_future(command)
    loop, asked = asyncio.get_running_loop(), asyncio.Event()

    def stop(*_: object) -> None:
        if not asked.is_set():
            asked.set()
            loop.call_soon_threadsafe(task.cancel)

    # Not add_signal_handler: uvicorn takes these over while it serves, gives them back and raises them again.
    for number in STOP_SIGNALS:
        signal.signal(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not asked.is_set():
            raise
        for number in STOP_SIGNALS:  # an impatient one must not hit the interpreter while it leaves
            signal.signal(number, signal.SIG_IGN)
        return False
    return True


def main() -> int:
    """The exit code: 0; 1 and a line on what is in the way; 2 and a line for each bad setting; 130 if interrupted."""
    args = parser().parse_args()
    try:
        settings = Settings()
    except ValidationError as error:
        print(*complaints(error), sep="\n", file=sys.stderr)
        return 2
    if args.command in ("settings", "sdl") or (args.command == "shard-plan" and not args.run):
        print(printed(args.command, settings))
        return 0
    try:
        if args.command == "documents":
            trust(settings, args.files)
            return 0
        telemetry.configure_logs(settings.log_level)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            done = runner.run(until_stopped(command_of(args, with_secret(settings))))
    except (DevServerError, BadDocumentError) as error:
        print(f"perch: {error}", file=sys.stderr)
        return 1
    return 0 if done or args.command in ("dev", "serve", "work") else 130


if __name__ == "__main__":
    sys.exit(main())
