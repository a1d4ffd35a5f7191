"""Schedules: choices of a seed carried out, replayed, and shrunk to the few that are needed to fail."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from traceback import format_exception

from tests.model.aimed import AIMED
from tests.model.chooser import Chooser
from tests.model.client import CounterexampleError
from tests.model.run import Run
from tests.model.themes import BROAD, Choice, Theme
from tests.model.world import FIRST_MS, RUN_MS, Clock, Ground, LuaFolder, Patch, Size, size_of, small

THEMES = BROAD | AIMED


@dataclass(frozen=True)
class Ablation:
    """A rule taken out: `lua` are (script, line, what stands there instead), `python` are attributes replaced. `seed`
    is a run that fails without it, None as long as none was found."""

    rule: str
    # Where it is looked for; None: what the seed says.
    theme: str | None = None
    seed: int | None = None
    lua: tuple[tuple[str, str, str], ...] = ()
    python: tuple[Patch, ...] = ()


NOTHING = Ablation("nothing")


@dataclass
class Outcome:
    """How a run ended. `failure` is what did not hold, None if all did."""

    seed: int
    choices: list[Choice]
    failure: str | None = None
    steps: int = 0
    log: list[str] = field(default_factory=list)

    def told(self) -> str:
        """All that is needed to understand a failure and to see it again."""
        log = "\n".join(self.log)
        return (
            f"seed {self.seed}: {self.failure}\n{log}\n{len(self.choices)} choices; again: "
            f"python -m tests.model --schedules 1 --seed {self.seed}"
        )


def play(ground: Ground, seed: int, choices: Sequence[Choice] | None = None, without: Ablation = NOTHING) -> Outcome:
    """One run of a seed, or of choices that such a run made, up to its first failure."""
    return ground.loop.run_until_complete(_play(ground, seed, choices, without))


@asynccontextmanager
async def opened(ground: Ground, size: Size, theme: Theme, without: Ablation) -> AsyncIterator[Run]:
    """A world in which nothing has happened yet."""
    ground.runs += 1
    clock = Clock(FIRST_MS + ground.runs * RUN_MS)
    lua = LuaFolder(without.lua)
    lua.load(ground.line)
    with small(size, clock, lua, without.python):
        run = Run(ground, size, clock, theme)
        try:
            yield run
        finally:
            await run.end()


async def _play(ground: Ground, seed: int, choices: Sequence[Choice] | None, without: Ablation) -> Outcome:
    rng, outcome = Random(seed), Outcome(seed, [])
    # Half of the runs are broad.
    drawn = rng.choice(list(rng.choice([BROAD, AIMED])))
    theme = without.theme or drawn
    size = size_of(rng, THEMES[theme].sizes)
    async with opened(ground, size, THEMES[theme], without) as run:
        await run.plant(rng)
        try:
            for choice in choices if choices is not None else Chooser(rng, run):
                outcome.choices.append(choice)
                if not await run.do(choice):
                    outcome.choices.pop()
            await run.do(("quiet",))
        except Exception as error:
            outcome.failure = f"{type(error).__name__}: {error}"
            if not isinstance(error, CounterexampleError):
                run.scheduler.log.append("".join(format_exception(error)))
        outcome.steps, outcome.log = run.scheduler.steps, [f"{theme}, {size}", *run.scheduler.log]
    return outcome


def search(ground: Ground, seeds: Iterable[int], without: Ablation = NOTHING) -> Outcome | None:
    """The first run that fails, shrunk; None if none does."""
    for seed in seeds:
        outcome = play(ground, seed, without=without)
        if outcome.failure:
            return outcome
    return None


def shrunk(ground: Ground, failed: Outcome, without: Ablation = NOTHING) -> Outcome:
    """The same failure by fewer choices: stretches of them are left out, ever shorter ones, as long as it fails."""
    best, size = failed, max(len(failed.choices) // 2, 1)
    while True:
        at = 0
        while at < len(best.choices):
            tried = play(ground, failed.seed, best.choices[:at] + best.choices[at + size :], without)
            if tried.failure and len(tried.choices) < len(best.choices):
                best = tried
            else:
                at += size
        if size == 1:
            return best
        size //= 2
