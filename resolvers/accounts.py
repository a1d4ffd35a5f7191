"""Accounts: signing up, logging in and out, and who one is."""

import hashlib
from dataclasses import dataclass

from datastore import rules
from datastore.errors import DomainError, ErrorCode, unauthenticated
from datastore.records import Account, Session, Tokens, User
from realtime.limits import Action
from resolvers import guards
from resolvers.context import Context, Info
from resolvers.credentials import new_refresh_secret, read_refresh_token, refresh_hash, refresh_token


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A fresh session of an account."""

    tokens: Tokens
    viewer: Account


async def sign_up(info: Info, username: str, email: str, password: str, display_name: str | None) -> LoggedIn:
    """A new account and its first session. Raises the rules' refusals, USERNAME_TAKEN, EMAIL_TAKEN."""
    context = info.context
    username, email = rules.username(username), rules.email(email)
    rules.password(password, username)
    shown = rules.display_name(display_name) if display_name is not None else username
    await guards.spend(context, Action.SIGN_UP, context.client_ip)
    password_hash = await context.services.credentials.hash(password)
    account = await context.services.users.add(username, email, password_hash, shown, context.now_ms())
    return LoggedIn(await open_session(context, account.user.id), account)


async def log_in(info: Info, username_or_email: str, password: str) -> LoggedIn:
    """A new session. Raises WRONG_CREDENTIALS, the same and after the same work for whatever is wrong."""
    context = info.context
    services = context.services
    await guards.spend(context, Action.LOG_IN, f"ip:{context.client_ip}")
    await guards.spend(context, Action.LOG_IN, throttled_name(username_or_email))
    account = await services.users.account_by_login(username_or_email)
    kept = account.password_hash if account else None
    if not await services.credentials.verify(password, kept) or not account or not kept:
        raise _wrong_credentials()
    session, secret = await _new_session(context, account.user.id)
    if not await _still_right(context, account.user.id, password, kept):
        await services.sessions.end(session.id)
        raise _wrong_credentials()
    if services.credentials.outdated(kept):
        await services.users.set_password(account.user.id, await services.credentials.hash(password), instead_of=kept)
    return LoggedIn(tokens(context, session, secret), account)


async def _still_right(context: Context, user_id: int, password: str, kept: str) -> bool:
    """Whether the password that fitted `kept` is still the account's.

    Asked behind the session's insert: a password change or a deletion ends the sessions that it finds, and what it
    did not find yet finds it here.
    """
    account = await context.services.users.account(user_id)
    if account is None:
        return False
    return account.password_hash == kept or await context.services.credentials.verify(password, account.password_hash)


def throttled_name(username_or_email: str) -> str:
    """What guesses at one account are counted under: a hash, so that no key of Redis holds a name or an address."""
    key = rules.email_key if "@" in username_or_email else rules.username_key
    return "name:" + hashlib.sha256(key(username_or_email).encode(errors="replace")).hexdigest()[:32]


def _wrong_credentials() -> DomainError:
    return DomainError(ErrorCode.WRONG_CREDENTIALS, "The name or the password is wrong.")


async def refresh_session(info: Info, token: str) -> Tokens:
    """New tokens for a refresh token, which is spent by it. Raises SESSION_EXPIRED."""
    context = info.context
    parts = read_refresh_token(token)
    fresh = new_refresh_secret()
    session = None
    if parts:
        session_id, secret = parts
        session = await context.services.sessions.rotate(
            session_id, refresh_hash(secret), refresh_hash(fresh), context.now()
        )
    if session is None:
        raise DomainError(ErrorCode.SESSION_EXPIRED, "Log in again.", ("input", "refreshToken"))
    return tokens(context, session, fresh)


async def log_out(info: Info, everywhere: bool) -> None:
    """End this session, or all of the viewer's. Raises UNAUTHENTICATED."""
    context = info.context
    viewer_id = guards.viewer(context)
    if everywhere:
        await context.services.sessions.end_all(viewer_id)
    elif context.session_id is not None:
        await context.services.sessions.end(context.session_id)


async def viewer(info: Info) -> Account | None:
    """The account that asks, None for nobody."""
    viewer_id = info.context.viewer_id
    if viewer_id is None:
        return None
    account = await info.context.services.users.account(viewer_id)
    if account is None:
        raise unauthenticated("The account is gone.")
    return account


async def user(info: Info, username: str) -> User | None:
    """The profile under this name, case ignored; ready for the tweets that it shows."""
    found = await info.context.services.users.by_username(username)
    if found:
        info.context.loaders.users.ready(found.id, found)
    return found


async def open_session(context: Context, user_id: int) -> Tokens:
    """A new session's tokens."""
    return tokens(context, *await _new_session(context, user_id))


async def _new_session(context: Context, user_id: int) -> tuple[Session, str]:
    secret = new_refresh_secret()
    agent = context.user_agent[:200] if context.user_agent else None
    return await context.services.sessions.add(user_id, refresh_hash(secret), agent, context.now_ms()), secret


def tokens(context: Context, session: Session, secret: str) -> Tokens:
    """What acts for this session: a fresh access token, and the refresh token of `secret`."""
    access, expires_at = context.services.credentials.access_token(session.user_id, session.id, context.now())
    return Tokens(access, expires_at, refresh_token(session.id, secret))
