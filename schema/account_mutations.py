"""Mutations of the own account: profile, password, sessions, and its end."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import UNSET, argument

from resolvers import accounts, own_account
from resolvers.context import Info
from schema import globalid
from schema.errors import UserError, answered
from schema.users import User, Viewer

Errors = strawberry.field(description="Why it was refused; empty when it was done.")


@strawberry.input(description="A change of the profile. What is absent or null stays as it is.")
class UpdateProfileInput:
    display_name: str | None = strawberry.field(default=UNSET, description="1 to 50 characters, one line.")
    bio: str | None = strawberry.field(default=UNSET, description="At most 160 characters; an empty one clears it.")


@strawberry.input(description="A new password.")
class ChangePasswordInput:
    current_password: str = strawberry.field(description="The proof that it is the owner who asks.")
    new_password: str = strawberry.field(description="8 to 128 characters.")


@strawberry.input(description="A session to end.")
class RevokeSessionInput:
    session_id: strawberry.ID = strawberry.field(description="Its global id.")


@strawberry.input(description="The end of an account.")
class DeleteAccountInput:
    password: str = strawberry.field(description="The proof that it is the owner who asks.")


@strawberry.type(description="What one acts with after a log-in.")
class Tokens:
    access_token: str = strawberry.field(description="Send it as `Authorization: Bearer <accessToken>`.")
    access_token_expires_at: datetime = strawberry.field(description="When it stops to work: refresh before.")
    refresh_token: str = strawberry.field(description="Shown once; good for one refreshSession.")


@strawberry.type(description="The answer to updateProfile.")
class UpdateProfilePayload:
    user: User | None = strawberry.field(default=None, description="The new profile.")
    errors: list[UserError] = Errors


@strawberry.type(description="The answer to changePassword.")
class ChangePasswordPayload:
    tokens: Tokens | None = strawberry.field(
        default=None, description="This session's fresh tokens; its old refresh token is spent."
    )
    errors: list[UserError] = Errors


@strawberry.type(description="The answer to revokeSession.")
class RevokeSessionPayload:
    viewer: Viewer | None = strawberry.field(
        resolver=accounts.viewer, description="The account, with the sessions it has left."
    )
    errors: list[UserError] = Errors


@strawberry.type(description="The answer to deleteAccount.")
class DeleteAccountPayload:
    deleted_user_id: strawberry.ID | None = strawberry.field(default=None, description="The user who is gone.")
    errors: list[UserError] = Errors


@strawberry.type(description="What one can do to one's own account.")
class AccountMutations:
    @strawberry.mutation(description="Change the own profile. What is absent or null stays as it is.")
    async def update_profile(
        self, info: Info, input: Annotated[UpdateProfileInput, argument(description="What to change.")]
    ) -> UpdateProfilePayload:
        call = own_account.update_profile(info, given(input.display_name), given(input.bio))
        return await answered(UpdateProfilePayload, call, "user")

    @strawberry.mutation(description="Change the password. All other sessions end; this one goes on with new tokens.")
    async def change_password(
        self, info: Info, input: Annotated[ChangePasswordInput, argument(description="The old and the new one.")]
    ) -> ChangePasswordPayload:
        call = own_account.change_password(info, input.current_password, input.new_password)
        return await answered(ChangePasswordPayload, call, "tokens")

    @strawberry.mutation(description="End one of the own sessions, wherever it is.")
    async def revoke_session(
        self, info: Info, input: Annotated[RevokeSessionInput, argument(description="Which session.")]
    ) -> RevokeSessionPayload:
        session_id = globalid.of_type(input.session_id, "Session")
        return await answered(RevokeSessionPayload, own_account.revoke_session(info, session_id))

    @strawberry.mutation(
        description="Delete the own account for good: profile, tweets, follows and likes are gone at once for "
        "everybody, and all sessions end. The username stays reserved; the email address is free again."
    )
    async def delete_account(
        self, info: Info, input: Annotated[DeleteAccountInput, argument(description="The proof.")]
    ) -> DeleteAccountPayload:
        call = _user_id(own_account.delete_account(info, input.password))
        return await answered(DeleteAccountPayload, call, "deleted_user_id")


async def _user_id(call: Awaitable[int]) -> strawberry.ID:
    return globalid.encode("User", await call)


def given(value: str | None) -> str | None:
    """The value, None for null and for not given."""
    return None if value is UNSET else value
