"""Cursors: opaque positions in a list, typed by the list."""

import base64

from datastore.errors import bad_input
from datastore.records import CursorKind, Key
from schema.globalid import is_number, unpack

# How many integers a position in each list has.
_PARTS = {
    CursorKind.HOME: 1,
    CursorKind.USER_TWEETS: 1,
    CursorKind.FOLLOWERS: 2,
    CursorKind.FOLLOWING: 2,
    CursorKind.LIKERS: 2,
    CursorKind.TOP_TWEETS: 6,
}


def encode(kind: CursorKind, key: Key) -> str:
    """The cursor of one edge."""
    return _pack(f"{kind}:{'.'.join(map(str, key))}")


def decode(kind: CursorKind, cursor: str | None) -> Key | None:
    """The position, None for none. Raises BAD_USER_INPUT for junk and for a cursor of another list."""
    if not isinstance(cursor, str):  # null, or not given
        return None
    found, _, text = unpack(cursor).partition(":")
    parts = text.split(".")
    if found != kind or len(parts) != _PARTS[kind] or not all(map(is_number, parts)):
        raise bad_input("This is not a cursor of this list.")
    key = tuple(map(int, parts))
    if encode(kind, key) != cursor:
        raise bad_input("This is not a cursor of this list.")
    return key


def encode_live(token: str) -> str:
    """The live cursor: a position in the reader's own event stream, and room for one in the top users' stream."""
    return _pack(f"{CursorKind.LIVE}:{token}.")


def decode_live(cursor: str | None) -> str | None:
    """The token in the reader's stream, empty for a page that had none; None for no cursor. Raises BAD_USER_INPUT."""
    if not isinstance(cursor, str):  # null, or not given
        return None
    kind, _, text = unpack(cursor).partition(":")
    token, dot, top = text.rpartition(".")
    if kind != CursorKind.LIVE or not dot or top or len(token) > 64 or not all(c.isalnum() or c == "." for c in token):
        raise bad_input("This is not a live cursor.")
    return token


def _pack(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
