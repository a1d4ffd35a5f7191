"""Terms: what a text is found by, and what a query asks for. Standard library only; pure functions of the text.

A term is a folded word ("cafe"), a tag with its sign ("#perch"), a mention with its sign ("@ann"), an emoji, or, in
scripts that put no spaces between words, a character or a pair of neighbours ("東", "東京").
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, pairwise

from datastore import entities
from datastore.errors import bad_input

# A tweet has 140 characters, a name 50: nobody types more than this to find one.
QUERY_LIMIT = 200
# Each term is one more condition that every candidate is held against.
QUERY_TERMS = 10
# Longer words are told apart by their first characters only; a key of the index stays small.
TERM_LENGTH = 40
# A username has at most 15 characters: of a display name, too, the first 15 count.
PREFIX_LENGTH = 15
# A name of more words is found by its first ones.
PREFIX_STARTS = 8

_FROM = re.compile(r"(?<!\S)from:[@＠]?([A-Za-z0-9_]{1,15})(?!\S)", re.IGNORECASE)
# Accents of Latin, Greek and Cyrillic, points of Hebrew, vowel signs of Arabic: people leave them out when they
# search. Not the marks of other scripts, which make another letter (か and が) or are vowels (Devanagari, Thai).
_ACCENTS = re.compile("[\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670]")
# Thai, Lao · Burmese · Khmer · Han marks · kana, bopomofo, kana · Han · Hangul · Han, beyond 16 bits.
# Hangul has spaces, but particles hang on its words: pairs find 서울 in 서울에서.
_UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3040, 0x312F), (0x31F0, 0x31FF),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0x20000, 0x3FFFF),
)  # fmt: skip
_ZERO_WIDTH_SPACE = "\u200b"
_ASCII_WORD = re.compile("[a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for: tweets with all the `terms`, by one of the authors named in `senders` if there are any."""

    terms: tuple[str, ...]
    senders: tuple[str, ...] = ()


def fold(text: str) -> str:
    """What makes two spellings the same: compatibility forms, case and accents are gone. Idempotent."""
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return unicodedata.normalize("NFC", _ACCENTS.sub("", text))


def of_text(text: str) -> list[str]:
    """The terms that find this text: distinct, in no order that means anything. Every part of a term is one, too."""
    found = [f"#{fold(tag)}" for tag in entities.hashtags(text)]
    found += [f"@{name.lower()}" for name in entities.mentions(text)]
    for kind, run in _runs(text):
        found += [run] if kind == "word" else run
        found += map("".join, pairwise(run)) if kind == "unspaced" else []
    return _distinct(found)


def of_query(query: str) -> Query:
    """The query, read by the rules of `of_text`: whatever of a text is searched for finds the text.

    #tag and @name ask for the sign, too; from:name for an author. Raises BAD_USER_INPUT if it is too long, has too
    many terms or none at all.
    """
    if len(query) > QUERY_LIMIT:
        raise bad_input(f"A query has at most {QUERY_LIMIT} characters.")
    senders = _distinct(name.lower() for name in _FROM.findall(query))
    text = _FROM.sub(" ", query)
    signed = [f"#{fold(tag)}" for tag in entities.hashtags(text)]
    signed += [f"@{name.lower()}" for name in entities.mentions(text)]
    found = _distinct([*signed, *_asked(_without_entities(text), every_pair=True)])
    if len(found) > QUERY_TERMS:
        found = _distinct([*signed, *_asked(_without_entities(text), every_pair=False)])
    if len(found) + len(senders) > QUERY_TERMS:
        raise bad_input(f"A query has at most {QUERY_TERMS} words.")
    if not found and not senders:
        raise bad_input("A query needs a word, a #hashtag, an @username or from:username.")
    return Query(tuple(found), tuple(senders))


def of_name(username: str, display_name: str) -> list[str]:
    """The beginnings that find a person by their display name, from the start of each of its words, distinct.

    Without those that begin the username: by that one everybody is found anyway.
    """
    shown = _plain(display_name)
    starts = [at for at in range(len(shown)) if _starts_word(shown, at)][:PREFIX_STARTS]
    found = [shown[at:end].rstrip() for at in starts for end in range(at + 1, min(len(shown), at + PREFIX_LENGTH) + 1)]
    return [prefix for prefix in _distinct(found) if not username.lower().startswith(prefix)]


def of_name_query(query: str) -> str:
    """The beginning that a query for people asks for. Raises BAD_USER_INPUT if it is too long or has no letter."""
    if len(query) > QUERY_LIMIT:
        raise bad_input(f"A query has at most {QUERY_LIMIT} characters.")
    name = query.strip().removeprefix("@").removeprefix("＠")
    prefix = _plain(name)[:PREFIX_LENGTH].rstrip()
    if not prefix:
        raise bad_input("A query needs a letter or a digit.")
    return prefix


def _without_entities(text: str) -> str:
    # From the back, so that the places of the others stay.
    for start, end, _ in sorted([*entities.hashtag_spans(text), *entities.mention_spans(text)], reverse=True):
        text = f"{text[:start]} {text[end:]}"
    return text


def _asked(text: str, every_pair: bool) -> Iterator[str]:
    """The terms of the words of a query. Pairs imply their characters; every second pair still covers them all."""
    for kind, run in _runs(text):
        if kind == "unspaced" and len(run) > 1:
            pairs = ["".join(pair) for pair in pairwise(run)]
            yield from pairs if every_pair else [*pairs[::2], pairs[-1]]
        elif kind == "word":
            yield run
        else:
            yield from run


def _runs(text: str) -> Iterator[tuple[str, str]]:
    """(kind, folded run): a word, neighbours of an unspaced script, or emoji."""
    if not text.isascii():
        yield from _runs_of_any_script(text)
        return
    # The same, in a ninth of the time.
    for match in _ASCII_WORD.finditer(text.lower()):
        yield "word", match[0][:TERM_LENGTH]


def _runs_of_any_script(text: str) -> Iterator[tuple[str, str]]:
    for kind, chars in groupby(_joined(fold(text)), _kind):
        run = "".join(chars)
        # Marks alone are nobody's word.
        if kind == "symbol" or (kind and any(unicodedata.category(char)[0] in "LN" for char in run)):
            yield kind, run[:TERM_LENGTH] if kind == "word" else run


def _joined(text: str) -> str:
    """Without what is drawn as nothing inside a word: joiners, soft hyphens, variation selectors."""
    return "".join(
        char
        for char in text
        if char == _ZERO_WIDTH_SPACE or not (unicodedata.category(char) == "Cf" or "\ufe00" <= char <= "\ufe0f")
    )


@lru_cache(4096)
def _kind(char: str) -> str:
    category = unicodedata.category(char)
    if category == "So":
        return "symbol"
    if category[0] not in "LMN":
        return ""
    return "unspaced" if any(low <= ord(char) <= high for low, high in _UNSPACED) else "word"


def _plain(name: str) -> str:
    """The name folded, with one space where anything but letters, marks, digits and the underscore stood."""
    chars = (char if char == "_" or _kind(char) in ("word", "unspaced") else " " for char in _joined(fold(name)))
    return " ".join("".join(chars).split())


def _starts_word(text: str, at: int) -> bool:
    return text[at] != " " and (at == 0 or text[at - 1] == " " or _kind(text[at]) == "unspaced")


def _distinct(found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(found))
