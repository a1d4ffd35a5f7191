"""Doctor: what is well and what is not with MongoDB and with the settings. Looks only; changes and repairs nothing."""

import resource
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from datastore.findings import Check, Finding, Verdict, clock, graded, looked, ok, reason, wrong
from datastore.indexes import INDEXES
from datastore.mongo import Doc, Mongo, within
from datastore.settings import LEAST_VARIETY, Settings
from datastore.shards import PLAN
from datastore.upgrade import STEPS

# The oldest that all commands exist in, and the oldest that still gets corrections.
OLDEST, SUPPORTED = (6, 0), (7, 0)
# Shorter than the look, so that the driver does not wait on behind it.
ANSWER_SECONDS = 2.0
# A relay that nobody could start again over a weekend still finds where it stood.
OPLOG_HOURS = 48
# A young oplog says nothing about how long it will last.
OPLOG_YOUNG = 0.9
TRANSACTION_SECONDS = 15
# What an index is made with that changes what it finds or refuses.
_OPTIONS = ("unique", "partialFilterExpression", "expireAfterSeconds")
_LOOPBACK = {"127.0.0.1", "localhost", "::1", None}


class MongoDoctor:
    """All findings about one database and the servers that hold it."""

    def __init__(self, mongo: Mongo, request_seconds: float) -> None:
        self._mongo = mongo
        self._request_seconds = request_seconds

    async def findings(self) -> list[Finding]:
        """In order; only the first where no primary answers."""
        reached = await looked({"mongo.answers": self._answers})
        if reached[0].verdict is not Verdict.OK:
            told, todo = f"no primary answers: {reason(reached[0])}", "see MONGO_URL, the network and rs.status()"
            return [wrong("mongo.answers", told, todo)]
        checks: dict[str, Check] = {
            "mongo.version": self._version,
            "mongo.members": self._members,
            "mongo.election": self._election,
            "mongo.transactions": self._transactions,
            "mongo.oplog": self._oplog,
            "mongo.clock": self._clock,
            "mongo.indexes": self._indexes,
        }
        return [*reached, *await looked(checks)]

    async def _answers(self) -> Finding:
        with within(ANSWER_SECONDS):
            await self._mongo.ping()
        return ok("mongo.answers", "a primary answers")

    async def _admin(self, command: str, **more: Any) -> Doc:
        answer: Doc = await self._mongo.client.admin.command(command, **more)
        return answer

    async def _version(self) -> Finding:
        version = tuple((await self._admin("buildInfo"))["versionArray"][:3])
        told = ".".join(map(str, version))
        todo = "install MongoDB 7 or 8"
        return graded("mongo.version", told, todo, is_wrong=version < OLDEST, is_doubtful=version < SUPPORTED)

    async def _members(self) -> Finding:
        hello, name = await self._admin("hello"), "mongo.members"
        if hello.get("msg") == "isdbgrid":
            return ok(name, "a sharded cluster: run this once for each shard too")
        if "setName" not in hello:
            return wrong(name, "no replica set", "start mongod with --replSet: change streams need one")
        status = await self._admin("replSetGetStatus")
        bearing = [one for one in status["members"] if one["stateStr"] in ("PRIMARY", "SECONDARY")]
        arbiters = sum(one["stateStr"] == "ARBITER" for one in status["members"])
        told = f"{len(bearing)} of {len(status['members'])} bear data and are up; {arbiters} arbiters"
        few = len(bearing) < status["writeMajorityCount"]
        todo = "three members that bear data, in three zones, and no arbiter"
        return graded(name, told, todo, is_wrong=few, is_doubtful=len(bearing) < 3 or arbiters > 0)

    async def _election(self) -> Finding:
        milliseconds = (await self._admin("replSetGetConfig"))["config"]["settings"]["electionTimeoutMillis"]
        told = f"electionTimeoutMillis {milliseconds}, REQUEST_SECONDS {self._request_seconds:g}"
        todo = "set electionTimeoutMillis to 2000, or REQUEST_SECONDS to 14: else requests fail during an election"
        return graded("mongo.election", told, todo, is_doubtful=milliseconds / 1000 + 1 > self._request_seconds)

    async def _transactions(self) -> Finding:
        name = "transactionLifetimeLimitSeconds"
        seconds = (await self._admin("getParameter", **{name: 1}))[name]
        todo = f"set {name} to {TRANSACTION_SECONDS}: a purge that died keeps its locks for so long"
        return graded("mongo.transactions", f"{name} {seconds}", todo, is_doubtful=seconds > TRANSACTION_SECONDS)

    async def _oplog(self) -> Finding:
        oplog: Any = self._mongo.client["local"]["oplog.rs"]
        first, last = [await oplog.find_one({}, {"ts": 1}, sort=[("$natural", way)]) for way in (1, -1)]
        stats = await self._mongo.client["local"].command("collStats", "oplog.rs")
        return oplog_finding((last["ts"].time - first["ts"].time) / 3600, stats["size"] / stats["maxSize"])

    async def _clock(self) -> Finding:
        began = time.time()
        theirs = (await self._admin("hello"))["localTime"].timestamp()
        return clock("mongo.clock", theirs, (began + time.time()) / 2)

    async def _indexes(self) -> Finding:
        missing, different, extra, old = [], [], [], []
        for collection, wanted in INDEXES.items():
            found = await self._mongo.db[collection].index_information()
            there = {_shape(one["key"]): _options(one) for name, one in found.items() if name != "_id_"}
            before = {_shape(one["key"]) for name, one in found.items() if (collection, name) in _OF_BEFORE}
            for keys, options in wanted:
                shape = _shape(keys)
                if shape not in there:
                    missing.append(f"{collection}({shape})")
                elif there.pop(shape) != _options(options):
                    different.append(f"{collection}({shape})")
            extra += [f"{collection}({shape})" for shape in there if shape not in _SHARD_KEYS | before]
            old += [f"{collection}({shape})" for shape in before]
        return index_finding(missing, different, extra, old)


