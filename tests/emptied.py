"""A database as good as new, for many tests one after another."""

from datastore.mongo import Mongo

# More than that are dropped in a shorter time than deleted.
FEW = 2_000


async def emptied(mongo: Mongo) -> None:
    """Its indexes and nothing else. To drop all of it and make the indexes anew takes a hundred times as long."""
    for name in await mongo.db.list_collection_names():
        if name == "system.profile" or await mongo.db[name].estimated_document_count() > FEW:
            await mongo.db.drop_collection(name)
        else:
            await mongo.db[name].delete_many({})
    await mongo.ensure_indexes()
    # A change stream that begins now would begin with the last of these deletions.
    await mongo.db["emptied"].insert_one({})
