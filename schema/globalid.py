"""Global ids: what an id looks like outside. Inside, ids are integers."""

import base64
import binascii
from functools import lru_cache

import strawberry

from datastore.errors import bad_input
from datastore.ids import MAX_ID

# What is shown is shown again: some hundred bytes each.
KEPT = 10_000


@lru_cache(KEPT)
def encode(type_name: str, id_: int) -> strawberry.ID:
    """The opaque id of one object."""
    return strawberry.ID(base64.urlsafe_b64encode(f"{type_name}:{id_}".encode()).decode().rstrip("="))


def decode(global_id: str) -> tuple[str, int]:
    """The type's name and the integer. Raises BAD_USER_INPUT for whatever `encode` did not make."""
    type_name, _, number = unpack(global_id).partition(":")
    if not (type_name.isalpha() and is_number(number)) or encode(type_name, int(number)) != global_id:
        raise bad_input("This is not an id of Perch.")
    return type_name, int(number)


def of_type(global_id: str, type_name: str) -> int:
    """The integer of an id that must name a `type_name`. Raises BAD_USER_INPUT."""
    found, id_ = decode(global_id)
    if found != type_name:
        raise bad_input(f"This is the id of a {found}, not of a {type_name}.")
    return id_


def unpack(text: str) -> str:
    """What an opaque string holds; empty for junk."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (ValueError, binascii.Error):
        return ""


def is_number(text: str) -> bool:
    """Whether the text is a plain integer of at most 53 bits."""
    return text.isascii() and text.isdigit() and len(text) <= len(str(MAX_ID)) and int(text) <= MAX_ID
