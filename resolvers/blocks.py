"""Blocks and mutes: hiding and showing people again, and what follows for everybody's reading."""

from strawberry import Parent

from datastore.records import Account, Hiding, Key, Page, User
from realtime.limits import Action
from resolvers import guards
from resolvers.context import Info
from resolvers.follows import existing, people
from resolvers.regard import regard_of


async def hide(info: Info, user_id: int, kind: Hiding) -> User:
    """Block or mute somebody; a success if it was so already. Raises NOT_FOUND, SELF_ACTION.

    A block ends both follows for good: the edge first, so that a follow made meanwhile sees it and withdraws.
    """
    context = info.context
    viewer_id = guards.viewer(context)
    await guards.spend(context, Action.FOLLOW)
    await existing(context, user_id)
    await context.services.blocks.add(viewer_id, kind, user_id, context.now_ms())
    if kind is Hiding.BLOCK:
        await context.services.follows.remove(viewer_id, user_id)
        await context.services.follows.remove(user_id, viewer_id)
        await context.services.cache.drop(viewer_id, user_ids=[viewer_id, user_id])
    return await existing(context, user_id)


async def show(info: Info, user_id: int, kind: Hiding) -> User:
    """Unblock or unmute somebody; a success if there was nothing to end. Raises NOT_FOUND."""
    context = info.context
    viewer_id = guards.viewer(context)
    await existing(context, user_id)
    await context.services.blocks.remove(viewer_id, kind, user_id)
    return await existing(context, user_id)


async def hidden_people(account: Account, info: Info, kind: Hiding, first: int | None, after: Key | None) -> Page[User]:
    """Whom the viewer blocks or mutes, newest first."""
    blocks = info.context.services.blocks
    return await people(
        info.context, lambda count, key: blocks.of_owner(account.user.id, kind, count, key), first, after
    )


async def viewer_has_blocked(user: Parent[User], info: Info) -> bool:
    """Whether the viewer blocks them; false for nobody."""
    return (await regard_of(info.context, user.id)).blocks


async def viewer_has_muted(user: Parent[User], info: Info) -> bool:
    """Whether the viewer mutes them; false for nobody."""
    return (await regard_of(info.context, user.id)).mutes
