"""Terms: spellings that are the same, words where scripts have none, and queries that find the text they are from."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore import terms
from datastore.errors import RequestError
from datastore.terms import QUERY_LIMIT, QUERY_TERMS, Query

SAME = [
    ("Café", "cafe"),
    ("CAFE\u0301", "cafe"),
    ("ﬁne", "fine"),
    ("ＰＥＲＣＨ", "perch"),
    ("Straße", "strasse"),
    ("İstanbul", "istanbul"),
    ("ΣΊΣΥΦΟΣ", "σισυφος"),
    ("Σίσυφος", "σισυφος"),
    ("Ёлка", "елка"),
    ("ｶﾞ", "ガ"),
    ("שָׁלוֹם", "שלום"),
    ("سَلام", "سلام"),
    ("①", "1"),
]
DIFFERENT = [("が", "か"), ("हिन्दी", "हनद"), ("ที่", "ท"), ("ø", "o")]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_case_accents_and_width_make_no_difference(one: str, other: str) -> None:
    assert terms.fold(one) == terms.fold(other)
    assert terms.of_text(one) == terms.of_text(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_marks_that_make_another_letter_do(one: str, other: str) -> None:
    assert terms.fold(one) != terms.fold(other)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hello, hello world!", {"hello", "world"}),
        ("don't snake_case a.b", {"don", "t", "snake", "case", "a", "b"}),
        ("#Perch @Ann", {"#perch", "perch", "@ann", "ann"}),
        ("東京都", {"東", "京", "都", "東京", "京都"}),
        ("猫", {"猫"}),
        ("iPhone15用", {"iphone15", "用"}),
        ("東 京", {"東", "京"}),
        ("서울에서", {"서", "울", "에", "서울", "울에", "에서"}),
        ("हिन्दी भाषा", {"हिन्दी", "भाषा"}),
        ("ไทย", {"ไ", "ท", "ย", "ไท", "ทย"}),
        ("🐦🐦 ❤\ufe0f", {"🐦", "❤"}),
        ("می\u200cخواهم soft\u00adhyphen zero\u200bwidth", {"میخواهم", "softhyphen", "zero", "width"}),
        ("!?… \u0301", set()),
        ("x" * 100, {"x" * 40}),
    ],
)
def test_terms_of_a_text(text: str, found: set[str]) -> None:
    assert set(terms.of_text(text)) == found


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ("Hello  WORLD hello", Query(("hello", "world"))),
        ("#Perch", Query(("#perch",))),
        ("＃東京", Query(("#東京",))),
        ("@Ann hi", Query(("@ann", "hi"))),
        ("from:Ann", Query((), ("ann",))),
        ("from:@ann FROM:bob café", Query(("cafe",), ("ann", "bob"))),
        ("from: ann", Query(("from", "ann"))),
        ("xfrom:ann", Query(("xfrom", "ann"))),
        ("from:name_of_sixteen_", Query(("from", "name", "of", "sixteen"))),
        ("東京都", Query(("東京", "京都"))),
        ("猫", Query(("猫",))),
        ("🐦", Query(("🐦",))),
        ("(a+)+$", Query(("a",))),
        ('{"$gt": ""}', Query(("gt",))),
        ("一二三四五六七八九十百千", Query(("一二", "三四", "五六", "七八", "九十", "百千"))),
        ("一二三四五六七八九十百千万", Query(("一二", "三四", "五六", "七八", "九十", "百千", "千万"))),
    ],
)
def test_what_a_query_asks_for(query: str, read: Query) -> None:
    assert terms.of_query(query) == read


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "needs a word"),
        ("  \n", "needs a word"),
        ("!?", "needs a word"),
        ("#", "needs a word"),
        ("x" * (QUERY_LIMIT + 1), "200 characters"),
        (" ".join(f"w{number}" for number in range(QUERY_TERMS + 1)), "10 words"),
        (" ".join(["from:ann", *(f"w{number}" for number in range(QUERY_TERMS))]), "10 words"),
        ("".join(map(chr, range(0x4E00, 0x4E00 + 30))), "10 words"),
    ],
)
def test_a_query_that_cannot_be_answered_is_refused_and_told_why(query: str, reason: str) -> None:
    with pytest.raises(RequestError) as caught:
        terms.of_query(query)
    assert caught.value.code == "BAD_USER_INPUT"
    assert reason in caught.value.message


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert terms.fold(terms.fold(text)) == terms.fold(text)


@given(st.text(max_size=60) | st.text("#＃@＠ aé東京都1_.'🐦\u0301\u200d", max_size=60))
def test_a_text_is_found_by_itself(text: str) -> None:
    found = terms.of_text(text)
    assert len(set(found)) == len(found)
    try:
        query = terms.of_query(text)
    except RequestError:
        return
    assert query.senders or set(query.terms) <= set(found)


@given(st.lists(st.text("abcäöÄ", min_size=1, max_size=5), min_size=1, max_size=10))
def test_words_between_spaces_are_the_terms(words: list[str]) -> None:
    found = {terms.fold(word) for word in words}
    assert set(terms.of_text(" ".join(words))) == found
    assert set(terms.of_query(" ".join(words)).terms) == found


# What took time by the square of the length would take hours for these.
@pytest.mark.timeout(60)
@pytest.mark.parametrize("again", ["#", "@a", "http://", "\u0301", "rt@", "東"])
def test_long_and_hostile_texts_are_read_in_time_that_grows_as_they_do(again: str) -> None:
    assert set(terms.of_text(again * 100_000)) == set(terms.of_text(again * 10))


# People


def test_a_name_is_found_from_each_of_its_words_on() -> None:
    assert set(terms.of_name("marlow", "Ann Lee")) == {"a", "an", "ann", "ann l", "ann le", "ann lee", "l", "le", "lee"}
    assert terms.of_name("ann", "Ann") == []
    assert set(terms.of_name("ann", "Ånn-Bo")) == {"ann b", "ann bo", "b", "bo"}
    assert {"山田", "田", "太郎", "山田 太"} <= set(terms.of_name("taro", "山田 太郎"))
    assert terms.of_name("ann", "🐦") == []


@given(st.text(max_size=50))
def test_a_name_has_few_beginnings_and_is_found_by_its_own(name: str) -> None:
    found = terms.of_name("", name)
    assert len(found) <= terms.PREFIX_STARTS * terms.PREFIX_LENGTH
    assert all(len(prefix) <= terms.PREFIX_LENGTH for prefix in found)
    try:
        prefix = terms.of_name_query(name)
    except RequestError:
        assert not re.search(r"[A-Za-z0-9]", name)
        return
    assert prefix in found or name.strip().startswith(("@", "＠"))


@pytest.mark.parametrize(
    ("query", "prefix"), [("@Ann", "ann"), (" ÁNN  Lee", "ann lee"), ("ann_b", "ann_b"), ("x" * 20, "x" * 15)]
)
def test_what_a_query_for_people_asks_for(query: str, prefix: str) -> None:
    assert terms.of_name_query(query) == prefix


@pytest.mark.parametrize("query", ["", "@", " ", "!", "x" * (QUERY_LIMIT + 1)])
def test_a_query_for_people_needs_a_letter(query: str) -> None:
    with pytest.raises(RequestError):
        terms.of_name_query(query)


@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_a_text_in_ascii_is_read_by_the_rules_of_any_script(text: str) -> None:
    assert [*terms._runs(text)] == [*terms._runs_of_any_script(text)]
