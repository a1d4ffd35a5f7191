"""Rules: what a text, a name, an email and a password must be. Standard library only; pure functions."""

import re
import unicodedata

from datastore.errors import DomainError, ErrorCode, TextTooLongError

TWEET_LIMIT = 140
DISPLAY_NAME_LIMIT = 50
BIO_LIMIT = 160
# Longer than any password manager's default; bounded because argon2 reads all of it.
PASSWORD_LENGTHS = (8, 128)
# RFC 5321, 4.5.3.1: a path is at most 256 octets with its brackets.
EMAIL_LIMIT = 254
IDEMPOTENCY_KEY_LIMIT = 128

_USERNAME = re.compile(r"[A-Za-z0-9_]{1,15}")
_EMAIL = re.compile(r"[^@\s<>\"]{1,64}@[^@\s<>\".]+(\.[^@\s<>\".]+)+")
# Overrides and isolates that reorder what stands around them (Unicode UAX 9); marks such as U+200F are harmless.
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_UNSEEN = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf", "Cs"})
# Letters, marks and symbols that are drawn as nothing: fillers, selectors, the empty braille pattern.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | frozenset(
    map(chr, [*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)])
)


def tweet_text(text: str, limit: int = TWEET_LIMIT) -> str:
    """The text as it is kept: NFC, at most `limit` code points, something to see in it.

    Raises TEXT_EMPTY, TEXT_TOO_LONG (TextTooLongError) or TEXT_FORBIDDEN_CHARACTERS.
    """
    text = _clean(text, "text", newlines=True)
    if not any(_visible(char) for char in text):
        raise DomainError(ErrorCode.TEXT_EMPTY, "Say something.", ("input", "text"))
    return _within(text, limit, "text")


def display_name(name: str) -> str:
    """The name as it is kept: NFC, trimmed, 1 to 50 code points, one line. Raises TEXT_* as `tweet_text` does."""
    name = _clean(name, "displayName", newlines=False).strip()
    if not any(_visible(char) for char in name):
        raise DomainError(ErrorCode.TEXT_EMPTY, "A name needs a letter.", ("input", "displayName"))
    return _within(name, DISPLAY_NAME_LIMIT, "displayName")


def bio(text: str) -> str:
    """What somebody says of themselves as it is kept: NFC, trimmed, at most 160 code points, possibly empty.

    Raises TEXT_TOO_LONG (TextTooLongError) or TEXT_FORBIDDEN_CHARACTERS.
    """
    return _within(_clean(text, "bio", newlines=True).strip(), BIO_LIMIT, "bio")


def username(name: str) -> str:
    """The name itself, if it is one. Raises USERNAME_INVALID."""
    if not _USERNAME.fullmatch(name):
        message = "A username is 1 to 15 letters (A to Z), digits or underscores."
        raise DomainError(ErrorCode.USERNAME_INVALID, message, ("input", "username"))
    return name


def username_key(name: str) -> str:
    """What makes two usernames the same: case is ignored."""
    return name.lower()


def email(address: str) -> str:
    """The address, trimmed and NFC. The check is loose: only a letter that arrives proves one. Raises EMAIL_INVALID."""
    address = unicodedata.normalize("NFC", address.strip()) if _encodable(address) else ""
    if len(address.encode()) > EMAIL_LIMIT or not address.isprintable() or not _EMAIL.fullmatch(address):
        raise DomainError(ErrorCode.EMAIL_INVALID, "This is not an email address.", ("input", "email"))
    return address


def email_key(address: str) -> str:
    """What makes two addresses the same: case, spaces around it and the form of its accents are ignored."""
    return unicodedata.normalize("NFC", address.strip()).casefold()


def password(secret: str, name: str = "", field: str = "password") -> str:
    """The password, if it is strong enough: 8 to 128 code points, not the username, not one repeated character.

    Raises PASSWORD_TOO_WEAK.
    """
    low, high = PASSWORD_LENGTHS
    if not low <= len(secret) <= high or not _encodable(secret):
        raise _weak(f"A password has {low} to {high} characters.", field)
    if len(set(secret)) < 3 or secret.lower() == name.lower():
        raise _weak("This password is too easy to guess.", field)
    return secret


def _weak(message: str, field: str) -> DomainError:
    return DomainError(ErrorCode.PASSWORD_TOO_WEAK, message, ("input", field))


def _clean(text: str, field: str, newlines: bool) -> str:
    if not _encodable(text):
        raise _forbidden(field)
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
    allowed = "\n" if newlines else ""
    if any(char in _BIDI or (unicodedata.category(char) == "Cc" and char not in allowed) for char in text):
        raise _forbidden(field)
    return text


def _forbidden(field: str) -> DomainError:
    message = "The text holds control characters, direction overrides or broken surrogates."
    return DomainError(ErrorCode.TEXT_FORBIDDEN_CHARACTERS, message, ("input", field))


def _within(text: str, limit: int, field: str) -> str:
    if len(text) > limit:
        raise TextTooLongError(
            ErrorCode.TEXT_TOO_LONG,
            f"{len(text)} characters, {limit} are allowed.",
            ("input", field),
            length=len(text),
            limit=limit,
        )
    return text


def _visible(char: str) -> bool:
    # Format characters include the zero width spaces; an unassigned one may be an emoji newer than this Python.
    return unicodedata.category(char) not in _UNSEEN and char not in _BLANK


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
