"""Chooser: draws what happens next, by what a run is about. Carries nothing out."""

from collections.abc import Iterator
from random import Random

from tests.model.run import PROLIFIC, Choice, Run
from tests.model.world import PEOPLE

# How often each verb is chosen where a command could go on instead, by what a run is about. In `all`, each run leaves
# some out and doubles others (swarm testing: what is rare with all the rest around it becomes common).
_HANDED_ON = {"work": 30.0, "relay": 30.0, "deliver": 16.0}
THEMES: dict[str, dict[str, float]] = {
    "all": _HANDED_ON
    | {
        "post": 8,
        "reply": 2,
        "retweet": 3,
        "undo": 2,
        "delete": 3,
        "follow": 6,
        "unfollow": 5,
        "read": 10,
        "connect": 6,
    }
    | {"block": 1, "unblock": 1, "mute": 1, "unmute": 1, "quiet": 0.2}
    | {"crash": 2, "kill": 1, "lose": 3, "rewind": 1, "drop": 2, "reconnect": 1, "sweep": 3}
    | {"evict": 4, "lapse": 2, "flush": 1},
    "builds": _HANDED_ON
    | {"post": 16, "delete": 1, "follow": 3, "unfollow": 1, "read": 14, "connect": 2}
    | {"evict": 9, "lapse": 4, "flush": 1, "kill": 1, "sweep": 1},
    "roads": _HANDED_ON
    | {"post": 12, "retweet": 1, "delete": 3, "follow": 9, "unfollow": 8, "read": 8, "connect": 4}
    | {"lose": 3, "drop": 2, "sweep": 2, "evict": 1, "rewind": 0.5},
    "live": _HANDED_ON
    | {"post": 12, "retweet": 4, "undo": 3, "delete": 6, "follow": 4, "unfollow": 1, "block": 0.5, "mute": 0.5}
    | {
        "read": 3,
        "connect": 12,
        "crash": 6,
        "drop": 4,
        "reconnect": 2,
        "sweep": 4,
        "evict": 4,
        "flush": 0.5,
        "lose": 2,
    },
}
# What the one who reads most does most.
_OF_READERS = {"follow", "unfollow", "block", "mute", "unblock", "unmute", "read", "connect", "evict", "lapse"}
# What somebody asks for: not when so many are under way already, or each run would be long and of little at a time.
_ASKED = _OF_READERS - {"evict", "lapse"} | {"post", "reply", "retweet", "undo", "delete"}
CROWD = 6
# Without these nothing happens at all.
_NEEDED = {"post", "follow", "work", "relay", "read", "deliver"}
# Before these commands many are held up, by theme: what must not come between then has the time to.
_BUILDS: tuple[str, ...] = ("redis build",)
_ROADS: tuple[str, ...] = ("redis merge", "redis announce", "users.update_one", "follows.update_many")
_LIVE: tuple[str, ...] = ("redis deliver", "tweets.insert_one", "retweets.insert_one")
HELD = {"all": _BUILDS + _ROADS + _LIVE, "builds": _BUILDS, "roads": _ROADS, "live": _LIVE}
# What is evicted, by theme: the keys that it turns on.
EVICTED = {
    "all": ["tl", "tl", "on", "ev", "recent", "recent", "top on", "top ev"],
    "builds": ["tl", "tl", "tl", "recent"],
    "roads": ["tl", "recent", "recent", "top on", "top ev"],
    "live": ["tl", "tl", "tl", "on", "ev", "top ev"],
}
# A run ends with the first of these.
STEPS, CHOICES = 200, 600


class Chooser:
    """Draws what is possible now."""

    def __init__(self, rng: Random, run: Run) -> None:
        self._rng, self._run = rng, run
        swarm = run.theme == "all"
        self._weights = {
            verb: weight * (rng.choice([0, 1, 1, 3]) if swarm and verb not in _NEEDED else 1)
            for verb, weight in THEMES[run.theme].items()
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
                who = self._reader if verb in _OF_READERS and rng.random() < 0.6 else rng.randrange(PEOPLE)
                return self._choice(verb, f"{verb}{self._names}", who, rng.choice("ab"))

    def _step(self) -> Choice | None:
        """The next command of somebody who is not held up; now and then they are from here on."""
        rng = self._rng
        runnable = [one for one in self._run.scheduler.runnable() if self._paused.get(one.name, 0) < self._drawn]
        if not runnable:
            return None
        actor = rng.choice(runnable)
        which = rng.randrange(len(actor.waiting))
        held = actor.waiting[which][0].startswith(HELD[self._run.theme]) and actor.name not in self._paused
        if rng.random() < (0.4 if held else self._pauses):
            self._paused[actor.name] = self._drawn + rng.randrange(10, 120)
            return None
        return "step", actor.name, which

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
            return "read", name, process, who, rng.choice([1, 2, 3, 50]), rng.random() < 0.3
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
            return verb, rng.choice(EVICTED[self._run.theme]), who
        if verb == "lapse":
            return verb, who
        if verb == "sweep":
            return verb, name, process
        return (verb,) if verb == "quiet" else (verb, process)

    def __iter__(self) -> Iterator[Choice]:
        while self._run.scheduler.steps < STEPS and self._drawn < CHOICES:
            yield self.next()
