"""Cursors of top tweets: a position survives them to the last bit, and what is no position is refused."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.errors import RequestError
from datastore.ids import MAX_ID
from datastore.records import CursorKind, TopWindow
from realtime.top_tweets import Position
from resolvers.top_tweets import key_of, position_of
from schema import cursors

windows = st.sampled_from(TopWindow)
places = st.floats(-1e8, 1e8)
positions = st.builds(Position, st.integers(0, 1 << 52), st.integers(1, 1000), places, st.integers(0, MAX_ID))


@given(windows, positions)
def test_a_position_survives_its_cursor(window: TopWindow, position: Position) -> None:
    cursor = cursors.encode(CursorKind.TOP_TWEETS, key_of(window, position))
    assert position_of(cursors.decode(CursorKind.TOP_TWEETS, cursor), window) == position


@given(windows, windows, positions)
def test_a_cursor_of_another_window_is_refused(window: TopWindow, other: TopWindow, position: Position) -> None:
    if window is not other:
        with pytest.raises(RequestError):
            position_of(key_of(window, position), other)


@pytest.mark.parametrize("place", [float("inf"), float("-inf"), float("nan"), 1e300])
def test_what_is_no_place_is_refused(place: float) -> None:
    high, low = struct.unpack(">II", struct.pack(">d", place))
    for key in ((0, 1, 1, high, low, 7), (0, 1, 1, 1 << 32, 0, 7), (9, 1, 1, 0, 0, 7)):
        with pytest.raises(RequestError):
            position_of(key, TopWindow.HOUR)
