"""Ids: identity, order, score and shard in 53 bits."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastore import ids
from datastore.ids import EPOCH_MS, MAX_ID, Kind

LAST_MS = EPOCH_MS + (1 << 41) - 1
moments = st.integers(EPOCH_MS, LAST_MS)
anybody = st.integers(0, MAX_ID)
kinds = st.sampled_from(Kind)
ties = st.integers(0, 1)


@given(moments, anybody, kinds, ties)
def test_an_id_tells_its_time_its_authors_bucket_and_its_kind(at_ms: int, author: int, kind: Kind, tie: int) -> None:
    made = ids.new(at_ms, author, kind, tie)
    assert ids.at_ms(made) == at_ms
    assert ids.bucket(made) == ids.spread(author, ids.AUTHOR_BUCKETS)
    assert ids.kind(made) is kind
    assert made & 1 == tie


@given(moments, moments, anybody, anybody, kinds, kinds)
def test_the_order_of_ids_is_the_order_of_time_whoever_made_them(
    one: int, two: int, ann: int, bob: int, first: Kind, second: Kind
) -> None:
    if one < two:
        assert ids.new(one, ann, first) < ids.new(two, bob, second)


@given(moments, anybody, kinds, ties)
def test_an_id_has_53_bits_and_is_exact_as_a_double(at_ms: int, author: int, kind: Kind, tie: int) -> None:
    made = ids.new(at_ms, author, kind, tie)
    assert 0 <= made <= MAX_ID == 2**53 - 1
    assert int(float(made)) == made


def test_the_last_id_fills_all_bits() -> None:
    author = next(author for author in range(1 << 20) if ids.spread(author, ids.AUTHOR_BUCKETS) == 1023)
    assert ids.new(LAST_MS, author, Kind.RETWEET, 1) == MAX_ID


@given(moments)
def test_created_at_is_exact_to_the_millisecond_and_in_utc(at_ms: int) -> None:
    created = ids.created_at(ids.new(at_ms))
    assert created == datetime(2006, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms - EPOCH_MS)
    assert created.utcoffset() == timedelta(0)


@pytest.mark.parametrize("at_ms", [EPOCH_MS - 1, LAST_MS + 1, 0, -1])
def test_a_time_before_2006_or_after_2075_has_no_id(at_ms: int) -> None:
    with pytest.raises(ValueError, match="2006"):
        ids.new(at_ms, 1)


def test_buckets_and_ids_are_the_same_on_every_machine_and_in_every_version() -> None:
    assert [ids.spread(value, 1024) for value in (0, 1, 2, 42, MAX_ID)] == [431, 193, 718, 661, 415]
    assert ids.spread(42, 64) == 21
    made = [ids.new(1_700_000_000_000, 42, kind, tie) for kind in Kind for tie in (0, 1)]
    assert made == [2309842534402644, 2309842534402645, 2309842534402646, 2309842534402647]


@settings(max_examples=20)
@given(st.integers(0, MAX_ID - 6400), st.sampled_from([64, 1024]))
def test_neighbouring_values_part(start: int, buckets: int) -> None:
    counts = [0] * buckets
    for value in range(start, start + 6400):
        counts[ids.spread(value, buckets)] += 1
    assert max(counts) < 6400 / buckets * 2 + 20


def test_people_get_random_buckets() -> None:
    made = {ids.new(EPOCH_MS) for _ in range(200)}
    assert len({ids.bucket(one) for one in made}) > 100


def test_now_is_in_milliseconds() -> None:
    before = datetime.now(UTC).timestamp() * 1000
    assert before - 1 <= ids.now_ms() <= datetime.now(UTC).timestamp() * 1000 + 1
