"""The enums of the nouns, with a description for every value."""

from enum import Enum
from typing import TypeVar

import strawberry

from datastore import errors, records

E = TypeVar("E", bound=Enum)


def _described(enum: type[E], description: str, values: dict[E, str]) -> type[E]:
    made = strawberry.enum(enum, description=description)
    for value in made.__strawberry_definition__.values:  # type: ignore[attr-defined]
        value.description = values[enum[value.name]]
    return made


_code = errors.ErrorCode
ErrorCode = _described(
    errors.ErrorCode,
    "Why a mutation was refused.",
    {
        _code.TEXT_EMPTY: "There is nothing to see in the text.",
        _code.TEXT_TOO_LONG: "The text is longer than it may be: see TextTooLong.",
        _code.TEXT_FORBIDDEN_CHARACTERS: "Control characters, direction overrides or broken surrogates.",
        _code.USERNAME_INVALID: "Not 1 to 15 of A-Z, a-z, 0-9 and _.",
        _code.USERNAME_TAKEN: "Somebody has it, or had it: names stay reserved.",
        _code.EMAIL_INVALID: "Not an email address.",
        _code.EMAIL_TAKEN: "An account has this address.",
        _code.PASSWORD_TOO_WEAK: "Not 8 to 128 characters, or too easy to guess.",
        _code.WRONG_CREDENTIALS: "The name or the password is wrong; nobody says which.",
        _code.SESSION_EXPIRED: "The refresh token is spent, revoked or unknown: log in again.",
        _code.NOT_FOUND: "There is no such thing, or the viewer may not see it.",
        _code.NOT_ALLOWED: "The viewer may see it, but not do this to it.",
        _code.SELF_ACTION: "One cannot do this to oneself.",
        _code.BLOCKED: "One of the two has blocked the other.",
        _code.IDEMPOTENCY_CONFLICT: "The key was used for something else.",
    },
)

_window = records.TopWindow
TopWindow = _described(
    records.TopWindow,
    "Over what time a tweet's score halves.",
    {
        _window.HOUR: "An hour: what is popular right now.",
        _window.DAY: "A day.",
        _window.WEEK: "A week.",
    },
)

_source = records.TimelineSource
TimelineSource = _described(
    records.TimelineSource,
    "Why an entry is in the home timeline.",
    {
        _source.FOLLOWING: "The viewer follows its author.",
        _source.RETWEET: "Somebody the viewer follows, or the viewer, retweeted it: see retweetedBy.",
        _source.TOP_USER: "The viewer follows its author, a top user.",
        _source.SELF: "The viewer wrote it.",
    },
)

_filter = records.UserTweetFilter
UserTweetFilter = _described(
    records.UserTweetFilter,
    "Which of a user's tweets a list holds.",
    {
        _filter.TWEETS: "Their own tweets that answer none.",
        _filter.TWEETS_AND_REPLIES: "All their own tweets.",
        _filter.RETWEETS: "Tweets that they retweeted, in the order of retweeting.",
    },
)

_scope = records.SearchScope
SearchScope = _described(
    records.SearchScope,
    "Whose tweets are searched.",
    {_scope.EVERYONE: "Everybody's.", _scope.FOLLOWING: "The viewer's own and those of the people they follow."},
)

_reason = records.ResyncReason
ResyncReason = _described(
    records.ResyncReason,
    "Why what the client holds may differ.",
    {
        _reason.WINDOW_EXCEEDED: "Something happened below the part of the timeline that is kept live.",
        _reason.STATE_LOST: "The position is unknown: it is too old, or live state was lost.",
        _reason.SLOW_CONSUMER: "The client fell too far behind.",
        _reason.FOLLOWS_CHANGED: "Whom the viewer follows, blocks or mutes has changed.",
    },
)
