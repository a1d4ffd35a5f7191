"""A page of the documents as a story: its GraphQL blocks in order, with variables and with what must come back. Runs
nothing and knows no server.

In a fence, `graphql` begins an operation, and `json request` one that is sent as it stands; `json variables` and
`json answer` belong to the one before, `json event` to the newest subscription. `graphql file=...` is for whoever
writes files. Who asks stands behind `graphql`: `as NAME` is somebody of the demo world, `with TOKEN` whoever has the
token that an earlier answer called `<TOKEN>`. In an answer "..." stands for anything but null, at the end of a list for
any rest of it, and "<name>" for what is called so from then on.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

FENCE = re.compile(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"<(\w+)>")
ANYTHING = "..."
Names = dict[str, Any]


@dataclass(slots=True)
class Step:
    """One operation. `answer` is None where the page shows none."""

    query: str
    asker: str = ""
    variables: Any = field(default_factory=dict)
    answer: Any = None
    request: Any = None

    @property
    def is_write(self) -> bool:
        return self.query.lstrip().startswith("mutation")

    @property
    def is_live(self) -> bool:
        return self.query.lstrip().startswith("subscription")


@dataclass(slots=True)
class Event:
    """What the page's open subscription must give next."""

    expected: Any


def steps(page: str) -> Iterator[Step | Event]:
    """The operations of a page in order, and between them the events that must have come by then."""
    step: Step | None = None
    for language, info, body in FENCE.findall(page):
        begins = language == "graphql" and not info.startswith("file=")
        if step and (begins or info in ("event", "request")):
            yield step
            step = None
        if begins:
            step = Step(body, info)
        elif language == "json" and info == "request":
            step = Step("", request=json.loads(body))
        elif language == "json" and info == "event":
            yield Event(json.loads(body))
        elif language == "json" and info and not info.startswith("file="):
            assert step, f"`json {info}` has no operation before it"
            assert info in ("variables", "answer"), info
            setattr(step, info, json.loads(body))
    if step:
        yield step


def filled(value: Any, named: Names) -> Any:
    """The value with each "<name>" replaced by what is called so; a KeyError if nothing is."""
    if isinstance(value, str):
        whole = NAME.fullmatch(value)
        return named[whole[1]] if whole else NAME.sub(lambda found: str(named[found[1]]), value)
    if isinstance(value, dict):
        return {key: filled(one, named) for key, one in value.items()}
    return [filled(one, named) for one in value] if isinstance(value, list) else value


def difference(expected: Any, found: Any, named: Names, at: str = "answer", whole: bool = True) -> str:
    """Where the two differ, in words; empty if they do not. Learns names. Without `whole` more keys may be found."""
    if expected == ANYTHING:
        return "" if found is not None else f"{at}: null"
    if isinstance(expected, str) and (name := NAME.fullmatch(expected)) and name[1] not in named:
        named[name[1]] = found
        return "" if found is not None else f"{at}: null"
    if isinstance(expected, dict) and isinstance(found, dict):
        if expected.keys() - found.keys() or (whole and found.keys() - expected.keys()):
            return f"{at}: {sorted(found)} and not {sorted(expected)}"
        parts = [(expected[key], found[key], f"{at}.{key}") for key in expected]
    elif isinstance(expected, list) and isinstance(found, list):
        more = expected[-1:] == [ANYTHING]
        if len(found) < len(expected) - more or (len(found) > len(expected) and not more):
            return f"{at}: {len(found)} and not {len(expected)}"
        parts = [(one, other, f"{at}[{n}]") for n, (one, other) in enumerate(zip(expected, found, strict=False))]
    else:
        wanted = filled(expected, named)
        return "" if wanted == found else f"{at}: {found!r} and not {wanted!r}"
    return next((told for one in parts if (told := difference(*one[:2], named, one[2], whole))), "")


def answers(expected: Any, body: Any, named: Names) -> str:
    """As `difference` for a whole answer: data to the last field, of errors and extensions what is expected."""
    if "errors" in body and "errors" not in expected:
        return f"errors: {body['errors']}"
    data = difference(expected.get("data"), body.get("data"), named, "data")
    return data or difference({**expected, "data": ANYTHING}, {**body, "data": True}, named, "answer", whole=False)


def refusals(data: Any) -> list[Any]:
    """What the mutations of an answer refuse."""
    return [
        one for payload in (data or {}).values() if isinstance(payload, dict) for one in payload.get("errors") or ()
    ]
