"""Sessions: the open log-ins of the viewer's account."""

from datetime import datetime

import strawberry
from strawberry import Parent

from datastore import records
from resolvers import own_account
from schema import globalid


@strawberry.type(description="One log-in on one device.")
class Session:
    created_at: datetime = strawberry.field(description="When it was opened.")
    last_used_at: datetime = strawberry.field(description="When it was opened or last refreshed.")
    is_current: bool = strawberry.field(
        resolver=own_account.is_current, description="Whether this request came with it."
    )
    user_agent: str | None = strawberry.field(description="What the client that opened it called itself.")

    @strawberry.field(description="For revokeSession.")
    def id(parent: Parent[records.Session]) -> strawberry.ID:
        return globalid.encode("Session", parent.id)
