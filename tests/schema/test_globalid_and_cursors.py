"""Global ids and cursors: opaque, canonical, and nothing else is one."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.errors import RequestError
from datastore.ids import MAX_ID
from datastore.records import CursorKind, Key
from schema import cursors, globalid

numbers = st.integers(0, MAX_ID)
# A position in a stream: a random token, perhaps with a place behind it.
tokens = st.from_regex(r"[0-9a-f]{1,32}(\.[0-9a-z]{1,8})?", fullmatch=True)
KEYSETS = [CursorKind.HOME, CursorKind.USER_TWEETS, CursorKind.FOLLOWERS, CursorKind.FOLLOWING, CursorKind.LIKERS]
PAIRS = {CursorKind.FOLLOWERS, CursorKind.FOLLOWING, CursorKind.LIKERS}
URLSAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ \n!"


def key(kind: CursorKind, one: int, two: int) -> Key:
    return (one, two) if kind in PAIRS else (one,)


@given(st.sampled_from(["User", "Tweet"]), numbers)
def test_an_id_comes_back_as_it_went(name: str, number: int) -> None:
    global_id = globalid.encode(name, number)
    assert globalid.decode(global_id) == (name, number)
    assert globalid.of_type(global_id, name) == number
    assert set(global_id) <= set(URLSAFE[:64])


def code_of(decode: Callable[[], object]) -> str:
    """Why the text is not one."""
    with pytest.raises(RequestError) as caught:
        decode()
    return caught.value.code


def spelled(text: str) -> str | None:
    """The global id that the text is taken for."""
    try:
        return globalid.encode(*globalid.decode(text))
    except RequestError:
        return None


@given(st.text() | st.text(URLSAFE, max_size=30))
def test_what_no_encoding_made_is_no_id(text: str) -> None:
    if spelled(text) != text:
        assert code_of(lambda: globalid.decode(text)) == "BAD_USER_INPUT"


@given(st.sampled_from(["User", "Tweet"]), numbers, st.integers(0, 40), st.sampled_from(URLSAFE))
def test_an_id_has_one_spelling(name: str, number: int, at: int, char: str) -> None:
    good = globalid.encode(name, number)
    for text in (good[:at] + char + good[at:], good[:at] + char + good[at + 1 :], good[:at] + good[at + 1 :]):
        try:
            found = globalid.decode(text)
        except RequestError:
            continue
        assert text == good or found != (name, number)


def test_a_number_has_at_most_53_bits() -> None:
    assert globalid.decode(globalid.encode("User", MAX_ID)) == ("User", MAX_ID)
    for number in (MAX_ID + 1, -1, 10**400):
        with pytest.raises(RequestError):
            globalid.decode(globalid.encode("User", number))


def test_the_refusal_names_both_types() -> None:
    with pytest.raises(RequestError, match=r"the id of a User, not of a Tweet\."):
        globalid.of_type(globalid.encode("User", 1), "Tweet")


@given(st.sampled_from(KEYSETS), numbers, numbers)
def test_a_cursor_comes_back_as_it_went_and_only_to_its_list(kind: CursorKind, one: int, two: int) -> None:
    position = key(kind, one, two)
    cursor = cursors.encode(kind, position)
    assert cursors.decode(kind, cursor) == position
    for other in KEYSETS:
        if other is not kind:
            with pytest.raises(RequestError) as caught:
                cursors.decode(other, cursor)
            assert caught.value.code == "BAD_USER_INPUT"
    with pytest.raises(RequestError):
        cursors.decode_live(cursor)


def position_of(kind: CursorKind, text: str) -> str | None:
    """The cursor that the text is taken for."""
    try:
        return cursors.encode(kind, cursors.decode(kind, text) or ())
    except RequestError:
        return None


@given(st.sampled_from(KEYSETS), st.text() | st.text(URLSAFE, max_size=30))
def test_what_no_encoding_made_is_no_cursor(kind: CursorKind, text: str) -> None:
    if position_of(kind, text) != text:
        assert code_of(lambda: cursors.decode(kind, text)) == "BAD_USER_INPUT"


@pytest.mark.parametrize("kind", KEYSETS)
def test_no_cursor_is_no_position(kind: CursorKind) -> None:
    assert cursors.decode(kind, None) is None
    assert cursors.decode_live(None) is None


@given(st.just("") | st.tuples(tokens, tokens).map("/".join))
def test_a_live_cursor_comes_back_as_it_went(token: str) -> None:
    cursor = cursors.encode_live(token)
    assert cursors.decode_live(cursor) == token
    for kind in KEYSETS:
        with pytest.raises(RequestError):
            cursors.decode(kind, cursor)


def test_a_live_cursor_is_bounded_and_plain() -> None:
    for token in ("f" * 65, "f" * 33 + "/f", "a b", "a:b", "a/b\n", "*", "/", "a", "a/", "/b", "a/../b", "a/b/c"):
        with pytest.raises(RequestError):
            cursors.decode_live(cursors.encode_live(token))


def test_a_live_cursor_has_one_spelling() -> None:
    good = cursors.encode_live("feed/beef")
    for text in (f"{good}==", f"{good[:-1]}{chr(ord(good[-1]) + 1)}", f"{good[:4]}!!!!{good[4:]}"):
        with pytest.raises(RequestError):
            cursors.decode_live(text)
