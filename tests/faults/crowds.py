"""Crowds: readers and the writers whom they follow, and the verdict on what those readers see in the end."""

from tests.faults.box import Box
from tests.faults.writers import Writers, all_pages, by_author
from tests.perch import Live, Person


async def crowd(box: Box, readers: int = 1, writers: int = 4) -> tuple[list[Person], list[Person]]:
    """Readers who follow all of the writers, and whose timelines are kept."""
    people = await box.perch.persons(readers + writers)
    for reader in people[:readers]:
        for author in people[readers:]:
            await reader.follow(author)
        await reader.home()
    await box.perch.settle()
    return people[:readers], people[readers:]


async def judged(writers: Writers, reader: Person) -> None:
    """Each accepted tweet is in the reader's timeline, once and in order, and nothing else of theirs is."""
    await writers.box.perch.settle()
    assert by_author(await all_pages(reader), writers.authors) == writers.acked


async def gather(reader: Person, live: Live, count: int) -> list[str]:
    """What a client that follows the documented recipe has been shown, in order, until that is `count` texts.

    A follow whose worker died is handled again, and announced again: the page then stands for what its merge brought.
    """
    texts: list[str] = []
    while len(texts) < count:
        event = await live.event()
        if event["__typename"] == "TimelineResync":
            assert event["reason"] == "FOLLOWS_CHANGED"
            texts = (await all_pages(reader))[::-1]
        elif (text := event["edge"]["node"]["text"]) not in texts[-5:]:
            texts.append(text)
    return texts
