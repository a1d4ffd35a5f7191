"""Follows: following and unfollowing, and the lists of both ends."""

from collections.abc import Awaitable, Callable

from strawberry import Parent

from datastore.errors import DomainError, ErrorCode
from datastore.records import Edge, Key, Page, User
from datastore.together import together
from realtime.limits import Action
from resolvers import guards
from resolvers.context import Context, Info
from resolvers.paging import joined, keyset_page
from resolvers.regard import blocked


async def follow(info: Info, author_id: int) -> User:
    """Follow somebody; a success if it was so already. Raises NOT_FOUND, SELF_ACTION, BLOCKED."""
    context = info.context
    viewer_id = guards.viewer(context)
    await guards.spend(context, Action.FOLLOW)
    _open(*await _seen(context, author_id))
    await context.services.follows.add(viewer_id, author_id, context.now_ms())
    # A block made meanwhile either sees this follow and ends it, or is seen here: none outlives a block.
    author, apart = await _seen(context, author_id)
    if apart:
        await context.services.follows.remove(viewer_id, author_id)
    await context.services.cache.drop(viewer_id, user_ids=[viewer_id, author_id])
    return _open(author, apart)


async def unfollow(info: Info, author_id: int) -> User:
    """Stop following; a success if there was nothing to end. Raises NOT_FOUND, SELF_ACTION."""
    context = info.context
    viewer_id = guards.viewer(context)
    if viewer_id == author_id:
        raise DomainError(ErrorCode.SELF_ACTION, "You cannot unfollow yourself.", ("input", "userId"))
    await existing(context, author_id)
    await context.services.follows.remove(viewer_id, author_id)
    await context.services.cache.drop(viewer_id, user_ids=[viewer_id, author_id])
    return await existing(context, author_id)


async def _seen(context: Context, user_id: int) -> tuple[User | None, bool]:
    """The profile, and whether the viewer is apart from them. One round trip."""
    services, pair = context.services, (guards.viewer(context), user_id)
    (user,), regards = await together(services.users.find_many([user_id]), services.blocks.find_regards([pair]))
    return user, pair in regards and regards[pair].apart


def _open(user: User | None, apart: bool) -> User:
    """The profile. Raises NOT_FOUND, BLOCKED."""
    user = _there(user)
    if apart:
        raise blocked("userId")
    return user


async def existing(context: Context, user_id: int) -> User:
    """The profile. Raises NOT_FOUND."""
    return _there(await context.services.users.get(user_id))


def _there(user: User | None) -> User:
    if user is None:
        raise DomainError(ErrorCode.NOT_FOUND, "There is no such user.", ("input", "userId"))
    return user


def viewer_is_following(user: Parent[User], info: Info) -> bool | Awaitable[bool]:
    """Whether the viewer follows them; false for nobody."""
    viewer_id = info.context.viewer_id
    return info.context.loaders.follows.load((viewer_id, user.id)) if viewer_id is not None else False


def is_following_viewer(user: Parent[User], info: Info) -> bool | Awaitable[bool]:
    """Whether they follow the viewer; false for nobody."""
    viewer_id = info.context.viewer_id
    return info.context.loaders.follows.load((user.id, viewer_id)) if viewer_id is not None else False


async def followers(user: User, info: Info, first: int | None, after: Key | None) -> Page[User]:
    """Who follows them, newest follow first."""
    return await people(
        info.context, lambda count, key: info.context.services.follows.followers(user.id, count, key), first, after
    )


async def following(user: User, info: Info, first: int | None, after: Key | None) -> Page[User]:
    """Whom they follow, newest follow first."""
    return await people(
        info.context, lambda count, key: info.context.services.follows.following(user.id, count, key), first, after
    )


async def people(
    context: Context,
    read: Callable[[int, Key | None], Awaitable[list[Edge[int]]]],
    first: int | None,
    after: Key | None,
) -> Page[User]:
    """A page of users from edges of user ids."""
    page = await keyset_page(read, first, after)
    return joined(page, await context.loaders.profiles([edge.node for edge in page.edges]))
