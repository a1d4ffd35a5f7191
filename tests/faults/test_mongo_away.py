"""MongoDB loses members: what was accepted is there once, and who asks waits for an election at most."""

import asyncio
from typing import Any

from datastore.devserver import Member
from datastore.mongo import Mongo
from tests.faults.box import Box, eventually
from tests.faults.crowds import crowd, judged
from tests.faults.writers import POST, writing
from tests.perch import PATIENCE_SECONDS, Perch, serving


async def test_a_killed_primary_costs_its_writers_a_wait_and_no_tweet(box: Box) -> None:
    (reader,), authors = await crowd(box)
    before = await box.primary()
    async with writing(box, authors) as writers:
        await writers.more(20)
        await box.kill_child(before.child)
        await writers.more(20)
    assert writers.failed == []
    print(f"slowest: {writers.slowest_seconds:.1f} s, accepted: {writers.count()}")
    # The fault has bitten.
    assert await box.primary() != before
    await judged(writers, reader)


async def test_a_primary_that_steps_down_costs_its_writers_a_wait_and_no_tweet(box: Box) -> None:
    (reader,), authors = await crowd(box)
    before = await box.primary()
    async with writing(box, authors) as writers:
        await writers.more(20)
        await box.perch.mongo.client.admin.command("replSetStepDown", 30)
        await writers.more(20)
    assert writers.failed == []
    print(f"slowest: {writers.slowest_seconds:.1f} s, accepted: {writers.count()}")
    assert await box.primary() != before
    await judged(writers, reader)


async def test_without_a_majority_writes_are_refused_pages_answer_and_a_repeated_key_makes_no_second_tweet(
    box: Box,
) -> None:
    (reader,), (author, *_) = await crowd(box)
    await author.post("before")
    await box.perch.settle()
    primary = await box.primary()
    for member in box.members:
        if member != primary:
            await box.kill_child(member.child)
    given = {"text": "in the middle", "idempotencyKey": "once"}
    refused = await author.ask(POST, input=given)
    assert refused.codes == ["UNAVAILABLE"]

    async def standby_answers() -> bool:
        page = await reader.ask("{ homeTimeline { edges { node { text } } } }")
        return page.status == 200 and "before" in [edge["node"]["text"] for edge in page.data["homeTimeline"]["edges"]]

    # When the last member has noticed that it is alone, and that has lasted.
    await eventually(standby_answers, 3 * PATIENCE_SECONDS)
    await box.repair()
    for _ in range(2):
        assert (await author.ask(POST, input=given)).errors == []
    await box.perch.settle()
    assert (await reader.texts()).count("in the middle") == 1


async def test_a_stopped_mongodb_lets_no_requests_pile_up(box: Box) -> None:
    (reader,), _ = await crowd(box)
    for member in box.members:
        box.freeze(member.child)
    # Sessions and profiles that are known are not asked for again for a moment; one's own newest entries always are.
    page = "{ homeTimeline(first: 1) { edges { cursor } } }"
    answers = await asyncio.gather(*(reader.ask(page) for _ in range(60)))
    assert {answer.status for answer in answers} == {503}
    assert await box.metric("perch_requests_in_hand") == 0
    box.thaw()
    await box.repair()
    assert (await reader.ask(page)).status == 200


SEARCH = "query ($words: String!) { searchTweets(query: $words) { nodes { text } } }"
SEARCHES = 20


async def test_searches_of_nobody_are_answered_by_secondaries_and_somebodys_by_the_primary(box: Box) -> None:
    (reader,), (author, *_) = await crowd(box)
    await author.post("halcyon over the harbour")
    primary = await box.primary()
    async with serving(box.perch.settings.model_copy(update={"read_secondaries": True})) as perch:

        async def nobody_finds_it() -> bool:
            return await texts(perch, None) == ["halcyon over the harbour"]

        await eventually(nobody_finds_it, PATIENCE_SECONDS)
        for token, by_primary in ((None, False), (reader.token, True)):
            before = [await finds(member) for member in box.members]
            for _ in range(SEARCHES):
                assert await texts(perch, token) == ["halcyon over the harbour"]
            asked = {
                member.host: await finds(member) - count for member, count in zip(box.members, before, strict=True)
            }
            at_primary = asked.pop(primary.host)
            assert (at_primary >= SEARCHES, sum(asked.values()) >= SEARCHES) == (by_primary, not by_primary), asked


async def texts(perch: Perch, token: str | None) -> list[str]:
    nodes = (await perch.ask(SEARCH, token, words="halcyon")).data["searchTweets"]["nodes"]
    return [node["text"] for node in nodes]


async def finds(member: Member) -> int:
    """How many searches this member has answered: aggregations over tweets."""
    mongo = Mongo(f"mongodb://{member.host}/?directConnection=true", "admin")
    status: Any = await mongo.db.command("serverStatus")
    await mongo.close()
    count: int = status["metrics"]["commands"]["aggregate"]["total"] + status["metrics"]["commands"]["find"]["total"]
    return count
