"""Backup: a whole database as one file, as it was at one moment, and back. Knows nothing of Redis, which is derived.

A file is a gzipped row of BSON documents: a head, then for each collection its name and its documents, then how many
there were; a file that was cut short lacks the end and is refused. The moment is that of a snapshot session, so that
writers need not stop. MongoDB keeps snapshots for `minSnapshotHistoryWindowInSeconds` (300 by default), within which
the reading has to be done: beyond some gigabytes take `mongodump --oplog` or snapshots of volumes.
"""

import gzip
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from datastore import upgrade
from datastore.changes import Changes
from datastore.indexes import INDEXES
from datastore.mongo import Doc, Mongo, bson_documents, bson_of

FORMAT = 1
# Documents written at once: a few hundred kilobytes.
BATCH = 1000
# Half the size of the usual level for a third of its time.
_LEVEL = 3


class BackupError(Exception):
    """Why a file or a database will not do, as one line for a person."""


async def backup(mongo: Mongo, path: Path) -> dict[str, int]:
    """Write everything to a file that appears under its name only when it is whole; gives the number of documents of
    each collection. Reads in one snapshot and keeps one batch in memory."""
    unfinished = path.with_name(f"{path.name}.part")
    counts = dict.fromkeys(INDEXES, 0)
    with gzip.open(unfinished, "wb", compresslevel=_LEVEL) as file:
        file.write(bson_of({"perch": FORMAT, "database": mongo.db.name}))
        async with mongo.session(snapshot=True) as session:
            for collection in counts:
                file.write(bson_of({"collection": collection}))
                async for doc in mongo.db[collection].find({}, session=session, batch_size=BATCH):
                    file.write(bson_of({"d": doc}))
                    counts[collection] += 1
        file.write(bson_of({"end": counts}))
    unfinished.replace(path)
    return counts


async def restore(mongo: Mongo, path: Path) -> dict[str, int]:
    """Fill an empty database from a file, with its indexes; gives the number of documents of each collection. Raises
    BackupError. No server and no worker may run meanwhile: their relay would take each document for news."""
    for collection in INDEXES:
        if collection != "system" and await mongo.db[collection].find_one({}, {"_id": 1}):
            raise BackupError(f"the database {mongo.db.name} is not empty: it has {collection}")
    await mongo.system.delete_many({})
    counts = dict.fromkeys(INDEXES, 0)
    async for collection, docs in _batches(path, counts):
        await mongo.db[collection].insert_many(docs, ordered=False)
    # The watermark, the leases and the positions were those of another cluster: the stream begins at the present.
    await mongo.system.delete_many({"_id": {"$ne": "demo_world"}})
    await mongo.ensure_indexes()
    if counts["users"] and not counts["names"]:
        # A file of the version before, which reserved nothing.
        await upgrade.fill(mongo)
    await Changes(mongo).prepare()
    return counts


async def _batches(path: Path, counts: dict[str, int]) -> AsyncIterator[tuple[str, list[Doc]]]:
    batch: list[Doc] = []
    collection = ""
    for kind, value in _rows(path):
        if kind == "d":
            batch.append(value)
            counts[collection] += 1
        if batch and (kind != "d" or len(batch) == BATCH):
            yield collection, batch
            batch = []
        if kind == "collection":
            collection = value
        if kind == "end":
            if dict.fromkeys(INDEXES, 0) | value != counts:
                raise BackupError(f"{path} has other documents than it says at its end")
            return
    raise BackupError(f"{path} ends too early: it was cut short")


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        with gzip.open(path, "rb") as file:
            rows = bson_documents(file)
            if next(rows, {}).get("perch") != FORMAT:
                raise BackupError(f"{path} is no backup of Perch")
            for row in rows:
                yield next(iter(row.items()))
    except (OSError, EOFError, ValueError) as error:
        raise BackupError(f"{path} cannot be read: {error}") from error
