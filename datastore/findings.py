"""Findings: what a look at an installation tells an operator, and what to do about it. Asks no store by itself."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

# What one look may take: an installation that is ill answers slowly, and the others are still to be told.
LOOK_SECONDS = 5.0


_UNSEEN = "could not be looked at: "


class Verdict(StrEnum):
    """How it stands with one thing. `wrong` is what will lose or refuse something; `warning` what may."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found, in a line without any secret, and what to do, in another; nothing to do where all is well."""

    name: str
    verdict: Verdict
    told: str
    todo: str = ""


def ok(name: str, told: str) -> Finding:
    """All is well."""
    return Finding(name, Verdict.OK, told)


def warning(name: str, told: str, todo: str) -> Finding:
    """It works, and should be looked at."""
    return Finding(name, Verdict.WARNING, told, todo)


def wrong(name: str, told: str, todo: str) -> Finding:
    """It does not work, or will not for long."""
    return Finding(name, Verdict.WRONG, told, todo)


def graded(name: str, told: str, todo: str, *, is_wrong: bool = False, is_doubtful: bool = False) -> Finding:
    """The worst that holds."""
    if is_wrong:
        return wrong(name, told, todo)
    return warning(name, told, todo) if is_doubtful else ok(name, told)


Check = Callable[[], Awaitable[Finding]]


async def looked(checks: Mapping[str, Check]) -> list[Finding]:
    """What each check finds, in order. One that fails or hangs is a warning: whoever asks may lack a right to."""
    return [await _look(name, check) for name, check in checks.items()]


async def _look(name: str, check: Check) -> Finding:
    try:
        return await asyncio.wait_for(check(), LOOK_SECONDS)
    except Exception as error:
        return warning(name, f"{_UNSEEN}{type(error).__name__}", "let this user ask, or look by hand")


def reason(unseen: Finding) -> str:
    """Why it could not be looked at."""
    return unseen.told.removeprefix(_UNSEEN)


def clock(name: str, theirs_seconds: float, ours_seconds: float) -> Finding:
    """Ids are made of time, by each process from its own clock; leases and budgets use the stores'."""
    apart = abs(theirs_seconds - ours_seconds)
    todo = "run a time service (chrony) on every machine: ids, and so the order of tweets, are made of time"
    return graded(name, f"{apart:.1f} s apart from here", todo, is_wrong=apart > 10, is_doubtful=apart > 1)