def oplog_finding(hours: float, filled: float) -> Finding:
    """`hours` between the first and the last entry, of an oplog that is filled to this share of its size."""
    if filled < OPLOG_YOUNG:
        return ok("mongo.oplog", f"{hours:.1f} h and {filled:.0%} full: it grows")
    todo = "make it larger (replSetResizeOplog): workers that stand still for longer cost a rescan of all documents"
    told = f"{hours:.1f} h at the present rate"
    return graded("mongo.oplog", told, todo, is_wrong=hours < 1, is_doubtful=hours < OPLOG_HOURS)


def index_finding(missing: list[str], different: list[str], extra: list[str], old: Sequence[str] = ()) -> Finding:
    """The worst of what was found, with all of it."""
    lists: dict[str, Sequence[str]] = {
        "missing": missing,
        "different": different,
        "extra": extra,
        "of the version before": old,
    }
    told = "; ".join(f"{what}: {', '.join(those)}" for what, those in lists.items() if those)
    todo = "start a server: it makes the missing and replaces those of before; drop the different and the extra"
    return graded(
        "mongo.indexes", told or "all there, and no others", todo,
        is_wrong=bool(missing or different), is_doubtful=bool(extra or old),
    )  # fmt: skip


def _shape(keys: Sequence[tuple[str, Any]]) -> str:
    return ", ".join(f"{field} {way if isinstance(way, str) else int(way)}" for field, way in keys)


# Indexes that a sharded cluster needs, where there is one.
_SHARD_KEYS = {_shape([*spread.key.items()]) for spread in PLAN}
# Indexes that must not be dropped by hand: what takes their place is filled first.
_OF_BEFORE = {(step.collection, step.index) for step in STEPS}


def _options(index: Doc) -> Doc:
    return {name: index[name] for name in _OPTIONS if index.get(name) is not None}


def of_settings(settings: Settings) -> list[Finding]:
    """What the settings alone tell, and this machine's limit of open files."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return [_secret(settings), _strict(settings), _tls(settings), files_finding(files)]


def _secret(settings: Settings) -> Finding:
    key = settings.secret_key.get_secret_value()
    told = f"{len(key)} characters, {len(set(key))} different"
    weak = len(key) < 32 or len(set(key)) < LEAST_VARIETY
    return graded("settings.secret_key", told, "make one with `openssl rand -base64 48`", is_wrong=weak)


def _strict(settings: Settings) -> Finding:
    name, told = "settings.profile", f"{settings.profile}, at {settings.host}"
    if settings.profile == "development":
        todo = "set PROFILE to production: else whoever reaches it sees the schema, and the demo account's password"
        return graded(name, told, todo, is_doubtful=settings.host not in _LOOPBACK)
    return graded(name, told, "set RATE_LIMITS to on", is_wrong=not settings.rate_limits)


def _tls(settings: Settings) -> Finding:
    clear = [name for name, url in _urls(settings).items() if not _is_safe(url)]
    told = f"in clear: {', '.join(clear)}" if clear else "encrypted, or on this machine"
    return graded(
        "settings.tls", told, "use tls=true and rediss://, or a network of their own", is_doubtful=bool(clear)
    )


def _urls(settings: Settings) -> dict[str, str]:
    return {"MONGO_URL": settings.mongo_url, "REDIS_URL": settings.redis_url}


def _is_safe(url: str) -> bool:
    if url.startswith(("rediss", "unix:", "mongodb+srv:")):
        return True
    # urlsplit would take the ports of several hosts for one bad port.
    hosts = [one.rpartition(":")[0] or one for one in urlsplit(url).netloc.rpartition("@")[2].split(",")]
    options = parse_qs(urlsplit(url).query)
    return "true" in (*options.get("tls", ()), *options.get("ssl", ())) or all(host in _LOOPBACK for host in hosts)


def files_finding(limit: int) -> Finding:
    """Each socket is an open file, and so is each connection to a store (at most 350)."""
    told = f"{limit:,} open files for each process started from here"
    todo = "raise it (LimitNOFILE=65536, ulimit -n, ulimits of the container): each socket is one"
    return graded("settings.files", told, todo, is_wrong=limit < 1024, is_doubtful=limit < 10_000)
