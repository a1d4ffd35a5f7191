"""Walk 8: searchTweets and searchUsers, from what people type to the page they get."""

import secrets
from typing import Any

import pytest

from datastore import search as store
from tests.perch import Perch, Person

TWEETS = """query ($text: String!, $scope: SearchScope, $first: Int, $after: String) {
  searchTweets(query: $text, scope: $scope, first: $first, after: $after) {
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor node { id text hashtags mentions { username } author { username } } } } }"""
USERS = """query ($text: String!, $first: Int, $after: String) {
  searchUsers(query: $text, first: $first, after: $after) {
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { username } } } }"""


def word() -> str:
    """A word that no other test has said."""
    return f"w{secrets.token_hex(6)}"


async def found(person: Person, query: str, **options: Any) -> list[str]:
    """The texts of the first page."""
    page = (await person.do(TWEETS, text=query, **options))["searchTweets"]
    return [edge["node"]["text"] for edge in page["edges"]]


async def test_a_tweet_is_found_at_once_by_its_words_whatever_their_spelling(perch: Perch) -> None:
    ann, one = await perch.person(), word()
    text = f"Café {one.upper()} ＰＥＲＣＨ 東京都庁 🐦"
    await ann.post(text)
    for query in (one, f"cafe {one}", f"{one} CAFÉ perch", f"東京 {one}", f"{one} 都庁", f"🐦 {one}"):
        assert await found(ann, query) == [text], query
    for query in (f"{one} tea", f"#{one}", f"@{one}", f"{one[:-1]}"):
        assert await found(ann, query) == [], query


async def test_anybody_may_search_what_everybody_says(perch: Perch) -> None:
    ann, one = await perch.person(), word()
    await ann.post(f"{one} hello")
    answer = await perch.ask(TWEETS, text=one)
    assert [edge["node"]["text"] for edge in answer.data["searchTweets"]["edges"]] == [f"{one} hello"]
    assert (await perch.ask(TWEETS, text=one, scope="FOLLOWING")).codes == ["UNAUTHENTICATED"]


async def test_hashtags_mentions_and_authors_are_asked_for_by_their_signs(perch: Perch) -> None:
    (ann, bob), one = await perch.persons(2), word()
    texts = [f"#{one} tag", f"{one} word", f"{one} for @{bob.username}"]
    for text in texts:
        await ann.post(text)
    await bob.post(f"{one} by bob")
    assert await found(ann, f"#{one.upper()}") == texts[:1]
    assert await found(ann, f"{one} @{bob.username.upper()}") == texts[2:]
    assert await found(ann, f"{one} from:{bob.username}") == [f"{one} by bob"]
    assert await found(ann, f"from:@{bob.username}") == [f"{one} by bob"]
    assert len(await found(ann, f"{one} from:{bob.username} from:{ann.username}")) == 4
    assert await found(ann, f"{one} from:nobody_{secrets.token_hex(3)}") == []


async def test_a_tweet_shows_its_hashtags_and_the_people_it_names(perch: Perch) -> None:
    (ann, bob), one = await perch.persons(2), word()
    await ann.post(f"#{one} #Käse #käse @{bob.username.upper()} @{bob.username} @no_{secrets.token_hex(4)}")
    (edge,) = (await ann.do(TWEETS, text=one))["searchTweets"]["edges"]
    assert edge["node"]["hashtags"] == [one, "Käse"]
    assert edge["node"]["mentions"] == [{"username": bob.username}]


async def test_following_means_those_one_follows_now_and_oneself(perch: Perch) -> None:
    (ann, bob, cat), one = await perch.persons(3), word()
    for person in (ann, bob, cat):
        await person.post(f"{one} {person.username}")
    await ann.follow(bob)
    theirs = [f"{one} {bob.username}", f"{one} {ann.username}"]
    assert await found(ann, one, scope="FOLLOWING") == theirs
    assert await found(ann, f"{one} from:{cat.username}", scope="FOLLOWING") == []
    assert await found(ann, f"{one} from:{bob.username}", scope="FOLLOWING") == theirs[:1]
    assert await found(ann, f"{one} from:{ann.username}", scope="FOLLOWING") == theirs[1:]
    assert len(await found(ann, one)) == len(await found(ann, one, scope=None)) == 3
    await ann.unfollow(bob)
    assert await found(ann, one, scope="FOLLOWING") == theirs[1:]


async def test_deleted_and_blocked_and_muted_are_not_found(perch: Perch) -> None:
    (ann, bob, cat, dan), one = await perch.persons(4), word()
    for person in (bob, cat, dan):
        await person.post(f"{one} by {person.username}")
    tweet = await ann.post(f"{one} #{one}")
    await ann.delete(tweet["id"])
    assert len(await found(ann, one)) == 3
    await ann.verb("blockUser", {"userId": bob.id})
    await ann.verb("muteUser", {"userId": dan.id})
    assert await found(ann, one) == [f"{one} by {cat.username}"]
    by_ann = await ann.post(f"{one} by {ann.username}")
    assert by_ann["text"] in await found(cat, one)
    assert by_ann["text"] not in await found(bob, one)
    assert await found(cat, f"#{one}") == []


