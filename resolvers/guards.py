"""Guards: who may go on. Each raises or returns; none answers."""

import math
from dataclasses import replace
from datetime import timedelta

from datastore.errors import RequestError, bad_input, overloaded, unauthenticated, unavailable
from datastore.mongo import PyMongoError, is_outage
from datastore.records import Bill
from realtime.limits import Action, Spent
from realtime.load import Burden
from resolvers.context import Context
from resolvers.credentials import bearer

PAGE_LIMIT = 100
# What events cost is taken from the budget when it comes to so much: a round trip for each would cost more than they.
TAKEN_AT = 200


def viewer(context: Context) -> int:
    """The id of who asks. Raises UNAUTHENTICATED."""
    if context.viewer_id is None:
        raise unauthenticated()
    return context.viewer_id


async def authenticate(context: Context, authorization: str | None, lasting: bool = False) -> None:
    """Settle who asks from an Authorization value; without one they stay anonymous. Raises UNAUTHENTICATED. `lasting`:
    for a connection that is told when its session ends.

    A session that has ended is refused, whatever its token says: at once by the process that ended it, by any other
    within a second (realtime/open_sessions.py). Raises UNAVAILABLE while nobody can look.
    """
    token = bearer(authorization)
    if token is None:
        return
    identity = context.services.credentials.identify(token)
    sessions, session_id = context.services.open_sessions, identity.session_id
    try:
        session = await (sessions.get_once(session_id) if lasting else sessions.get(session_id, context.now()))
    except PyMongoError as error:
        raise outage(error) or error from error
    if session is None or session.user_id != identity.user_id:
        raise unauthenticated("The session has ended.")
    context.viewer_id, context.session_id = identity.user_id, identity.session_id
    context.expires_at = identity.expires_at


def outage(error: BaseException | None) -> RequestError | None:
    """UNAVAILABLE if this is MongoDB being away or slow, None if it is anything else."""
    return unavailable() if is_outage(error) else None


def spare(context: Context, burden: Burden) -> None:
    """Raises OVERLOADED where there is no room for this now."""
    if not context.services.load.spares(burden):
        raise overloaded()


def admit_read(context: Context) -> None:
    """Raises OVERLOADED where no more may be read now; what is written is never refused here."""
    spare(context, Burden.READ)


async def spend(context: Context, action: Action, who: str | None = None) -> None:
    """Count an action against its budget: the viewer's, or that of `who`. Raises RATE_LIMITED with retryAfter."""
    _admitted(await context.services.limits.spend(action, who or str(viewer(context))))


async def charge(context: Context, cost: int) -> None:
    """Take the cost of an operation from its caller's budget, before anything of it runs. Raises RATE_LIMITED."""
    spent = await context.services.limits.spend(Action.QUERY, _payer(context), cost)
    _admitted(spent)
    resets_at = context.now() + timedelta(seconds=spent.full_seconds)
    context.bill = Bill(spent.limit, cost, spent.remaining, resets_at)


def bill(context: Context) -> Bill:
    """What the operation was charged."""
    assert context.bill  # noqa: S101  nothing runs before it
    return context.bill


def settle(context: Context, cost: int) -> Bill:
    """Give back what an operation was charged and did not need; the bill as it stands then."""
    charged = bill(context)
    rest = charged.cost - cost
    context.services.limits.give_back(Action.QUERY, _payer(context), rest)
    return replace(charged, cost=cost, remaining=min(charged.remaining + rest, charged.limit))


async def charge_event(context: Context, cost: int) -> None:
    """Count what an event of a subscription cost; now and then a round trip. Raises RATE_LIMITED, and then the event
    must not be given: who resumes behind the one before it gets it."""
    if not note_event(context, cost):
        due, context.due = (context.due or 0) + cost, 0
        await charge(context, due)


def note_event(context: Context, cost: int) -> bool:
    """Count what an event cost, unless it is time to take it from the budget: then False, and `charge_event` does."""
    if context.due is None:
        return True
    if context.due + cost >= TAKEN_AT:
        return False
    context.due += cost
    return True


def settle_events(context: Context) -> None:
    """What a subscription that ends owes, or has in hand, goes with what its caller asks next."""
    if context.due:
        context.services.limits.give_back(Action.QUERY, _payer(context), -context.due)
        context.due = 0


def _payer(context: Context) -> str:
    return str(context.viewer_id) if context.viewer_id is not None else f"ip:{context.client_ip}"


def _admitted(spent: Spent) -> None:
    if spent.wait_seconds:
        seconds = math.ceil(spent.wait_seconds)
        raise RequestError("RATE_LIMITED", f"Too often. Try again in {seconds} s.", retryAfter=seconds)


def page_size(first: int | None, default: int = 20) -> int:
    """`first` within bounds, the default for null. Raises BAD_USER_INPUT."""
    if first is None:
        return default
    if not 1 <= first <= PAGE_LIMIT:
        raise bad_input(f"`first` lies between 1 and {PAGE_LIMIT}.")
    return first
