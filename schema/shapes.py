"""Shapes: how the values below a field are read and completed, worked out once for a document and kept with it. Tells
no error: whatever is not as it should be is raised as it comes, and graphql-core says it properly (schema/executor.py).
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from itertools import count
from operator import attrgetter
from types import GeneratorType
from typing import Any, cast

from graphql import (
    FieldNode,
    GraphQLBoolean,
    GraphQLField,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLString,
    Undefined,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)
from graphql.execution.values import get_argument_values
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from datastore.records import Tweet, User

Read = Callable[[Any], Any]
# Completes a value for an answer.
Complete = Callable[[Any, "Reading"], Any]
# Values of these types are what their completion would give.
_AS_THEY_ARE: dict[Any, type] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool}
_INTEGERS = range(-(2**31), 2**31)
# Records that come from copies which a process keeps for a moment: the same one is shown to many.
_SHOWN_AGAIN = (Tweet, User)
# Each some 500 bytes: as many as make a few hundred pages.
KEPT_ANSWERS = 5_000
# A name for each shape that nobody had before.
_SHAPES = count()
# By type: whether its values may have to be awaited.
_WAITS: dict[type, bool] = {}


class Unshaped(Exception):
    """A value or a document for graphql-core."""


class Site:
    """A field where it stands in a document: what every value that it gives has in common."""

    __slots__ = ("details", "field", "parent")

    def __init__(self, parent: GraphQLObjectType, field: GraphQLField, details: Any) -> None:
        self.parent, self.field, self.details = parent, field, details

    @property
    def node(self) -> FieldNode:
        return cast(FieldNode, self.details[0].node)


class Kept:
    """What shapes made of the records that were shown last, as far as it depends on the record alone: whoever is shown
    the very same record again is shown the same. The oldest go first."""

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        # By shape and record. The record is held, so that no other one can take its identity.
        # NOTE: ordered, since a plain dict has to look for its oldest key behind all that were taken away before.
        self._answers: OrderedDict[tuple[int, int], tuple[Any, dict[str, Any]]] = OrderedDict()

    def get(self, shape: int, record: Any) -> dict[str, Any] | None:
        """Not to be written to."""
        found = self._answers.get((shape, id(record)))
        return found[1] if found else None

    def put(self, shape: int, record: Any, answer: dict[str, Any]) -> None:
        self._answers[shape, id(record)] = record, answer
        if len(self._answers) > KEPT_ANSWERS:
            self._answers.popitem(last=False)


class Reading:
    """One use of a shape: what its fields share, and what is still to be waited for."""

    __slots__ = ("_arguments", "_infos", "_raw", "executor", "kept", "objects", "waiting")

    def __init__(self, executor: Any, kept: "Kept") -> None:
        self.executor = executor
        # (what to wait for, how to complete it, the object it belongs to, under which name)
        self.waiting: list[tuple[Awaitable[Any], Complete, dict[str, Any], str]] = []
        # How many objects it has made.
        self.objects = 0
        self._infos: dict[Site, Any] = {}
        self._raw: dict[Site, GraphQLResolveInfo[Any]] = {}
        self.kept = kept
        self._arguments: dict[Site, dict[str, Any]] = {}

    def drop(self) -> None:
        """Let go of what nobody waits for any more."""
        for awaitable, *_ in self.waiting:
            end = getattr(awaitable, "close", None) or getattr(awaitable, "cancel", None)
            if end:
                end()

    def raw(self, site: Site) -> GraphQLResolveInfo[Any]:
        """What graphql-core tells a resolver. NOTE: but for the path: one of all values has none, and a resolver that
        asks for it fails here, and is asked again by graphql-core."""
        found = self._raw.get(site)
        if found is None:
            nodes = [one.node for one in site.details]
            found = self._raw[site] = self.executor.build_resolve_info(site.field, nodes, site.parent, None)
        return found

    def info(self, site: Site, definition: StrawberryField) -> Info[Any, Any]:
        """The same as Strawberry tells it."""
        found = self._infos.get(site)
        if found is None:
            found = self._infos[site] = Info(_raw_info=self.raw(site), _field=definition)
        return cast("Info[Any, Any]", found)

    def arguments(self, site: Site) -> dict[str, Any]:
        """The field's arguments."""
        found = self._arguments.get(site)
        if found is None:
            executor = self.executor
            values = executor.variable_values
            found = get_argument_values(site.field, site.node, values, None, executor.hide_suggestions)
            self._arguments[site] = found
        return found


