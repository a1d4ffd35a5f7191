"""Hashtags and mentions by the rules of twitter-text, written down case by case, and what holds for any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore import entities

TAGS = [
    ("#perch", ["perch"]),
    ("a #perch b", ["perch"]),
    ("＃perch", ["perch"]),
    ("#Perch and #PERCH and #other", ["Perch", "other"]),
    ("#one#two", []),  # the first ends at a sign, the second follows a letter
    ("#one #two,#three.#four", ["one", "two", "three", "four"]),
    ("(#one) [#two] \"#three\" '#four'", ["one", "two", "three", "four"]),
    ("\n#one\t#two", ["one", "two"]),
    ("!#one -#two /#three", ["one", "two", "three"]),
    ("a#no 1#no _#no é#no あ#no", []),
    ("&#no &#39; &amp;#yes", ["yes"]),
    ("##twice", ["twice"]),
    ("#", []),
    ("# perch", []),
    ("#1", []),
    ("#2026 #٢٠٢٦ #１２", []),
    ("#1st #2026a #a2026", ["1st", "2026a", "a2026"]),
    ("#_ #__ #_1", []),
    ("#_a #a_ #snake_case", ["_a", "a_", "snake_case"]),
    ("#don't", ["don"]),
    ("#kebab-case", ["kebab"]),
    ("#end. #end! #more…", ["end", "more"]),
    ("#café #cafe\u0301s #ünïcödé #Straße #STRASSE", ["café", "cafe\u0301s", "ünïcödé", "Straße"]),
    ("#Привет #привет #ελληνικά", ["Привет", "ελληνικά"]),
    ("#日本語 ＃東京タワー #서울 #ไทย", ["日本語", "東京タワー", "서울", "ไทย"]),
    ("日本語 #東京。", ["東京"]),
    ("、#東京", ["東京"]),
    ("#हिन्दी #עברית #עם־ישראל #العربية #فارسی\u200cها", ["हिन्दी", "עברית", "עם־ישראל", "العربية", "فارسی\u200cها"]),
    ("#col·lecció", ["col·lecció"]),
    ("#スター・ウォーズ", ["スター・ウォーズ"]),
    ("#ab://no #ab:// #ab:yes", ["ab"]),
    ("http://perch.example/#no https://perch.example/a#no?b=#no #yes", ["yes"]),
    ("ftp //#yes", ["yes"]),
    ("#\ufe0f\u20e3 #\u20e3 1#\ufe0f\u20e3", []),
    ("❤\ufe0f#yes", ["yes"]),
    ("🐦#bird #🐦 #bird🐦s", ["bird"]),
    ("#a@b", ["a"]),
    ("@ann#no @ann #yes", ["yes"]),
]
MENTIONS = [
    ("@ann", ["ann"]),
    ("＠ann", ["ann"]),
    ("hello @ann!", ["ann"]),
    ("@Ann @ANN @bob", ["Ann", "bob"]),
    ("@ann,@bob;@cat", ["ann", "bob", "cat"]),
    (".@ann (@bob) '@cat' \"@dan\"", ["ann", "bob", "cat", "dan"]),
    ("@a_1 @_ @123", ["a_1", "_", "123"]),
    ("@fifteen_chars15", ["fifteen_chars15"]),
    ("@sixteen_chars_16", []),
    ("@", []),
    ("@ ann", []),
    ("ann@perch.example", []),
    ("a@ann 1@ann _@ann !@ann @@ann #@ann $@ann %@ann &@ann *@ann ＠@ann", []),
    ("-@ann /@bob :@cat ~@dan", ["ann", "bob", "cat", "dan"]),
    ("@ann@bob", []),
    ("@ann＠bob", []),
    ("@ann@", []),
    ("@anné @annü @ann\u0301 @annñ", []),
    ("@ann's @bob-by @cat.", ["ann", "bob", "cat"]),
    ("@ann:// @bob:/ @cat:", ["bob", "cat"]),
    ("RT@ann rt@bob: Rt:@cat", ["ann", "bob", "cat"]),
    ("smart@ann -rt@bob .RT@cat", []),
    ("RT @ann: hello", ["ann"]),
    ("あ@ann は @bobさん", ["ann", "bob"]),
    ("é@ann", ["ann"]),
    ("@ann/list", ["ann"]),
    ("https://perch.example/@ann http://@ann @bob", ["bob"]),
    ("@ann\n@bob", ["ann", "bob"]),
    ("@anné @ann", ["ann"]),
]


@pytest.mark.parametrize(("text", "tags"), TAGS)
def test_hashtags(text: str, tags: list[str]) -> None:
    assert entities.hashtags(text) == tags


@pytest.mark.parametrize(("text", "names"), MENTIONS)
def test_mentions(text: str, names: list[str]) -> None:
    assert entities.mentions(text) == names


@given(st.text() | st.text("#＃@＠&_aéあ1 ./:htps\u0301\ufe0f\u200d"))
def test_spans_of_any_text_are_in_order_and_say_what_is_there(text: str) -> None:
    for spans, signs in ((entities.hashtag_spans(text), "#＃"), (entities.mention_spans(text), "@＠")):
        last = 0
        for start, end, name in spans:
            assert last <= start < end
            assert text[start] in signs or text[start : start + 2].lower() == "rt"
            assert text[start:end].endswith(name)
            last = end


@given(st.text())
def test_every_name_is_a_username_and_every_tag_has_a_letter(text: str) -> None:
    for name in entities.mentions(text):
        assert name.isascii()
        assert 1 <= len(name) <= 15
    for tag in entities.hashtags(text):
        assert not tag.isdigit()
        assert not set(tag) & set(" #＃@&\n")


@given(st.lists(st.from_regex(r"[A-Za-zäöあ][A-Za-zäöあ0-9_]{0,10}", fullmatch=True), max_size=10))
def test_tags_between_spaces_are_all_found_each_once(tags: list[str]) -> None:
    found = entities.hashtags(" ".join(f"#{tag}" for tag in tags))
    assert [entities.key(tag) for tag in found] == list(dict.fromkeys(map(entities.key, tags)))
