"""Cursors: opaque positions in a list, typed by the list."""

import base64
import binascii
import re
from functools import lru_cache

from datastore.errors import bad_input
from datastore.records import CursorKind, Key
from schema.globalid import KEPT, is_number, unpack

# Two tokens of realtime.scripts.fresh_token, each perhaps with a place behind a dot; or nothing.
_POSITION = re.compile(r"([0-9a-f]{1,32}(\.[0-9a-z]{1,8})?/[0-9a-f]{1,32}(\.[0-9a-z]{1,8})?)?")
_LIVE = f"{CursorKind.LIVE}:".encode()
_OF_URLS = bytes.maketrans(b"+/", b"-_")
# How many integers a position in each list has.
_PARTS = {
    CursorKind.HOME: 1,
    CursorKind.USER_TWEETS: 1,
    CursorKind.FOLLOWERS: 2,
    CursorKind.FOLLOWING: 2,
    CursorKind.LIKERS: 2,
    CursorKind.TOP_TWEETS: 6,
    CursorKind.USER_LIKES: 2,
    CursorKind.RETWEETERS: 1,
    CursorKind.REPLIES: 1,
    CursorKind.FOUND_TWEETS: 1,
    # A range and a username.
    CursorKind.FOUND_USERS: 4,
    CursorKind.BLOCKED: 2,
    CursorKind.MUTED: 2,
}


@lru_cache(KEPT)
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
    """The live cursor: "own/top", the positions in the reader's own stream and in the one of top users."""
    return live(token).decode()


def live(token: str) -> bytes:
    """The live cursor as it goes over the wire: one for each event and reader."""
    # As base64.urlsafe_b64encode, without two calls on the way.
    return binascii.b2a_base64(_LIVE + token.encode(), newline=False).translate(_OF_URLS).rstrip(b"=")


def decode_live(cursor: str | None) -> str | None:
    """The position, empty for a page that had none; None for no cursor. Raises BAD_USER_INPUT."""
    if not isinstance(cursor, str):  # null, or not given
        return None
    kind, colon, token = unpack(cursor).partition(":")
    if kind != CursorKind.LIVE or not colon or not _POSITION.fullmatch(token) or encode_live(token) != cursor:
        raise bad_input("This is not a live cursor.")
    return token


def _pack(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
