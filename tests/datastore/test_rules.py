"""Rules: what a text, a name, an email and a password must be."""

import string
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from datastore import rules
from datastore.errors import DomainError, ErrorCode, TextTooLongError

CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) != "\n"]
BIDI = list("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
SURROGATES = st.characters(categories=["Cs"])
words = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=BIDI), max_size=200)


def refusal(rule: Callable[..., str], *given: object) -> DomainError:
    """What the rule says no with."""
    with pytest.raises(DomainError) as caught:
        rule(*given)
    return caught.value


# ---------------------------------------------------------------- a tweet's text


@pytest.mark.parametrize("char", ["\u00e9", "e\u0301", "\u1112\u1161\u11ab", "\ud55c", "\U0001f426", "x"])
def test_140_characters_pass_and_141_do_not_however_they_are_composed(char: str) -> None:
    kept = rules.tweet_text(char * 140)
    assert kept == unicodedata.normalize("NFC", char) * 140
    assert len(kept) == 140
    error = refusal(rules.tweet_text, char * 141)
    assert isinstance(error, TextTooLongError)
    assert (error.code, error.length, error.limit) == (ErrorCode.TEXT_TOO_LONG, 141, 140)
    assert error.path == ("input", "text")


def test_what_nfc_cannot_join_counts_each_code_point() -> None:
    assert len(rules.tweet_text("x\u0301" * 70)) == 140
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    error = refusal(rules.tweet_text, family * 29)
    assert isinstance(error, TextTooLongError)
    assert error.length == 145


def outcome(rule: Callable[[str], str], text: str) -> str | ErrorCode:
    """What the rule keeps, or the code of its refusal."""
    try:
        return rule(text)
    except DomainError as error:
        return error.code


@given(words)
def test_a_kept_text_is_nfc_within_the_limit_and_stays_as_it_is(text: str) -> None:
    kept = outcome(rules.tweet_text, text)
    if kept is ErrorCode.TEXT_TOO_LONG:
        assert len(unicodedata.normalize("NFC", text)) > 140
    elif kept is not ErrorCode.TEXT_EMPTY:
        assert unicodedata.is_normalized("NFC", kept)
        assert 1 <= len(kept) <= 140
        assert rules.tweet_text(kept) == kept


@given(words)
def test_all_normal_forms_of_a_text_are_one_text(text: str) -> None:
    assume(text.strip() and len(unicodedata.normalize("NFC", text)) <= 140)
    try:
        kept = rules.tweet_text(text)
    except DomainError:
        return
    assert rules.tweet_text(unicodedata.normalize("NFD", text)) == kept


@given(words, st.sampled_from(CONTROLS + BIDI), words)
def test_control_characters_and_direction_overrides_are_refused_wherever_they_stand(
    before: str, bad: str, after: str
) -> None:
    assume(not (bad == "\r" and after.startswith("\n")))
    assert refusal(rules.tweet_text, before + bad + after).code is ErrorCode.TEXT_FORBIDDEN_CHARACTERS


@given(words, SURROGATES, words)
def test_lone_surrogates_are_refused(before: str, bad: str, after: str) -> None:
    for rule in (rules.tweet_text, rules.display_name):
        assert refusal(rule, before + bad + after).code is ErrorCode.TEXT_FORBIDDEN_CHARACTERS


def test_direction_marks_that_reorder_nothing_are_allowed() -> None:
    assert rules.tweet_text("abc\u200f\u200e\u061c") == "abc\u200f\u200e\u061c"


@given(st.text("\n \u00a0\u2003\u3000\u2028\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e\U000e0020", max_size=200))
def test_a_text_with_nothing_to_see_is_empty(text: str) -> None:
    error = refusal(rules.tweet_text, text)
    assert (error.code, error.path) == (ErrorCode.TEXT_EMPTY, ("input", "text"))


def test_letters_and_marks_that_show_nothing_are_nothing_to_see() -> None:
    for blank in "\u2800\u3164\u115f\u1160\uffa0\u034f\ufe0f\u17b4\U000e0100":
        assert refusal(rules.tweet_text, blank * 3).code is ErrorCode.TEXT_EMPTY


def test_a_windows_line_end_is_one_character() -> None:
    assert rules.tweet_text("a\r\n" * 70) == "a\n" * 70
    assert refusal(rules.tweet_text, "a\rb").code is ErrorCode.TEXT_FORBIDDEN_CHARACTERS


@given(st.integers(1, 300))
def test_the_limit_is_a_setting(limit: int) -> None:
    assert rules.tweet_text("x" * limit, limit) == "x" * limit
    error = refusal(rules.tweet_text, "x" * (limit + 1), limit)
    assert isinstance(error, TextTooLongError)
    assert error.limit == limit


