"""Run: one schedule, choice by choice: the stage as it was planted, and all that can be done on it."""

from random import Random

from tests.model.people import People
from tests.model.quiet import Quiet
from tests.model.themes import PROLIFIC, Choice


class Run(People, Quiet):
    """The stage under the hands of whoever chooses."""

    async def plant(self, rng: Random) -> None:
        """Some follows and tweets from before, all handled."""
        services, people = self.processes["a"].services, self.world.people
        dense = rng.choice(self.theme.dense)
        for follower in people:
            for author in people:
                if follower != author and rng.random() < dense:
                    await services.follows.add(follower, author, self.clock.ms)
        for number in range(rng.choice([0, 3, 8])):
            self.clock.ms += 1
            author = people[PROLIFIC] if rng.random() < 0.6 else rng.choice(people)
            self.tweets[f"old{number}"] = await services.tweets.add(author, "old", self.clock.ms)
        if rng.random() < self.theme.promoted:
            for one in self.world.crowd:
                await services.follows.add(one, people[PROLIFIC], self.clock.ms)
            await self.world.worker_rooms.top_users.promote(people[PROLIFIC])
        self.conveyor.all_handled()

    async def do(self, choice: Choice) -> bool:
        """Carry a choice out, if it is possible now."""
        self.clock.ms += 1
        verb, *args = choice
        self.scheduler.log.append(f"* {' '.join(map(str, choice))}" if verb != "step" else "")
        if await getattr(self, f"do_{verb}")(*args) is False:
            self.scheduler.log.pop()
            return False
        await self.scheduler.idle()
        for error in self.scheduler.errors:
            raise error
        return True

    async def end(self) -> None:
        """Nobody is under way any more."""
        for actor in list(self.scheduler.actors.values()):
            await self.scheduler.cancel(actor, orphans_too=True)
