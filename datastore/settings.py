"""Settings: every knob of an installation as one typed class. Only app.py makes one, and so reads the environment."""

from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Secrets = TypeVar("Secrets", SecretStr, tuple[SecretStr, ...])
# Of 32 random characters of hex 14 differ on average; of a word that is repeated, or of x's, fewer do.
LEAST_VARIETY = 8

MONGO_URL, REDIS_URL = r"^(mongodb(\+srv)?://.+)?$", r"^((rediss?(\+cluster)?|unix)://.+)?$"


class Settings(BaseSettings):
    """Every setting. Each is read from the environment variable of its name in capitals; empty means the default."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8000, ge=1, le=65535, description="port to listen on")
    work_port: int = Field(default=0, ge=0, le=65535, description="of a worker's /readyz and /metrics; 0: none")
    workers: int = Field(default=1, ge=1, le=64, description="server processes behind one port")
    profile: Literal["development", "production"] = Field(default="development", description="how strict it all is")
    data_dir: Path = Field(default=Path(".data"), description="embedded servers, logs and the development key")
    mongo_url: str = Field(default="", pattern=MONGO_URL, description="MongoDB replica set; empty: embedded")
    read_secondaries: bool = Field(
        default=False, description="searches of those who are not logged in ask MongoDB's secondaries"
    )
    mongo_driver: Literal["motor", "pymongo"] = Field(
        default="motor", description="pymongo: Motor's successor, without threads, which costs less CPU"
    )
    mongo_database: str = Field(default="perch", pattern=r"^[A-Za-z0-9_-]{1,60}$", description="name of the database")
    redis_url: str = Field(
        default="", pattern=REDIS_URL, description="Redis or Valkey, redis+cluster:// for a cluster; empty: embedded"
    )
    secret_key: SecretStr = Field(default=SecretStr(""), description="signs tokens; empty: a random one, kept")
    old_secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(), description="still good for tokens that were signed before, by comma"
    )
    trusted_proxies: int = Field(default=0, ge=0, le=10, description="proxies in front that tell where a call is from")
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(default=(), description="of browsers, by comma")
    trusted_documents: Literal["off", "prefer", "only"] = Field(
        default="off", description="off: any text; prefer: hashes of documents too; only: nothing but trusted ones"
    )
    documents: Path = Field(default=Path("documents.json"), description="trusted documents, by hash")
    seed: bool = Field(default=True, description="`make run`: a living world on first start, and a demo author")
    cluster: bool = Field(default=False, description="`make run`: three mongods, two servers, two workers")
    rate_limits: bool = Field(default=True, description="action limits and log-in throttles")
    metrics: bool = Field(default=True, description="Prometheus metrics at /metrics")
    traces: str = Field(default="", pattern=r"^(https?://.+)?$", description="OTLP/HTTP collector; empty: no traces")
    traces_share: float = Field(default=1, ge=0, le=1, description="of all traces, those that are recorded")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="least level logged")

    text_limit: int = Field(default=140, ge=1, le=10_000, description="code points in a tweet, after NFC")
    tweets_in_3_hours: int = Field(default=300, ge=1, le=100_000, description="tweets and retweets of one person")
    follows_a_day: int = Field(default=400, ge=1, le=100_000, description="follows, blocks and mutes of one person")
    likes_a_day: int = Field(default=1000, ge=1, le=1_000_000, description="likes of one person")
    sign_ups_in_30_minutes: int = Field(default=5, ge=1, le=100_000, description="sign-ups from one address")
    log_ins_in_5_minutes: int = Field(default=25, ge=1, le=100_000, description="log-ins from an address, or to a name")
    cost_an_hour: int = Field(default=500_000, ge=1_000, le=10**9, description="cost of all one caller asks")
    cost_limit: int = Field(default=5_000, ge=100, le=10**6, description="cost of one operation")
    request_seconds: float = Field(default=6, ge=0.5, le=60, description="longer than an election; then UNAVAILABLE")
    requests_at_once: int = Field(default=500, ge=2, le=100_000, description="above it reads are refused, writes at 2x")
    redis_timeout_ms: int = Field(default=400, ge=20, le=10_000, description="how long a request waits for Redis")
    breaker_open_seconds: float = Field(default=1, ge=0.05, le=60, description="rest after Redis did not answer twice")
    standby_after_seconds: float = Field(
        default=4, ge=0.1, le=300, description="without a MongoDB primary, until secondaries answer pages"
    )
    top_user_threshold: int = Field(default=5000, ge=1, description="above it an author is not fanned out but pulled")
    kept_entries: int = Field(default=200, ge=1, le=2_000, description="entries left in a timeline by a trim")
    trim_at: int = Field(default=232, ge=2, le=4_000, description="entries that call for a trim")
    inactive_days: int = Field(default=7, ge=1, le=365, description="days unread before a timeline is dropped")
    presence_seconds: int = Field(default=900, ge=1, le=86_400, description="life of a live stream nobody renews")
    events_kept: int = Field(default=200, ge=1, le=10_000, description="live events kept for each present reader")
    cache_seconds: int = Field(default=600, ge=1, le=86_400, description="life of a cached tweet or profile in Redis")
    cache_drop_ms: int = Field(default=50, ge=1, le=5000, description="how long a change's answer waits for the caches")
    process_cache_ms: int = Field(default=500, ge=0, le=1000, description="life of a cached one in a server process")
    process_cache_kept: int = Field(
        default=2000, ge=0, le=1_000_000, description="tweets, and as many profiles, cached in a server process"
    )
    partitions: int = Field(default=4, ge=1, le=1024, description="event streams, by author; workers lease whole ones")
    lease_seconds: float = Field(default=5, ge=0.1, le=300, description="life of a silent relay's or worker's lease")
    sweep_seconds: float = Field(default=2, ge=0.05, le=60, description="pause between looks for missed live events")
    purge_look_seconds: float = Field(default=1, ge=0.01, le=3600, description="pause between looks for due purges")
    purge_again_seconds: float = Field(
        default=60, ge=0, le=86_400, description="from a purge's first round to its last"
    )
    purge_slice: int = Field(default=200, ge=1, le=1000, description="documents a purge deletes at once")
    sockets_per_user: int = Field(default=20, ge=1, le=10_000, description="sockets and streams of one user, a process")
    unread_kb: int = Field(
        default=64, ge=4, le=4096, description="of a live client's, kept by the system; it doubles it"
    )
    stalled_seconds: float = Field(default=30, ge=0.1, le=3600, description="life of a socket that is not read")
    drain_slice: int = Field(default=200, ge=1, le=100_000, description="sockets a stopping server closes at once")
    drain_pause_seconds: float = Field(default=0.2, ge=0, le=60, description="pause between two such slices")
    drain_idle_seconds: float = Field(
        default=2, ge=0, le=60, description="a stopping server still answers on open connections for so long"
    )
    reconcile_every_seconds: float = Field(
        default=21_600, ge=0.1, le=31_536_000, description="from the end of one background comparison to the next"
    )
    reconcile_pause_seconds: float = Field(
        default=1, ge=0, le=3600, description="pause between slices of a background comparison"
    )
    reconcile_slice: int = Field(default=200, ge=1, le=1000, description="documents or keys compared at once")
    reconcile_grace_seconds: float = Field(
        default=30, ge=0.1, le=600, description="longer than a write can take: what differs by then has drifted"
    )
    access_token_seconds: int = Field(default=900, ge=1, le=86_400, description="life of an access token")
    refresh_token_days: int = Field(default=30, ge=1, le=365, description="life of a refresh token")

    @field_validator("allowed_origins", "old_secret_keys", mode="before")
    @classmethod
    def _by_comma(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("secret_key", "old_secret_keys")
    @classmethod
    def _long_enough(cls, value: Secrets) -> Secrets:
        for key in value if isinstance(value, tuple) else (value,):
            if 0 < len(key.get_secret_value()) < 32:
                raise ValueError("give 32 characters or more")
        return value

    @model_validator(mode="after")
    def _hang_together(self) -> Self:
        given = {
            "SECRET_KEY": self.secret_key.get_secret_value(),
            "MONGO_URL": self.mongo_url,
            "REDIS_URL": self.redis_url,
        }
        if self.profile == "production" and not all(given.values()):
            missing = ", ".join(name for name, value in given.items() if not value)
            raise ValueError(f"{missing}: required when PROFILE is production")
        if self.profile == "production" and len(set(self.secret_key.get_secret_value())) < LEAST_VARIETY:
            raise ValueError("SECRET_KEY: not random; make one with `openssl rand -base64 48`")
        if self.trim_at <= self.kept_entries:
            raise ValueError("TRIM_AT: must be greater than KEPT_ENTRIES")
        if self.cost_an_hour < self.cost_limit:
            raise ValueError("COST_AN_HOUR: must not be less than COST_LIMIT")
        return self


def complaints(error: ValidationError) -> list[str]:
    """One line for each bad setting; without its value, which may be a secret."""
    return [
        ": ".join([*(str(part).upper() for part in e["loc"]), e["msg"].removeprefix("Value error, ")])
        for e in error.errors()
    ]


def settings_table(settings: Settings) -> str:
    """Each setting with its value, default and description, aligned; secrets masked."""
    rows = [("SETTING", "VALUE", "DEFAULT", "DESCRIPTION")]
    for name, field in Settings.model_fields.items():
        rows.append((name.upper(), _shown(getattr(settings, name)), _shown(field.default), field.description or ""))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("  ".join([*map(str.ljust, row, widths), row[3]]) for row in rows)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    scheme, at, host = text.rpartition("@")
    return f"{scheme.partition('://')[0]}://***@{host}" if at and "://" in scheme else text or "-"
