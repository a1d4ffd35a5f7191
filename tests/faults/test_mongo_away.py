"""MongoDB loses members: what was accepted is there once, and who asks waits for an election at most."""

import asyncio

from tests.faults.box import Box, eventually
from tests.faults.crowds import crowd, judged
from tests.faults.writers import POST, writing
from tests.perch import PATIENCE_SECONDS


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
