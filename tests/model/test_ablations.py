"""The model is not blind: with one of these rules taken out it finds a run that fails, and a short one."""

from collections.abc import Iterator
from itertools import chain

import pytest

from tests.model.ablations import ABLATIONS
from tests.model.schedules import Ablation, play, search, shrunk
from tests.model.world import Ground

FOUND = [ablation for ablation in ABLATIONS if ablation.seed is not None]
# Enough for a change elsewhere that gives every seed another run.
SCHEDULES = 200


@pytest.mark.parametrize("ablation", FOUND, ids=lambda ablation: ablation.rule)
def test_every_rule_is_needed(model_ground: Ground, ablation: Ablation) -> None:
    assert search(model_ground, seeds(ablation), ablation), f"nobody notices that this is gone: {ablation.rule}"


def test_a_failing_run_is_shrunk_to_a_few_choices(model_ground: Ground) -> None:
    ablation = next(one for one in FOUND if one.rule == "a rebuild raises the floor to its cut")
    failed = search(model_ground, seeds(ablation), ablation)
    assert failed
    short = shrunk(model_ground, failed, ablation)
    assert len(short.choices) <= len(failed.choices) / 2
    assert play(model_ground, short.seed, short.choices, ablation).failure


def seeds(ablation: Ablation) -> Iterator[int]:
    """First where it was found before."""
    return chain([ablation.seed or 0], range(SCHEDULES))
