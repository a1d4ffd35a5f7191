"""Paging: from one row more than asked for to a page."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from datastore.errors import bad_input
from datastore.records import Edge, Key, Page
from resolvers import guards

T = TypeVar("T")


async def keyset_page(
    read: Callable[[int, Key | None], Awaitable[list[Edge[T]]]], first: int | None, after: Key | None
) -> Page[T]:
    """A page of `first` edges behind `after`. `read` is asked for one more, which tells whether there is a next."""
    size = guards.page_size(first)
    edges = await read(size + 1, after)
    kept = edges[:size]
    return Page(kept, len(edges) > size, after is not None, (kept[-1].kind, kept[-1].key) if kept else None)


def joined(page: Page[int], found: Sequence[T | None]) -> Page[T]:
    """The page of ids as a page of the records found for them; what vanished meanwhile is left out."""
    edges = [Edge(edge.kind, edge.key, node, edge.since) for edge, node in zip(page.edges, found, strict=True) if node]
    return Page(edges, page.has_next, page.has_previous, page.end)


def one(key: Key | None) -> int | None:
    """The key of a list that is ordered by id alone."""
    if key is None:
        return None
    if len(key) != 1:
        raise bad_input("This is not a cursor of this list.")
    return key[0]
