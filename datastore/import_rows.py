"""Rows of an import: the cells of users, follows and tweets checked against the rules. Pure functions, no store."""

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from datastore import ids, rules
from datastore.errors import DomainError
from datastore.import_files import Cells, Columns, shown
from datastore.import_lines import RowError

T = TypeVar("T")

BIO_LIMIT = 160
# The longest ids seen in the wild are UUIDs in braces; an index key should stay small.
EXTERNAL_ID_LIMIT = 128
# As a count of seconds this is the year 5138, as one of milliseconds 1973: no time of ours is read as the wrong one.
_FIRST_MS = 100_000_000_000

COLUMNS: Mapping[str, Columns] = {
    "users": Columns(("username",), ("display_name", "bio", "email", "created_at")),
    "follows": Columns(("follower", "followee"), ("created_at",)),
    "tweets": Columns(("author", "text"), ("id", "created_at", "in_reply_to")),
}

_EPOCH = datetime.fromtimestamp(0, UTC)
_NUMBER = re.compile(r"[0-9]{1,16}(\.[0-9]+)?(e\+?[0-9]{1,2})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class UserRow:
    """One person. `line` is 0 for somebody who is only named by a follow or a tweet."""

    line: int
    username: str
    display_name: str
    bio: str
    email: str | None
    at_ms: int


@dataclass(frozen=True, slots=True)
class FollowRow:
    """One follow, by names."""

    line: int
    follower: str
    author: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class TweetRow:
    """One tweet. `key` is what makes two rows the same tweet; `answered_key` that of the tweet it replies to."""

    line: int
    key: str
    author: str
    text: str
    at_ms: int
    answered_key: str | None


def user(line: int, cells: Cells, now_ms: int) -> UserRow:
    """The row as a person. Raises RowError, as all of these do."""
    name = _username(cells, "username")
    display_name, bio, email = (cells.get(column, "").strip() for column in ("display_name", "bio", "email"))
    return UserRow(
        line,
        name,
        _passes(rules.display_name, display_name, "display_name") if display_name else name,
        _passes(lambda text: rules.tweet_text(text, BIO_LIMIT), bio, "bio") if bio else "",
        _passes(rules.email, email, "email") if email else None,
        _time(cells, now_ms),
    )


def named(username: str, now_ms: int) -> UserRow:
    """A person of whom only the name is known."""
    return UserRow(0, username, username, "", None, now_ms)


def follow(line: int, cells: Cells, now_ms: int) -> FollowRow:
    """The row as a follow."""
    follower, author = _username(cells, "follower"), _username(cells, "followee")
    if rules.username_key(follower) == rules.username_key(author):
        raise RowError(f"{shown(follower)} cannot follow themselves")
    return FollowRow(line, follower, author, _time(cells, now_ms))


def tweet(line: int, cells: Cells, now_ms: int) -> TweetRow:
    """The row as a tweet. Without an id, author, text and time as they stand in the file make its identity."""
    author = _username(cells, "author")
    text = _passes(rules.tweet_text, cells.get("text", ""), "text")
    at_ms = _time(cells, now_ms)
    # A row without a time has another `now` in every run, so its time is not part of what it is.
    said = f"{rules.username_key(author)}\n{at_ms if 'created_at' in cells else ''}\n{text}"
    key = f"row:{hashlib.sha256(said.encode()).hexdigest()}"
    if "id" in cells:
        key = _external_key(cells, "id")
    return TweetRow(
        line, key, author, text, at_ms, _external_key(cells, "in_reply_to") if "in_reply_to" in cells else None
    )


def _username(cells: Cells, column: str) -> str:
    name = cells.get(column, "").strip()
    try:
        return rules.username(name)
    except DomainError as error:
        raise RowError(f"{column} {shown(name)} is not a username" if name else f"{column} is empty") from error


def _passes(rule: Callable[[str], T], value: str, column: str) -> T:
    try:
        return rule(value)
    except DomainError as error:
        raise RowError(f"{column}: {error.message}") from error


def _external_key(cells: Cells, column: str) -> str:
    value = cells[column].strip()
    if not value.isprintable() or not 0 < len(value) <= EXTERNAL_ID_LIMIT:
        raise RowError(f"{column} {shown(value)} is not an id of 1 to {EXTERNAL_ID_LIMIT} printable characters")
    return f"id:{value}"


def external_id(key: str) -> str:
    """The id in the file that this key was made of."""
    return key.removeprefix("id:")


def _time(cells: Cells, now_ms: int) -> int:
    """When it was made, in epoch milliseconds; `now_ms` where the row does not say."""
    value = cells.get("created_at", "").strip()
    if not value:
        return now_ms
    at_ms = _epoch_ms(value) if _NUMBER.fullmatch(value) else _iso_ms(value)
    if at_ms is None:
        raise RowError(f"created_at {shown(value)} is neither ISO 8601 nor an epoch time")
    # A time to come would stand on top of every timeline until then.
    if not ids.EPOCH_MS <= at_ms <= now_ms:
        raise RowError(f"created_at {shown(value)} is not between 2006 and now")
    return at_ms


def _epoch_ms(value: str) -> int:
    number = Decimal(value)
    return math.floor(number if number >= _FIRST_MS else number * 1000)


def _iso_ms(value: str) -> int | None:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)
