"""Chooser: draws what happens next, by what a run is about. Carries nothing out."""

from collections.abc import Iterator
from random import Random

from tests.model.run import Run
from tests.model.themes import PROLIFIC, Choice
from tests.model.world import PEOPLE

# What the one who reads most does most.
_OF_READERS = {"follow", "unfollow", "block", "mute", "unblock", "unmute", "read", "connect", "evict", "lapse"}
# What somebody asks for: not when so many are under way already, or each run would be long and of little at a time.
_ASKED = _OF_READERS - {"evict", "lapse"} | {"post", "reply", "retweet", "undo", "delete"}
CROWD = 6
# Without these nothing happens at all.
_NEEDED = {"post", "follow", "work", "relay", "read", "deliver"}
# A run ends after so many choices, if not after its theme's steps.
CHOICES = 600


class Chooser:
    """Draws what is possible now."""

    def __init__(self, rng: Random, run: Run) -> None:
        self._rng, self._run = rng, run
        self._theme = run.theme
        self._weights = {
            verb: weight * (rng.choice([0, 1, 1, 3]) if self._theme.swarm and verb not in _NEEDED else 1)
            for verb, weight in self._theme.weights.items()
        }
        # How much of the time commands go on rather than new things begin.
        self._going_on = rng.choice([0.5, 0.7, 0.8])
        # One person reads most, and is most of what goes wrong: what meets on one timeline is what matters.
        self._reader = rng.randrange(len(run.clients))
        # How often somebody is held up between two commands, for so long that much happens meanwhile.
        self._pauses = rng.choice([0.03, 0.1, 0.2])
        self._paused: dict[str, int] = {}
        self._names = self._drawn = 0

    def next(self) -> Choice:
        """A choice; it may turn out to be impossible."""
        rng = self._rng
        verbs, weights = list(self._weights), list(self._weights.values())
        while True:
            self._drawn += 1
            if rng.random() < self._going_on:
                if step := self._step():
                    return step
                continue
            verb = rng.choices(verbs, weights)[0]
            # What is impossible now is not made up for by the others: faults would be all that is left in a crowd.
            if self._possible(verb):
                self._names += 1
                return self._choice(verb, f"{verb}{self._names}", self._who(verb), rng.choice("ab"))

    def _who(self, verb: str) -> int:
        rng = self._rng
        if verb in _OF_READERS and rng.random() < self._theme.focus:
            return self._reader
        return PROLIFIC if verb == "post" and rng.random() < self._theme.prolific else rng.randrange(PEOPLE)

    def _step(self) -> Choice | None:
        """The next command of somebody who is not held up; now and then they are from here on."""
        rng = self._rng
        runnable = [one for one in self._run.scheduler.runnable() if self._paused.get(one.name, 0) < self._drawn]
        if not runnable:
            return None
        actor = rng.choice(runnable)
        which = rng.randrange(len(actor.waiting))
        held = actor.waiting[which][0].startswith(self._theme.held) and actor.name not in self._paused
        if rng.random() < (0.4 if held else self._pauses):
            self._hold_up(actor.name)
            return None
        return "step", actor.name, which

    def _hold_up(self, name: str) -> None:
        self._paused[name] = self._drawn + self._rng.randrange(10, 120)

    def _possible(self, verb: str) -> bool:
        """Whether it is worth a choice now."""
        run, conveyor = self._run, self._run.conveyor
        if verb in _ASKED and len(run.scheduler.actors) > CROWD:
            return False
        if verb in ("deliver", "drop", "reconnect"):
            return any(process.messages for process in run.processes.values())
        if verb == "relay":
            return conveyor.relayed < len(conveyor.log)
        if verb == "work":
            return bool(conveyor.free())
        if verb == "crowd":
            return bool(run.world.crowd)
        if verb in ("lose", "crash"):
            return bool(conveyor.batches if verb == "lose" else run.scheduler.actors)
        return verb not in ("reply", "retweet", "undo", "delete") or bool(run.tweets)

    def _choice(self, verb: str, name: str, who: int, process: str) -> Choice:
        rng = self._rng
        tweets = list(self._run.tweets)
        if verb in ("post", "reply"):
            return "post", name, process, who, rng.choice(tweets) if verb == "reply" else None
        if verb in ("retweet", "undo", "delete"):
            return "change", verb, name, process, who, rng.choice(tweets)
        if verb in ("follow", "unfollow", "block", "unblock", "mute", "unmute"):
            # Whom many follow and who wrote most, if it is not they who follow.
            whom = PROLIFIC if rng.random() < 0.5 else rng.randrange(PEOPLE)
            return "relate", verb, name, process, who, whom if whom != who else (who + 1) % PEOPLE
        if verb == "read":
            return "read", name, process, who, rng.choice([1, 2, 3, 50]), rng.random() < self._theme.live_reads
        if verb == "connect":
            who %= len(self._run.clients)
            return "connect", f"live{who}-{name}", process, who
        return self._of_machines(verb, name, who, process)

    def _of_machines(self, verb: str, name: str, who: int, process: str) -> Choice:
        rng = self._rng
        actors = list(self._run.scheduler.actors) or ["none"]
        if verb == "work":
            return "work", name, rng.choice([[0], [1], [0, 1], [1, 0]]), rng.choice([1, 1, 2, 4])
        if verb in ("relay", "rewind", "flush"):
            return verb, rng.choice([1, 1, 2, 3])
        if verb == "crash":
            # Batches die by their worker, and what a sweep or a match does is the process's own.
            asked = [one for one in actors if not one.startswith(("work", "sweep", "match", "drain"))]
            return verb, rng.choice(asked or ["none"])
        if verb == "lose":
            return verb, rng.choice(list(self._run.conveyor.batches) or ["none"]), rng.random() < 0.5
        if verb == "evict":
            return verb, rng.choice(self._theme.evicted), who
        if verb == "crowd":
            return verb, PROLIFIC if rng.random() < 0.9 else who, rng.random() < 0.5
        if verb == "lapse":
            return verb, who
        if verb == "sweep":
            return verb, name, process
        return (verb,) if verb == "quiet" else (verb, process)

    def __iter__(self) -> Iterator[Choice]:
        for choice in self._theme.opening:
            yield choice
            if choice[0] == "hold":
                self._hold_up(choice[1])
        end = self._run.scheduler.steps + self._rng.choice(self._theme.steps)
        while self._run.scheduler.steps < end and self._drawn < CHOICES:
            yield self.next()