# ---------------------------------------------------------------- names


def test_a_display_name_is_one_trimmed_line_of_50_characters() -> None:
    assert rules.display_name("  Zoe\u0308 \u00a0") == "Zo\u00eb"
    assert rules.display_name("e\u0301" * 50) == "\u00e9" * 50
    assert rules.display_name(" " * 60 + "x" * 50) == "x" * 50
    error = refusal(rules.display_name, "x" * 51)
    assert isinstance(error, TextTooLongError)
    assert (error.length, error.limit, error.path) == (51, 50, ("input", "displayName"))
    assert refusal(rules.display_name, "two\nlines").code is ErrorCode.TEXT_FORBIDDEN_CHARACTERS
    for empty in ("", "   ", "\u200b"):
        assert refusal(rules.display_name, empty).code is ErrorCode.TEXT_EMPTY


@given(words)
def test_a_kept_display_name_stays_as_it_is(name: str) -> None:
    try:
        kept = rules.display_name(name)
    except DomainError:
        return
    assert rules.display_name(kept) == kept == kept.strip()


@given(st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=15))
def test_a_username_has_1_to_15_letters_digits_or_underscores(name: str) -> None:
    assert rules.username(name) == name
    assert rules.username_key(name.upper()) == rules.username_key(name.lower())


@given(st.text(max_size=20))
def test_anything_else_is_no_username(name: str) -> None:
    fits = 1 <= len(name) <= 15 and all(char in string.ascii_letters + string.digits + "_" for char in name)
    assume(not fits)
    error = refusal(rules.username, name)
    assert (error.code, error.path) == (ErrorCode.USERNAME_INVALID, ("input", "username"))


@pytest.mark.parametrize("name", ["", "x" * 16, "a\n", "\na", "a b", "a-b", "a.b", "\uff41", "\u0663", "\u212a", "@a"])
def test_lookalikes_and_strays_are_no_usernames(name: str) -> None:
    assert refusal(rules.username, name).code is ErrorCode.USERNAME_INVALID


# ---------------------------------------------------------------- emails


@pytest.mark.parametrize(
    "address",
    [
        "a@b.c",
        "first.last+tag@sub.example.org",
        "o'hara!#$%@example.co.uk",
        "jos\u00e9@example.org",
        "x@b\u00fccher.example",
        "x" * 64 + "@example.org",
    ],
)
def test_addresses_that_may_exist_pass(address: str) -> None:
    assert rules.email(address) == address
    assert rules.email(f"  {address}\n") == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "plain",
        "@example.org",
        "a@",
        "a@b",
        "a@b.",
        "a@.b",
        "a@b..c",
        "a@b.c.",
        "a b@example.org",
        "a@exa mple.org",
        "a@b@example.org",
        "<a@example.org>",
        'a"@example.org',
        "a@example.org\nBcc: b@example.org",
        "a\u200b@example.org",
        "a\u202e@example.org",
        "a\x00@example.org",
        "a\ud800@example.org",
        "x" * 65 + "@example.org",
    ],
)
def test_what_cannot_be_an_address_is_refused(address: str) -> None:
    error = refusal(rules.email, address)
    assert (error.code, error.path) == (ErrorCode.EMAIL_INVALID, ("input", "email"))


def test_an_address_has_at_most_254_bytes() -> None:
    longest = "x@" + "y" * 250 + ".z"
    assert len(rules.email(longest)) == 254
    refusal(rules.email, "x" + longest)
    refusal(rules.email, "x@" + "\u00e9" * 126 + ".z")


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_kept_address_is_nfc_and_stays_as_it_is(local: str, domain: str) -> None:
    try:
        kept = rules.email(f"{local}@{domain}.example")
    except DomainError:
        return
    assert unicodedata.is_normalized("NFC", kept)
    assert rules.email(kept) == kept


# ---------------------------------------------------------------- passwords


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=128))
def test_8_to_128_characters_are_a_password_unless_they_are_all_the_same(secret: str) -> None:
    assume(len(set(secret)) >= 3)
    assert rules.password(secret, "somebody") == secret


@pytest.mark.parametrize(
    "secret",
    ["", "short 7", "x" * 8, "ab" * 10, "abc" * 43, "\ud800abcdefgh", "a_Username", "A_USERNAME", "x1y" * 100_000],
)
def test_weak_passwords_are_refused(secret: str) -> None:
    error = refusal(rules.password, secret, "A_username")
    assert (error.code, error.path) == (ErrorCode.PASSWORD_TOO_WEAK, ("input", "password"))


def test_the_refusal_never_repeats_the_password() -> None:
    assert "a_username" not in str(refusal(rules.password, "a_username", "a_username"))
