"""The own account: what its owner sees and changes of it. Everything that needs a password asks for it again."""

from collections.abc import Awaitable, Callable, Sequence

from strawberry import Parent

from datastore import rules
from datastore.errors import DomainError, ErrorCode, unauthenticated
from datastore.records import Account, Session, Tokens, User
from realtime.limits import Action
from resolvers import guards
from resolvers.accounts import tokens
from resolvers.context import Context, Info
from resolvers.credentials import new_refresh_secret, refresh_hash


async def update_profile(info: Info, display_name: str | None, bio: str | None) -> User:
    """The new profile; None leaves a field as it is. Raises TEXT_*, and then changes nothing."""
    context = info.context
    viewer_id = guards.viewer(context)
    shown = rules.display_name(display_name) if display_name is not None else None
    said = rules.bio(bio) if bio is not None else None
    user = await context.services.users.update_profile(viewer_id, shown, said)
    await context.services.cache.drop(viewer_id, user_ids=[viewer_id])
    if user is None:
        raise _gone()
    return user


async def change_password(info: Info, current: str, new: str) -> Tokens:
    """Fresh tokens of this session, whose refresh token is spent; all other sessions end.

    Raises PASSWORD_TOO_WEAK, WRONG_CREDENTIALS. Order matters: the password, then the sessions. A log-in with the old
    one that comes in between looks at the password again behind its own insert (accounts.log_in).
    """
    context = info.context
    services = context.services
    account = await _account(context)
    rules.password(new, account.user.username, "newPassword")
    fresh_hash = await services.credentials.hash(new)

    async def write(kept: str) -> bool:
        return await services.users.set_password(account.user.id, fresh_hash, instead_of=kept)

    await _with_password(context, current, "currentPassword", write)
    await services.sessions.end_all(account.user.id, but=context.session_id)
    secret = new_refresh_secret()
    session = await services.sessions.renew(context.session_id or 0, refresh_hash(secret), context.now())
    if session is None:
        raise unauthenticated("The session has ended.")
    return tokens(context, session, secret)


async def delete_account(info: Info, password: str) -> int:
    """Delete the viewer's account; gives its id. Raises WRONG_CREDENTIALS.

    The first write hides everything and makes the purge due; the second ends the sessions, and the purge does so
    again, in case this process dies in between.
    """
    context = info.context
    services = context.services
    viewer_id = guards.viewer(context)
    await _with_password(
        context, password, "password", lambda kept: services.users.delete(viewer_id, kept, context.now())
    )
    await services.cache.drop(viewer_id, user_ids=[viewer_id])
    await services.sessions.end_all(viewer_id)
    return viewer_id


async def sessions(account: Parent[Account], info: Info) -> Sequence[Session]:
    """The open sessions of the account, newest first. At most 100."""
    return await info.context.services.sessions.of_user(account.user.id, info.context.now())


def is_current(session: Parent[Session], info: Info) -> bool:
    """Whether this request came with the session."""
    return session.id == info.context.session_id


async def revoke_session(info: Info, session_id: int) -> None:
    """End one of the viewer's sessions. Raises NOT_FOUND, the same for another user's session and for none."""
    context = info.context
    if not await context.services.sessions.revoke(guards.viewer(context), session_id):
        raise DomainError(ErrorCode.NOT_FOUND, "There is no such session.", ("input", "sessionId"))


async def _with_password(context: Context, given: str, field: str, write: Callable[[str], Awaitable[bool]]) -> None:
    """Prove the viewer's password, then `write`, which checks that the hash is still the one that was proved.

    Raises WRONG_CREDENTIALS that blames `field`. Guesses share the budget of log-ins.
    """
    await guards.spend(context, Action.LOG_IN)
    while True:
        kept = (await _account(context)).password_hash
        if not await context.services.credentials.verify(given, kept) or kept is None:
            raise DomainError(ErrorCode.WRONG_CREDENTIALS, "The password is wrong.", ("input", field))
        if await write(kept):
            return


async def _account(context: Context) -> Account:
    account = await context.services.users.account(guards.viewer(context))
    if account is None:
        raise _gone()
    return account


def _gone() -> Exception:
    return unauthenticated("The account is gone.")
