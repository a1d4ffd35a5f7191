"""Crowds: readers and the writers whom they follow, and the verdict on what those readers see in the end."""

from tests.faults.box import Box
from tests.faults.writers import Writers, all_pages, by_author
from tests.perch import Person


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
