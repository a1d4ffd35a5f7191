"""The model is not blind: with any one rule taken out it finds a run that fails, and a short one."""

from itertools import chain

import pytest

from tests.model.ablations import ABLATIONS
from tests.model.schedules import Ablation, play, search, shrunk
from tests.model.world import Ground

# Enough for a change elsewhere that gives every seed another run.
SCHEDULES = 300


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda ablation: ablation.rule)
def test_every_rule_is_needed(model_ground: Ground, ablation: Ablation) -> None:
    # First where it was found before.
    seeds = chain([ablation.seed], range(SCHEDULES))
    assert search(model_ground, seeds, ablation), f"nobody notices that this is gone: {ablation.rule}"


def test_a_failing_run_is_shrunk_to_a_few_choices(model_ground: Ground) -> None:
    ablation = ABLATIONS[0]
    failed = search(model_ground, chain([ablation.seed], range(SCHEDULES)), ablation)
    assert failed
    short = shrunk(model_ground, failed, ablation)
    assert short.failure
    assert len(short.choices) <= len(failed.choices) / 2
    assert play(model_ground, short.seed, short.choices, ablation).failure
