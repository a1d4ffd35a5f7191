"""Wire: the few commands of MongoDB that the rooms send, over one socket and nothing between (OP_MSG). The plain driver
does the same, at three times the processor time; a model asks a hundred thousand questions a minute."""

import socket
import struct
from collections import defaultdict
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import bson

from datastore.mongo import Doc, DuplicateKeyError

_HEADER = struct.Struct("<iiiiIB")
_DUPLICATE_KEY = 11000
_READS = ("find", "aggregate")
_OPTIONS: Any = bson.CodecOptions(tz_aware=True)


class Wire:
    """A database of one mongod. Writes are acknowledged by that server and not by its journal: nothing loses power."""

    def __init__(self, url: str, database: str) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._database = database
        # Answers to reads, by collection and command: nobody else writes here, so until the next write to a collection
        # they would be the same. Spares every third read.
        self._answers: dict[str, dict[bytes, bytes]] = defaultdict(dict)

    def close(self) -> None:
        self._socket.close()

    def __getitem__(self, collection: str) -> "Collection":
        return Collection(self, collection)

    def command(self, command: Doc) -> Doc:
        """The server's answer. Raises what a write is refused for."""
        name, collection = next(iter(command.items()))
        body = bson.encode(command | {"$db": self._database})
        known = self._answers[collection]
        if name in _READS:
            raw = known.get(body) or known.setdefault(body, self._ask(body))
        else:
            known.clear()
            raw = self._ask(body)
        answer: Doc = bson.decode(raw, _OPTIONS)
        error = next(iter(answer.get("writeErrors", ())), answer if answer["ok"] != 1 else None)
        if error and error["code"] == _DUPLICATE_KEY:
            raise DuplicateKeyError(error["errmsg"], error["code"], error)
        if error:
            raise RuntimeError(f"{error} to {command}")
        return answer

    def _ask(self, body: bytes) -> bytes:
        self._socket.sendall(_HEADER.pack(len(body) + 21, 0, 0, 2013, 0, 0) + body)
        answer = self._socket.recv(65536)
        length: int = struct.unpack_from("<i", answer)[0]
        while len(answer) < length:
            answer += self._socket.recv(65536)
        return answer[21:]


class Collection:
    """One collection, with the names and answers of the driver."""

    def __init__(self, wire: Wire, name: str) -> None:
        self._wire, self.name = wire, name

    def beside(self, name: str) -> "Collection":
        """Another collection of this database."""
        return self._wire[name]

    def read(self, **command: Any) -> list[Doc]:
        """All documents of a find or an aggregate, which goes first."""
        found: list[Doc] = self._wire.command(command)["cursor"]["firstBatch"]
        return found

    def find(
        self, query: Doc, fields: Doc | None = None, sort: Any = None, limit: int = 0, hint: Any = None
    ) -> list[Doc]:
        """All that match, up to a thousand."""
        by: Doc = {"sort": dict([(sort[0], sort[1])] if isinstance(sort[0], str) else sort[0])} if sort else {}
        by |= {"hint": hint if isinstance(hint, str) else dict(hint)} if hint else {}
        more = by | ({"limit": limit} if limit else {}) | ({"projection": fields} if fields else {})
        return self.read(find=self.name, filter=query, singleBatch=True, batchSize=1000, **more)

    def aggregate(self, pipeline: list[Doc]) -> list[Doc]:
        """What the pipeline gives, up to a thousand."""
        return self.read(aggregate=self.name, pipeline=pipeline, cursor={"batchSize": 1000})

    def find_one(self, query: Doc, fields: Doc | None = None) -> Doc | None:
        return next(iter(self.find(query, fields, limit=1)), None)

    def count_documents(self, query: Doc, limit: int, hint: str) -> int:
        found = self.read(
            aggregate=self.name,
            pipeline=[{"$match": query}, {"$limit": limit}, {"$count": "n"}],
            hint=hint,
            cursor={},
        )
        return int(found[0]["n"]) if found else 0

    def insert_one(self, doc: Doc) -> None:
        self.insert_many([doc])

    def insert_many(self, docs: list[Doc]) -> None:
        self._wire.command({"insert": self.name, "documents": docs})

    def update_one(self, query: Doc, change: Any, multi: bool = False) -> Any:
        answer = self._wire.command({"update": self.name, "updates": [{"q": query, "u": change, "multi": multi}]})
        return SimpleNamespace(matched_count=answer["n"], modified_count=answer["nModified"])

    def move_one(self, query: Doc, change: Any) -> None:
        self.update_one(query, change)

    def update_many(self, query: Doc, change: Any) -> Any:
        return self.update_one(query, change, multi=True)

    def delete_one(self, query: Doc) -> Any:
        answer = self._wire.command({"delete": self.name, "deletes": [{"q": query, "limit": 1}]})
        return SimpleNamespace(deleted_count=answer["n"])

    def find_one_and_update(
        self, query: Doc, change: Any, fields: Doc | None = None, upsert: bool = False, return_document: bool = False
    ) -> Doc | None:
        command = {"findAndModify": self.name, "query": query, "update": change}
        command |= {"upsert": upsert, "new": return_document}
        found: Doc | None = self._wire.command(command | ({"fields": fields} if fields else {}))["value"]
        return found
