"""The model: real rooms and scripts under random schedules hold what design and documents promise, at every step."""

import re

import pytest

from tests.model.schedules import Outcome, play, search, shrunk
from tests.model.world import Ground

SCHEDULES, PARTS = 500, 4


# In parts, so that the processes that run tests share them.
@pytest.mark.parametrize("part", range(PARTS))
def test_pages_and_live_clients_agree_with_the_documents_under_any_schedule(model_ground: Ground, part: int) -> None:
    failed = search(model_ground, range(part * SCHEDULES // PARTS, (part + 1) * SCHEDULES // PARTS))
    assert failed is None, shrunk(model_ground, failed).told()


def test_the_same_seed_gives_the_same_run(model_ground: Ground) -> None:
    for seed in range(5):
        assert nameless(play(model_ground, seed)) == nameless(play(model_ground, seed))


def test_a_run_can_be_repeated_from_its_choices(model_ground: Ground) -> None:
    made = play(model_ground, 7)
    assert nameless(play(model_ground, 7, made.choices)) == nameless(made)


def nameless(outcome: Outcome) -> list[str]:
    """The log without what differs from run to run: ids and tokens by the order of their first appearance, and no small
    numbers, for buckets are among them."""
    names: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        return names.setdefault(found[0], f"#{len(names)}")

    lines = (re.sub(r"\b\d{14,}\b|\b[0-9a-f]{16}\b", name, line) for line in outcome.log)
    return [re.sub(r"\b\d{1,2}\b", "", line) for line in lines]