def waits(value: Any) -> bool:
    """Whether it has to be awaited."""
    kind = type(value)
    found = _WAITS.get(kind)
    if found is None:
        found = hasattr(value, "__await__") or isinstance(value, GeneratorType)
        _WAITS[kind] = found
    return found


def completion(type_: GraphQLOutputType, site: Site) -> Complete:
    """How a value of this type is completed, where the field stands there. Raises Unshaped."""
    if any(one.fragment_variable_values for one in site.details):
        raise Unshaped
    if not is_non_null_type(type_):
        complete = _present(type_, site)
        return lambda value, reading: None if value is None else complete(value, reading)
    # Which refuses what is not there.
    return _present(type_.of_type, site)


def _present(type_: Any, site: Site) -> Complete:
    """How a value that is there is completed; None is refused."""
    if is_list_type(type_):
        return _list(completion(type_.of_type, site))
    if is_leaf_type(type_):
        return _leaf_value(type_)
    if is_abstract_type(type_):
        return _abstract(type_, site)
    return _object(type_, site)


def _leaf_value(type_: Any) -> Complete:
    as_it_is, read = _AS_THEY_ARE.get(type_), _leaf(type_, lambda value: value, False)
    return lambda value, _: value if type(value) is as_it_is else read(value)


def _list(item: Complete) -> Complete:
    def complete(value: Any, reading: Reading) -> Any:
        if type(value) is not list and type(value) is not tuple:
            raise Unshaped
        return [item(one, reading) for one in value]

    return complete


def _abstract(type_: Any, site: Site) -> Complete:
    known: dict[str, Complete] = {}

    def complete(value: Any, reading: Reading) -> Any:
        if value is None:
            raise Unshaped
        executor = reading.executor
        name = (type_.resolve_type or executor.type_resolver)(value, reading.raw(site), type_)
        if not isinstance(name, str):
            raise Unshaped
        if name not in known:
            details = site.details
            found = executor.ensure_valid_runtime_type(name, type_, details, reading.raw(site), value)
            known[name] = _object(found, site)
        return known[name](value, reading)

    return complete


def _object(type_: GraphQLObjectType, site: Site) -> Complete:
    """Its fields are looked at when the first such value comes."""
    is_type_of: Any = type_.is_type_of
    steps: list[tuple[str, Read | None, Any]] = []
    # Those that want more than their parent.
    others: list[tuple[str, Any]] = []
    shape = next(_SHAPES)

    def complete(value: Any, reading: Reading) -> dict[str, Any]:
        if value is None:
            raise Unshaped
        reading.objects += 1
        again = type(value) in _SHOWN_AGAIN
        known = reading.kept.get(shape, value) if again else None
        answer = made(value, reading) if known is None else known
        if again and known is None:
            reading.kept.put(shape, value, answer)
        if not others:
            return answer
        answer = answer.copy() if again else answer
        for name, take in others:
            answer[name] = take(value, reading, answer)
        return answer

    def made(value: Any, reading: Reading) -> dict[str, Any]:
        """What is plain, and in their places nothing for the others."""
        if is_type_of:
            if is_type_of(value, reading.raw(site)) is not True:
                raise Unshaped
        elif waits(value) or value is Undefined:
            raise Unshaped
        if isinstance(value, Exception):
            raise value
        if not steps:
            steps.extend(_steps(type_, site, reading))
            others.extend((name, take) for name, read, take in steps if not read)
        return {name: read(value) if read else None for name, read, _ in steps}

    return complete


