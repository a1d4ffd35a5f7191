"""Entities: the #hashtags and @mentions of a text, by the rules of twitter-text. Standard library only; pure functions.

Two rules are Perch's own: a name of more than 15 characters names nobody (twitter-text cuts it), and "@ann/list" names
ann, since there are no lists. An address is left alone only if it says http:// or https://.
"""

import re
import unicodedata
from collections.abc import Iterator

# Signs that may stand inside a tag beside letters, marks, digits and the underscore: joiners, Hebrew and Tibetan
# points, Japanese sound marks, the middle dot of Catalan.
_TAG_SIGNS = frozenset(
    "_\u200c\u200d\ua67e\u05be\u05f3\u05f4\uff5e\u301c\u309b\u309c\u30a0\u30fb\u3003\u0f0b\u0f0c\u00b7"
)
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_ACCENTED = (
    "\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0253\u0254\u0256\u0257\u0259\u025b\u0263\u0268\u026f\u0272\u0289\u028b"
    "\u02bb\u0300-\u036f\u1e00-\u1eff"
)
# Before the sign: anything but a word or a sign of code and money; "RT@ann" is how people quoted before retweets.
_MENTION = re.compile(
    r"(?:(?<![A-Za-z0-9_!@＠#$%&*])|(?<=^[rR][tT])|(?<=[^A-Za-z0-9_+~.\-][rR][tT]))"
    rf"[@＠]([A-Za-z0-9_]{{1,15}})(?![A-Za-z0-9_@＠{_ACCENTED}]|://)"
)


def hashtags(text: str) -> list[str]:
    """The tags as they are written, without the sign, in order; of those that differ in case only the first."""
    return _distinct(tag for _, _, tag in hashtag_spans(text))


def mentions(text: str) -> list[str]:
    """The usernames as they are written, without the sign, in order; of those that differ in case only the first."""
    return _distinct(name for _, _, name in mention_spans(text))


def key(name: str) -> str:
    """What makes two tags, or two names, the same."""
    return unicodedata.normalize("NFC", name.casefold())


def hashtag_spans(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, tag) of each tag in the text, the sign inside the span."""
    if "#" not in text and "＃" not in text:
        return
    urls = [match.span() for match in _URL.finditer(text)]
    at = 0
    while at < len(text):
        end = _tag_end(text, at) if text[at] in "#＃" else at
        if end > at + 1 and not _within(urls, at):
            yield at, end, text[at + 1 : end]
        at = max(end, at + 1)


def mention_spans(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, username) of each mention in the text, the sign inside the span."""
    if "@" not in text and "＠" not in text:
        return
    urls = [match.span() for match in _URL.finditer(text)]
    for match in _MENTION.finditer(text):
        if not _within(urls, match.start()):
            yield *match.span(), match[1]


def _tag_end(text: str, sign: int) -> int:
    """Where the tag whose sign stands at `sign` ends; `sign` itself if it is none."""
    end = sign + 1
    while end < len(text) and _in_tag(text[end]):
        end += 1
    before = text[sign - 1] if sign else " "
    # An emoji's variation selector is a mark, and yet no letter: a tag may follow it.
    glued = before == "&" or (_in_tag(before) and before not in "\ufe0e\ufe0f")
    keycap = text[sign + 1 : sign + 2] in ("\ufe0f", "\u20e3")
    lettered = any(unicodedata.category(char)[0] in "LM" for char in text[sign + 1 : end])
    open_end = text.startswith(("#", "＃", "://"), end)
    return sign if glued or keycap or open_end or not lettered else end


def _in_tag(char: str) -> bool:
    category = unicodedata.category(char)
    return category[0] in "LM" or category == "Nd" or char in _TAG_SIGNS


def _within(spans: list[tuple[int, int]], at: int) -> bool:
    return any(start <= at < end for start, end in spans)


def _distinct(names: Iterator[str]) -> list[str]:
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(key(name), name)
    return list(found.values())
