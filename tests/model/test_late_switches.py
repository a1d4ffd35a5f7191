"""Switches of roads by a worker that was taken for dead: it goes on after others have switched the author back."""

from collections.abc import Awaitable, Callable

from datastore.events import EventName
from tests.model.run import Run
from tests.model.schedules import NOTHING, opened
from tests.model.themes import BROAD
from tests.model.world import Ground, Size

# Three followers promote, one demotes.
SIZE = Size(kept=5, trim_at=6, events=9, top_events=9, threshold=2, batch=9, clients=1, crowd=0)
AUTHOR = 0


class Story:
    """A run told choice by choice: everybody but the one who is late comes to their end each time."""

    def __init__(self, run: Run) -> None:
        self.run, self.told = run, 0

    async def others(self, until: Callable[[], bool] = lambda: False) -> None:
        scheduler, conveyor = self.run.scheduler, self.run.conveyor
        while not (until() and not conveyor.batches):
            if runnable := [actor for actor in scheduler.runnable() if actor.name != "late"]:
                await scheduler.step(runnable[0])
            elif free := conveyor.free():
                await self.run.do_work(f"worker{scheduler.steps}", free[:1], 1)
            elif not conveyor.relay():
                return

    async def tell(self, verb: str, *people: int) -> None:
        for who in people:
            self.told += 1
            await self.run.do(("relate", verb, f"{verb}{self.told}", "a", who, AUTHOR))

    async def late(self, event: EventName, command: str) -> None:
        """A worker takes this event, is held up before that command, and is taken for dead."""
        queues = self.run.conveyor.queues
        await self.others(lambda: any(one.event.name == event for queue in queues for one in queue))
        await self.run.do(("work", "late", [0], 1))
        actor = self.run.scheduler.actors["late"]
        while not actor.waiting[0][0].startswith(command):
            await self.run.scheduler.step(actor)
        await self.run.do(("lose", "late", False))
        await self.others()

    async def end(self) -> None:
        """The late one goes on; then the author writes."""
        actor = self.run.scheduler.actors["late"]
        while actor.waiting:
            await self.run.scheduler.step(actor)
        await self.run.do(("post", "new", "a", AUTHOR, None))
        await self.others()
        await self.run.do(("quiet",))


def told(ground: Ground, story: Callable[[Story], Awaitable[None]]) -> None:
    async def tell() -> None:
        async with opened(ground, SIZE, BROAD["roads"], NOTHING) as run:
            # Whoever comes late reads before: their timeline is kept, and nobody rebuilds it.
            await run.do(("read", "before", "a", 3, 10, False))
            await Story(run).others()
            await story(Story(run))

    ground.loop.run_until_complete(tell())


def test_a_late_promotion_hides_nothing_from_those_who_followed_meanwhile(model_ground: Ground) -> None:
    async def story(it: Story) -> None:
        await it.tell("follow", 1, 2, 3)
        await it.late(EventName.USER_PROMOTED, "users.update_one")
        await it.tell("unfollow", 1, 2, 3)
        await it.others()
        await it.tell("follow", 3)
        await it.others()
        await it.end()

    told(model_ground, story)


def test_a_late_demotion_hides_nothing_when_others_have_promoted_again(model_ground: Ground) -> None:
    async def story(it: Story) -> None:
        await it.tell("follow", 1, 2, 3)
        await it.others()
        await it.tell("unfollow", 1, 2)
        await it.late(EventName.USER_DEMOTED, "follows.update_many")
        await it.tell("follow", 1, 2)
        await it.others()
        await it.end()

    told(model_ground, story)
