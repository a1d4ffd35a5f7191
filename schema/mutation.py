"""Mutations: the verbs. A refusal comes back as data; a repeated verb is a success."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import strawberry
from strawberry import UNSET, argument

from datastore.records import Hiding
from resolvers import accounts, blocks, follows, likes, retweets, tweets
from resolvers.context import Info
from schema import globalid
from schema.errors import UserError, answered
from schema.tweets import Tweet
from schema.users import User, Viewer

Errors = strawberry.field(description="Why it was refused; empty when it was done.")


@strawberry.input(description="A new account.")
class SignUpInput:
    username: str = strawberry.field(description="1 to 15 of A-Z, a-z, 0-9 and _.")
    email: str = strawberry.field(description="Kept private.")
    password: str = strawberry.field(description="8 to 128 characters.")
    display_name: str | None = strawberry.field(default=UNSET, description="The username if absent.")


@strawberry.input(description="A log-in.")
class LogInInput:
    username_or_email: str = strawberry.field(description="Case is ignored.")
    password: str = strawberry.field(description="The password.")


@strawberry.input(description="A refresh.")
class RefreshSessionInput:
    refresh_token: str = strawberry.field(description="The newest one: each is good for one use.")


@strawberry.input(description="A log-out.")
class LogOutInput:
    everywhere: bool | None = strawberry.field(default=False, description="End all sessions of the account.")


@strawberry.input(description="A new tweet.")
class PostTweetInput:
    text: str = strawberry.field(description="1 to 140 characters: code points after NFC.")
    in_reply_to: strawberry.ID | None = strawberry.field(default=UNSET, description="The tweet it answers.")
    idempotency_key: str | None = strawberry.field(
        default=UNSET, description="The same key and text again within 24 hours gives the same tweet."
    )


@strawberry.input(description="A tweet to act on.")
class TweetInput:
    tweet_id: strawberry.ID = strawberry.field(description="Its global id.")


@strawberry.input(description="A user to act on.")
class UserInput:
    user_id: strawberry.ID = strawberry.field(description="Their global id.")


WhichTweet = Annotated[TweetInput, argument(description="Which tweet.")]
WhichUser = Annotated[UserInput, argument(description="Which user.")]


@strawberry.type(description="What one acts with after a log-in.")
class Tokens:
    access_token: str = strawberry.field(description="Send it as `Authorization: Bearer <accessToken>`.")
    access_token_expires_at: datetime = strawberry.field(description="When it stops to work: refresh before.")
    refresh_token: str = strawberry.field(description="Shown once; good for one refreshSession.")


@strawberry.type(description="The answer to signUp.")
class SignUpPayload:
    tokens: Tokens | None = strawberry.field(default=None, description="The first session's tokens.")
    viewer: Viewer | None = strawberry.field(default=None, description="The new account.")
    errors: list[UserError] = Errors


@strawberry.type(description="The answer to logIn.")
class LogInPayload:
    tokens: Tokens | None = strawberry.field(default=None, description="The new session's tokens.")
    viewer: Viewer | None = strawberry.field(default=None, description="The account.")
    errors: list[UserError] = Errors


@strawberry.type(description="The answer to refreshSession.")
class RefreshSessionPayload:
    tokens: Tokens | None = strawberry.field(default=None, description="Fresh tokens; the old refresh token is spent.")
    errors: list[UserError] = Errors


@strawberry.type(description="The answer to logOut.")
class LogOutPayload:
    errors: list[UserError] = Errors


@strawberry.type(description="The answer to postTweet.")
class PostTweetPayload:
    tweet: Tweet | None = strawberry.field(default=None, description="The new tweet.")
    errors: list[UserError] = Errors


@strawberry.type(description="The answer to deleteTweet.")
class DeleteTweetPayload:
    deleted_tweet_id: strawberry.ID | None = strawberry.field(default=None, description="The tweet that is gone.")
    errors: list[UserError] = Errors


@strawberry.type(description="The answer to a verb on a tweet.")
class TweetPayload:
    tweet: Tweet | None = strawberry.field(default=None, description="The tweet with its new counts.")
    errors: list[UserError] = Errors


@strawberry.type(description="The answer to a verb on a user.")
class UserPayload:
    user: User | None = strawberry.field(default=None, description="The user with their new counts.")
    viewer: Viewer | None = strawberry.field(
        resolver=accounts.viewer, description="The account that acted, with its new counts."
    )
    errors: list[UserError] = Errors


def _session(make: Callable[..., Any]) -> Callable[..., Any]:
    """A payload maker that takes a LoggedIn apart."""

    def made(errors: list[UserError], logged_in: accounts.LoggedIn | None = None) -> Any:
        if logged_in is None:
            return make(errors=errors)
        return make(tokens=logged_in.tokens, viewer=logged_in.viewer, errors=errors)

    return made


@strawberry.type(description="What can be done.")
class Mutation:
    @strawberry.mutation(description="Open an account and its first session.")
    async def sign_up(
        self, info: Info, input: Annotated[SignUpInput, argument(description="Who they are.")]
    ) -> SignUpPayload:
        call = accounts.sign_up(info, input.username, input.email, input.password, _given(input.display_name))
        return await answered(_session(SignUpPayload), call, "logged_in")

    @strawberry.mutation(description="Open a session. Whatever is wrong, the answer is WRONG_CREDENTIALS.")
    async def log_in(
        self, info: Info, input: Annotated[LogInInput, argument(description="Who, and the proof.")]
    ) -> LogInPayload:
        call = accounts.log_in(info, input.username_or_email, input.password)
        return await answered(_session(LogInPayload), call, "logged_in")

    @strawberry.mutation(description="Swap a refresh token for fresh tokens. A replayed one ends its session.")
    async def refresh_session(
        self, info: Info, input: Annotated[RefreshSessionInput, argument(description="The token to swap.")]
    ) -> RefreshSessionPayload:
        return await answered(RefreshSessionPayload, accounts.refresh_session(info, input.refresh_token), "tokens")

    @strawberry.mutation(description="End this session, or all.")
    async def log_out(
        self, info: Info, input: Annotated[LogOutInput, argument(description="How much to end.")]
    ) -> LogOutPayload:
        return await answered(LogOutPayload, accounts.log_out(info, bool(input.everywhere)))

    @strawberry.mutation(description="Post a tweet, or answer one.")
    async def post_tweet(
        self, info: Info, input: Annotated[PostTweetInput, argument(description="What to post.")]
    ) -> PostTweetPayload:
        target = _given(input.in_reply_to)
        answered_id = globalid.of_type(target, "Tweet") if target is not None else None
        call = tweets.post(info, input.text, answered_id, _given(input.idempotency_key))
        return await answered(PostTweetPayload, call, "tweet")

    @strawberry.mutation(description="Delete an own tweet: it leaves every timeline and list.")
    async def delete_tweet(self, info: Info, input: WhichTweet) -> DeleteTweetPayload:
        payload = await answered(DeleteTweetPayload, tweets.delete(info, _tweet(input)))
        payload.deleted_tweet_id = None if payload.errors else input.tweet_id
        return payload

    @strawberry.mutation(description="Like a tweet.")
    async def like_tweet(self, info: Info, input: WhichTweet) -> TweetPayload:
        return await answered(TweetPayload, likes.like(info, _tweet(input)), "tweet")

    @strawberry.mutation(description="Take a like back.")
    async def unlike_tweet(self, info: Info, input: WhichTweet) -> TweetPayload:
        return await answered(TweetPayload, likes.unlike(info, _tweet(input)), "tweet")

    @strawberry.mutation(description="Pass a tweet on to one's followers.")
    async def retweet(self, info: Info, input: WhichTweet) -> TweetPayload:
        return await answered(TweetPayload, retweets.retweet(info, _tweet(input)), "tweet")

    @strawberry.mutation(description="Take a retweet back.")
    async def undo_retweet(self, info: Info, input: WhichTweet) -> TweetPayload:
        return await answered(TweetPayload, retweets.undo(info, _tweet(input)), "tweet")

    @strawberry.mutation(description="Follow somebody: their recent tweets join the home timeline.")
    async def follow_user(self, info: Info, input: WhichUser) -> UserPayload:
        return await answered(UserPayload, follows.follow(info, _user(input)), "user")

    @strawberry.mutation(description="Stop following: their tweets are gone from the home timeline at once.")
    async def unfollow_user(self, info: Info, input: WhichUser) -> UserPayload:
        return await answered(UserPayload, follows.unfollow(info, _user(input)), "user")

    @strawberry.mutation(description="Block somebody: both follows end for good, and neither sees the other's tweets.")
    async def block_user(self, info: Info, input: WhichUser) -> UserPayload:
        return await answered(UserPayload, blocks.hide(info, _user(input), Hiding.BLOCK), "user")

    @strawberry.mutation(description="End a block. The follows it ended stay ended.")
    async def unblock_user(self, info: Info, input: WhichUser) -> UserPayload:
        return await answered(UserPayload, blocks.show(info, _user(input), Hiding.BLOCK), "user")

    @strawberry.mutation(
        description="Mute somebody: their tweets leave the viewer's timeline and lists; they are not told."
    )
    async def mute_user(self, info: Info, input: WhichUser) -> UserPayload:
        return await answered(UserPayload, blocks.hide(info, _user(input), Hiding.MUTE), "user")

    @strawberry.mutation(description="End a mute.")
    async def unmute_user(self, info: Info, input: WhichUser) -> UserPayload:
        return await answered(UserPayload, blocks.show(info, _user(input), Hiding.MUTE), "user")


def _tweet(input: TweetInput) -> int:
    return globalid.of_type(input.tweet_id, "Tweet")


def _user(input: UserInput) -> int:
    return globalid.of_type(input.user_id, "User")


def _given(value: str | None) -> str | None:
    """The value, None for null and for not given."""
    return None if value is UNSET else value
