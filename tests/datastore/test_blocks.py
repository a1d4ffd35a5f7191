"""How two people stand is the same whether it is asked for one or for many at once."""

import random

import pytest

from datastore.blocks import Blocks
from datastore.mongo import Mongo
from datastore.records import Hiding, Regard
from datastore.together import together

NEUTRAL = Regard(blocks=False, mutes=False, blocked_by=False)
VIEWERS, OTHERS = range(1, 13), range(8, 20)


@pytest.mark.parametrize("seed", range(5))
async def test_many_viewers_are_told_of_others_what_each_is_told_alone(mongo: Mongo, seed: int) -> None:
    blocks, chance = Blocks(mongo), random.Random(seed)
    edges: set[tuple[int, Hiding, int]] = set()
    for _ in range(60):
        one, other = chance.sample(range(1, 20), 2)
        edges.add((one, chance.choice([Hiding.BLOCK, Hiding.MUTE]), other))
    for edge in edges:
        await blocks.add(*edge, 0)

    def stands(viewer: int, other: int) -> Regard:
        block, mute = Hiding.BLOCK, Hiding.MUTE
        blocked_by = (other, block, viewer) in edges
        return Regard((viewer, block, other) in edges, (viewer, mute, other) in edges, blocked_by)

    pairs = [(viewer, other) for viewer in VIEWERS for other in OTHERS if chance.random() < 0.5]
    asked = [[pair for pair in pairs if pair[0] == viewer] for viewer in VIEWERS]
    each = await together(*map(blocks.find_regards, asked))
    told = {pair: regard for found in each for pair, regard in found.items()}
    assert told == {pair: stands(*pair) for pair in pairs if stands(*pair) != NEUTRAL}
    assert told == await blocks.regards_between(pairs)
    of_many = await blocks.find_regards_of_many(VIEWERS, OTHERS).alone()
    assert told == {pair: regard for pair, regard in of_many.items() if pair in pairs}
    assert {*told.values()} > {Regard(blocks=True, mutes=False, blocked_by=False)}
    assert {*told} < {*pairs}
