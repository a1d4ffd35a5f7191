"""How two people stand is the same whether it is asked edge by edge or for many at once."""

import random

import pytest

from datastore.blocks import Blocks
from datastore.mongo import Mongo
from datastore.records import Hiding, Regard

VIEWERS, OTHERS = range(1, 13), range(8, 20)


@pytest.mark.parametrize("seed", range(5))
async def test_many_viewers_are_told_of_others_what_each_is_told_alone(mongo: Mongo, seed: int) -> None:
    blocks, chance = Blocks(mongo), random.Random(seed)
    for _ in range(60):
        one, other = chance.sample(range(1, 20), 2)
        await blocks.add(one, chance.choice([Hiding.BLOCK, Hiding.MUTE]), other, 0)
    viewers, others = chance.sample(VIEWERS, 8), chance.sample(OTHERS, 8)
    pairs = [(viewer, other) for viewer in viewers for other in others]
    told = await blocks.find_regards_of_many(viewers, others).alone()
    assert told == await blocks.regards_between(pairs)
    assert {*told.values()} > {Regard(blocks=True, mutes=False, blocked_by=False)}
    assert {*told} < {*pairs}