def _steps(type_: GraphQLObjectType, site: Site, reading: Reading) -> list[tuple[str, Read | None, Any]]:
    """(name in the answer, how it is read if it is plain, else how it is taken), in the order of the document."""
    executor = reading.executor
    collected = executor.collect_subfields(type_, site.details)
    if collected.new_defer_usages:
        raise Unshaped
    found: list[tuple[str, Read | None, Any]] = []
    for name, details in collected.grouped_field_set.items():
        field = executor.schema.get_field(type_, details[0].node.name.value)
        if field is None:
            raise Unshaped
        read = plain(type_, field, details[0].node.name.value)
        found.append((name, read, None if read else _taken(name, Site(type_, field, details))))
    return found


def _taken(name: str, site: Site) -> Callable[[Any, Reading, dict[str, Any]], Any]:
    """What resolves a field of an object and completes what that gives: now, or once it has been waited for."""
    resolve = _resolution(site)
    complete = completion(site.field.type, site)

    def take(source: Any, reading: Reading, answer: dict[str, Any]) -> Any:
        value = resolve(source, reading)
        if waits(value):
            reading.waiting.append((value, complete, answer, name))
            return None
        return complete(value, reading)

    return take


def _resolution(site: Site) -> Callable[[Any, Reading], Any]:
    """How a field is resolved: by the function behind it, where that wants no arguments, else by Strawberry."""
    field = site.field
    definition = (field.extensions or {}).get("strawberry-definition")
    if isinstance(definition, StrawberryField) and not field.args and not definition.extensions:
        resolver = definition.base_resolver
        if resolver is None:
            get = attrgetter(definition.python_name)
            return lambda source, _: get(source)
        function: Any = resolver.wrapped_func
        wanted = [*resolver.signature.parameters]
        parent, info = resolver.parent_parameter, resolver.info_parameter
        if parent and info and wanted == [parent.name, info.name]:
            return lambda source, reading: function(source, reading.info(site, definition))
        if parent and wanted == [parent.name]:
            return lambda source, _: function(source)

    def resolve(source: Any, reading: Reading) -> Any:
        found = field.resolve or reading.executor.field_resolver
        return found(source, reading.raw(site), **reading.arguments(site))

    return resolve


def plain(type_: GraphQLObjectType, field: GraphQLField, name: str) -> Read | None:
    """What gives the completed value of a field that is a leaf, takes no argument and wants nothing but its parent;
    None for any other. Raises for whatever graphql-core has to complain about."""
    if name == "__typename":
        return lambda _: type_.name
    nullable = not is_non_null_type(field.type)
    leaf = field.type if nullable else field.type.of_type  # type: ignore[union-attr]
    definition = (field.extensions or {}).get("strawberry-definition")
    if not is_leaf_type(leaf) or not isinstance(definition, StrawberryField) or field.args or definition.extensions:
        return None
    get = _getter(definition)
    return _leaf(leaf, get, nullable) if get else None


def _leaf(leaf: GraphQLLeafType, get: Read, nullable: bool) -> Read:
    as_it_is = _AS_THEY_ARE.get(leaf)
    complete = leaf.coerce_output_value
    integer = leaf is GraphQLInt

    def read(source: Any) -> Any:
        value = get(source)
        if type(value) is as_it_is or (integer and type(value) is int and value in _INTEGERS):
            return value
        if value is None:
            if nullable:
                return None
            raise Unshaped
        completed = complete(value)
        # Nor may graphql-core's executor be told so by a value: an exception or something to be awaited.
        if completed is None or completed is Undefined or isinstance(value, Exception):
            raise Unshaped
        return completed

    return read


def _getter(definition: StrawberryField) -> Read | None:
    resolver = definition.base_resolver
    if resolver is None:
        return attrgetter(definition.python_name)
    parent = resolver.parent_parameter
    alone = parent is not None and [*resolver.signature.parameters] == [parent.name]
    return cast("Read", resolver.wrapped_func) if alone and not resolver.is_async else None