async def test_pages_lose_and_repeat_nothing(perch: Perch) -> None:
    (ann, bob), one = await perch.persons(2), word()
    texts = [(await (ann if number % 3 else bob).post(f"{one} {number}"))["text"] for number in range(20)]
    await ann.verb("muteUser", {"userId": bob.id})
    expected = [text for text in reversed(texts) if int(text.split()[1]) % 3]
    for first in (1, 4, 13):
        assert await walk(ann, first, text=one) == expected
    page = (await ann.do(TWEETS, text=one))["searchTweets"]
    assert len(page["edges"]) == len(expected) == 13
    assert page["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": False,
        "startCursor": page["edges"][0]["cursor"],
        "endCursor": page["edges"][-1]["cursor"],
    }


async def walk(person: Person, first: int, **variables: Any) -> list[str]:
    """Every text, page by page."""
    texts: list[str] = []
    after = None
    while True:
        page = (await person.do(TWEETS, first=first, after=after, **variables))["searchTweets"]
        assert len(page["edges"]) <= first
        assert page["pageInfo"]["hasPreviousPage"] is (after is not None)
        texts += [edge["node"]["text"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return texts
        assert after, "a page that goes on says where"


async def test_a_search_that_stops_at_its_bound_goes_on_where_it_stopped(
    perch: Perch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SCAN_LIMIT", 4)
    monkeypatch.setattr(store, "PROBE_LIMIT", 2)
    ann, one = await perch.person(), word()
    for number in range(20):
        await ann.post(f"{one} {'even' if number % 2 else 'odd'} {'both even odd' if number == 2 else ''}")
    assert len(await walk(ann, 5, text=f"even odd {one}")) == 1
    page = (await ann.do(TWEETS, first=5, text=f"even odd {one}"))["searchTweets"]
    assert (page["edges"], page["pageInfo"]["hasNextPage"], page["pageInfo"]["startCursor"]) == ([], True, None)


@pytest.mark.parametrize("query", ["", " ", "!?", "x" * 201, " ".join("abcdefghijk"), "#"])
async def test_a_query_that_cannot_be_answered_is_refused(perch: Perch, query: str) -> None:
    answer = await perch.ask(TWEETS, text=query)
    assert answer.codes == ["BAD_USER_INPUT"]
    assert answer.errors[0]["message"].startswith("A query")


@pytest.mark.parametrize("query", ["(a+)+$", '{"$gt": ""}', "a" * 200, ".*" * 90 + "a", "$where: sleep(1)", "\u0000a"])
async def test_hostile_queries_are_words_like_others(perch: Perch, query: str) -> None:
    assert (await perch.ask(TWEETS, text=query)).errors == []
    assert (await perch.ask(USERS, text=query)).errors == []
    assert (await perch.ask(TWEETS, text={"$gt": ""})).codes == ["BAD_USER_INPUT"]


async def test_cursors_are_those_of_this_list(perch: Perch) -> None:
    ann, one = await perch.person(), word()
    await ann.post(one)
    home = (await ann.home())["edges"][0]["cursor"]
    tweet = (await ann.do(TWEETS, text=one))["searchTweets"]["edges"][0]["cursor"]
    user = (await ann.do(USERS, text=ann.username))["searchUsers"]["edges"][0]["cursor"]
    for after in (home, user, "junk", ""):
        assert (await ann.ask(TWEETS, text=one, after=after)).codes == ["BAD_USER_INPUT"]
    for after in (home, tweet, "junk", ""):
        assert (await ann.ask(USERS, text=one, after=after)).codes == ["BAD_USER_INPUT"]
    for first in (0, 101, -1):
        assert (await ann.ask(TWEETS, text=one, first=first)).codes == ["BAD_USER_INPUT"]
        assert (await ann.ask(USERS, text=one, first=first)).codes == ["BAD_USER_INPUT"]


async def test_people_are_found_by_username_and_by_display_name(perch: Perch) -> None:
    tag = secrets.token_hex(3)
    sign_up = "mutation ($input: SignUpInput!) { signUp(input: $input) { errors { code } } }"
    for username, shown in ((f"{tag}b", "Somebody"), (f"{tag}a", f"Zoë {tag}"), (f"x{tag}", f"Élan {tag}ülü")):
        given = {"username": username, "email": f"{username}@perch.example", "password": "correct horse 7"}
        assert (await perch.ask(sign_up, input=given | {"displayName": shown})).data["signUp"]["errors"] == []
    everybody = [f"{tag}a", f"{tag}b", f"x{tag}"]
    for query in (tag, f"@{tag}", f" {tag.upper()}"):
        assert await people(perch, query) == everybody
    assert await people(perch, f"{tag}U") == await people(perch, f"elan {tag}ulu") == [f"x{tag}"]
    for first in (1, 2):
        assert await people(perch, tag, first=first) == everybody
    assert (await perch.ask(USERS, text="@")).codes == ["BAD_USER_INPUT"]


async def people(perch: Perch, query: str, first: int = 15) -> list[str]:
    """The usernames, page by page."""
    names: list[str] = []
    after = None
    while True:
        page = (await perch.ask(USERS, text=query, first=first, after=after)).data["searchUsers"]
        names += [edge["node"]["username"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return names
