"""Credentials: password hashes and tokens. Touches no store, and keeps argon2 off the event loop."""

import asyncio
import hashlib
import secrets
from base64 import b64encode
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from jwt.types import Options

from datastore.errors import unauthenticated
from datastore.rules import PASSWORD_LENGTHS

ISSUER = AUDIENCE = "perch"
ALGORITHM = "HS256"
REQUIRED: Options = {"require": ["exp", "sub", "sid"]}
# Tokens remembered as good, some 500 bytes each; the oldest are forgotten.
KNOWN_TOKENS = 10_000
# OWASP's second choice for argon2id: 19 MiB, two passes, one lane.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a valid access token speaks for."""

    user_id: int
    session_id: int
    expires_at: datetime


class Credentials:
    """Hashes, checks, issues. Tokens are signed with `secret`; those signed with one of `old_secrets` are good as long
    as they last. Close it to end its threads."""

    def __init__(self, secret: str, access_lifetime: timedelta, old_secrets: Sequence[str] = ()) -> None:
        self._secrets = (secret, *old_secrets)
        self._access_lifetime = access_lifetime
        self._known: dict[str, Identity] = {}
        # Two threads: a burst of log-ins waits here, while the loop and one core stay free.
        self._pool = ThreadPoolExecutor(2, "argon2")
        # Checked for unknown users too, so that they cost the same work.
        self._nobody = _nobodys_hash()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str) -> str:
        """An argon2id hash with its parameters and salt."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, _HASHER.hash, password)

    async def verify(self, password: str, kept: str | None) -> bool:
        """Whether the password fits the hash; None never fits and takes as long. Over-long ones are not looked at."""
        if len(password) > PASSWORD_LENGTHS[1]:
            return False
        fits = await asyncio.get_running_loop().run_in_executor(self._pool, _verify, kept or self._nobody, password)
        return fits and kept is not None

    def outdated(self, kept: str) -> bool:
        """Whether a hash was made with weaker parameters than today's."""
        return _HASHER.check_needs_rehash(kept)

    def access_token(self, user_id: int, session_id: int, now: datetime) -> tuple[str, datetime]:
        """A signed token and when it expires."""
        expires_at = (now + self._access_lifetime).replace(microsecond=0)
        claims = {"sub": str(user_id), "sid": str(session_id), "iat": now, "exp": expires_at}
        return jwt.encode(claims | {"iss": ISSUER, "aud": AUDIENCE}, self._secrets[0], ALGORITHM), expires_at

    def identify(self, token: str) -> Identity:
        """Who the token speaks for. Raises UNAUTHENTICATED; the algorithm, issuer and audience are pinned.

        A token that was good once is good until it expires: it is remembered, which saves its signature each time.
        """
        known = self._known.get(token)
        if known is None or known.expires_at <= datetime.now(UTC):
            known = self._known[token] = self._verified(token)
            if len(self._known) > KNOWN_TOKENS:
                del self._known[next(iter(self._known))]
        return known

    def _verified(self, token: str) -> Identity:
        refusal: Exception | None = None
        for secret in self._secrets:
            try:
                claims = jwt.decode(token, secret, [ALGORITHM], issuer=ISSUER, audience=AUDIENCE, options=REQUIRED)
                expires_at = datetime.fromtimestamp(claims["exp"], UTC)
                return Identity(int(claims["sub"]), int(claims["sid"]), expires_at)
            except (jwt.PyJWTError, ValueError) as error:
                refusal = error
        raise unauthenticated("The access token is not valid, or no longer.") from refusal


def _nobodys_hash() -> str:
    """A hash as `_HASHER` writes them, of no password. Not computed: the 19 MiB of that would stay with the process."""
    salt, key = (b64encode(secrets.token_bytes(size)).decode().rstrip("=") for size in (16, 32))
    cost = f"m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${key}"


def bearer(header: str | None) -> str | None:
    """The token of an Authorization header, None without one. Raises UNAUTHENTICATED for another scheme."""
    if header is None:
        return None
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise unauthenticated("The header is: Authorization: Bearer <accessToken>")
    return token.strip()


def new_refresh_secret() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def refresh_token(session_id: int, secret: str) -> str:
    """What the client keeps: the session's name and the secret."""
    return f"{session_id}.{secret}"


def read_refresh_token(token: str) -> tuple[int, str] | None:
    """The session and the secret, None if it is no token."""
    session_id, _, secret = token.partition(".")
    if not (session_id.isascii() and session_id.isdigit() and len(session_id) < 18 and secret and secret.isascii()):
        return None
    return int(session_id), secret


def refresh_hash(secret: str) -> bytes:
    """What is kept of a refresh secret. It is random, so a plain hash suffices."""
    return hashlib.sha256(secret.encode()).digest()


def _verify(kept: str, password: str) -> bool:
    try:
        return _HASHER.verify(kept, password)
    except (Argon2Error, InvalidHashError, UnicodeEncodeError):
        return False
