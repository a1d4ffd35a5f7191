"""How often pages ask MongoDB, and that what is read ahead for them is what they would have read."""

import pytest

from tests.perch import Perch, Person

SHOWN = "fragment shown on Tweet { text likeCount viewerHasLiked author { username } }"
# How often each asks at most: what the page lists, then what depends on who asks about all that it lists.
PAGES = {
    "searchTweets": ('query { searchTweets(query: "conversation") { nodes { ...shown } } }', 2),
    "topTweets": ("query { topTweets(first: 10) { nodes { tweet { ...shown } } } }", 1),
    "tweet": ("query ($id: ID!) { tweet(id: $id) { ...shown replies { nodes { ...shown } } } }", 2),
}
# The same replies, asked for in other ways: some read ahead, some not.
FIRST = "replies(first: 2) { nodes { text } pageInfo { hasNextPage } }"
WAYS = {
    "plain": f"query ($id: ID!) {{ tweet(id: $id) {{ {FIRST} }} }}",
    "null": f"query ($id: ID!) {{ tweet(id: $id) {{ {FIRST.replace('2', '2, after: null')} }} }}",
    "variable": f"query ($id: ID!, $n: Int = 2) {{ tweet(id: $id) {{ {FIRST.replace('2', '$n')} }} }}",
    "fragment": f"query ($id: ID!) {{ tweet(id: $id) {{ ...more }} }} fragment more on Tweet {{ {FIRST} }}",
    "twice": f"query ($id: ID!) {{ tweet(id: $id) {{ {FIRST} all: replies {{ nodes {{ id }} }} }} }}",
    "beside": f"query ($id: ID!) {{ tweet(id: $id) {{ {FIRST} }} node(id: $id) {{ id }} }}",
}


@pytest.fixture
async def talk(perch: Perch) -> tuple[Person, str]:
    """Who reads, and a tweet with six replies, one of them by somebody whom they block."""
    reader, ann, troll = await perch.persons(3)
    first = (await ann.post("a conversation"))["id"]
    for number, author in enumerate((ann, ann, troll, ann, ann, ann)):
        await author.post(f"reply {number}", inReplyTo=first)
    await reader.verb("blockUser", {"userId": troll.id})
    return reader, first


async def test_a_page_asks_mongodb_for_what_it_lists_and_for_what_depends_on_who_asks(
    perch: Perch, talk: tuple[Person, str]
) -> None:
    reader, first = talk
    await perch.settle()
    for name, (document, most) in PAGES.items():
        given = {"id": first} if "$id" in document else {}
        await reader.do(f"{document} {SHOWN}", **given)
        # The least of some, since the server looks at the sessions of its callers now and then.
        assert min([await asked(perch, reader, f"{document} {SHOWN}", given) for _ in range(8)]) <= most, name


async def asked(perch: Perch, reader: Person, document: str, given: dict[str, str]) -> int:
    """How many queries MongoDB answers for it."""
    before = await queries(perch)
    await reader.do(document, **given)
    return await queries(perch) - before


async def queries(perch: Perch) -> int:
    status = await perch.mongo.db.command("serverStatus")
    return sum(status["metrics"]["commands"][name]["total"] for name in ("find", "aggregate"))


async def test_replies_are_the_same_however_they_are_asked_for(talk: tuple[Person, str]) -> None:
    reader, first = talk
    page = {"nodes": [{"text": "reply 5"}, {"text": "reply 4"}], "pageInfo": {"hasNextPage": True}}
    found = {name: (await reader.do(document, id=first))["tweet"]["replies"] for name, document in WAYS.items()}
    assert found == dict.fromkeys(WAYS, page)
    for length in (0, 101, -1):
        answer = await reader.ask(WAYS["variable"], id=first, n=length)
        assert answer.codes == ["BAD_USER_INPUT"]
        assert answer.errors[0]["path"] == ["tweet", "replies"]
