"""Documents: those that an operator trusts, and those that clients name by their hash. Runs none of them."""

import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import orjson
from graphql import GraphQLError, GraphQLSchema, parse

from datastore.errors import RequestError, bad_input, forbidden
from schema.limits import RULES, TOKENS, judge_by

Mode = Literal["off", "prefer", "only"]
# What a process remembers of documents that clients brought with their hash; a body has at most 64 KiB.
REMEMBERED_CHARACTERS = 4_000_000
# What code generators write before a hash.
_ALGORITHM = "sha256:"


class BadDocumentError(Exception):
    """A manifest or a document that an operator has to mend: one line that says which and why."""


class Documents:
    """What may be asked by hash, in the protocol of automatic persisted queries, and what may be asked at all.

    `off`: documents come as text. `prefer`: the hash of a trusted document will do, and that of another one once a
    client has brought its text to this process. `only`: nothing but trusted documents, by text or by hash.
    """

    def __init__(self, mode: Mode = "off", trusted: Mapping[str, str] | None = None) -> None:
        self._mode, self._trusted = mode, trusted or {}
        self._remembered: OrderedDict[str, str] = OrderedDict()
        self._characters = 0

    @classmethod
    def of(cls, mode: Mode, manifest: Path) -> "Documents":
        """As the operator has it. Raises BadDocumentError for a manifest that is junk, or that `only` lacks."""
        trusted = read(manifest) if mode != "off" else {}
        if mode == "only" and not trusted:
            raise BadDocumentError(f"{manifest}: no documents; add some by `python -m app documents add FILE`")
        return cls(mode, trusted)

    def text_of(self, query: str | None, extensions: Mapping[str, Any] | None) -> str | None:
        """The text to run; None if there is none. Raises FORBIDDEN for what is not trusted where it has to be,
        PERSISTED_QUERY_NOT_FOUND, PERSISTED_QUERY_NOT_SUPPORTED, or BAD_USER_INPUT for junk."""
        named = (extensions or {}).get("persistedQuery")
        if named is None or (self._mode == "off" and query is not None):
            self._admit(query)
            return query
        if self._mode == "off":
            raise RequestError("PERSISTED_QUERY_NOT_SUPPORTED", "PersistedQueryNotSupported")
        name = _hash_in(named)
        if query is None:
            return self._known(name)
        if hash_of(query) != name:
            raise bad_input("The hash is not that of the query.")
        self._admit(query)
        self._remember(name, query)
        return query

    def _admit(self, query: str | None) -> None:
        if self._mode == "only" and query is not None and hash_of(query) not in self._trusted:
            raise forbidden("Only documents that are known are served here.")

    def _known(self, name: str) -> str:
        found = self._trusted.get(name) or self._remembered.get(name)
        if found is None:
            raise RequestError("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound")
        return found

    def _remember(self, name: str, query: str) -> None:
        if name in self._trusted or name in self._remembered:
            return
        self._remembered[name] = query
        self._characters += len(query)
        while self._characters > REMEMBERED_CHARACTERS:
            self._characters -= len(self._remembered.popitem(last=False)[1])


def filled(parameters: Any, documents: Documents) -> Any:
    """The parameters of a request with the text of the document that they name; as they are if they name none, or none
    that is known."""
    if not isinstance(parameters, dict) or not isinstance(parameters.get("extensions"), dict):
        return parameters
    query = parameters.get("query")
    with suppress(RequestError):
        if isinstance(query, str | None):
            return parameters | {"query": documents.text_of(query, parameters["extensions"])}
    return parameters


def hash_of(text: str) -> str:
    """The SHA-256 of a document's text, in hex, as clients name it."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _hash_in(named: object) -> str:
    name = named.get("sha256Hash") if isinstance(named, dict) and named.get("version") == 1 else None
    if not isinstance(name, str):
        raise bad_input("`persistedQuery` is {version: 1, sha256Hash: ...}.")
    return name.lower().removeprefix(_ALGORITHM)


def read(manifest: Path) -> dict[str, str]:
    """A manifest: an object from hash to text, as code generators write it; empty if there is none. Raises
    BadDocumentError."""
    if not manifest.exists():
        return {}
    try:
        found = orjson.loads(manifest.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise BadDocumentError(f"{manifest}: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise BadDocumentError(f"{manifest}: not an object from hash to text")
    found = {name.removeprefix(_ALGORITHM): text for name, text in found.items()}
    for name, text in found.items():
        if hash_of(text) != name:
            raise BadDocumentError(f"{manifest}: {name} is not the SHA-256 of its document")
    return found


def add(schema: GraphQLSchema, manifest: Path, files: Sequence[Path]) -> dict[str, Path]:
    """Trust the document of each file, or all of another manifest (`.json`); gives hash and file of each. All or none,
    idempotent. Raises BadDocumentError for a file that cannot be read, or whose document would be refused."""
    trusted, added = read(manifest), dict[str, Path]()
    judge = judge_by(RULES)
    for file in files:
        for name, text in _documents_in(file).items():
            try:
                mistakes = judge(schema, parse(text, max_tokens=TOKENS))
            except GraphQLError as error:
                mistakes = [error]
            if mistakes:
                raise BadDocumentError(f"{file}: {mistakes[0].message}")
            trusted[name], added[name] = text, file
    draft = manifest.with_name(f"{manifest.name}.{os.getpid()}")
    draft.write_text(json.dumps(trusted, indent=1, sort_keys=True) + "\n")
    draft.replace(manifest)
    return added


def _documents_in(file: Path) -> dict[str, str]:
    if file.suffix == ".json":
        return read(file)
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadDocumentError(f"{file}: {error}") from error
    return {hash_of(text): text}
