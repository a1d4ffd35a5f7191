"""Stages: how old new entries were at each stage of their way, as the processes of an installation tell by their
metrics. Asks them, and changes nothing.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

import httpx

# As perch_entry_age_seconds names them, in the order in which an entry comes to them.
STAGES = ("relayed", "taken", "shown")
_LINE = re.compile(
    r'^perch_entry_age_seconds_(sum|count|bucket)\{(?:le="([^"]+)",)?stage="(\w+)"\} (\S+)$', re.MULTILINE
)
# (stage, "sum", "count" or the upper end of a bucket) -> so far.
Ages = Mapping[tuple[str, str], float]


async def ages(urls: Iterable[str]) -> Ages:
    """What these processes have counted so far, added up."""
    found: Counter[tuple[str, str]] = Counter()
    async with httpx.AsyncClient() as http:
        for url in urls:
            text = (await http.get(f"{url}/metrics")).text
            for kind, upper, stage, value in _LINE.findall(text):
                found[stage, upper or kind] += float(value)  # type: ignore[assignment]
    return found


def told(before: Ages, after: Ages) -> str:
    """Of what came in between: the mean of each stage, and below what 99 of 100 lie."""
    grown = {key: value - before.get(key, 0) for key, value in after.items()}
    return ", ".join(_told(stage, grown) for stage in STAGES if grown.get((stage, "count")))


def _told(stage: str, grown: Mapping[tuple[str, str], float]) -> str:
    count = grown[stage, "count"]
    uppers = sorted(
        (float(upper), below) for (of, upper), below in grown.items() if of == stage and upper not in ("sum", "count")
    )
    p99 = next(upper for upper, below in uppers if below >= 0.99 * count)
    return f"{stage} {1000 * grown[stage, 'sum'] / count:.0f} ms (99 of 100 below {1000 * p99:.0f})"
