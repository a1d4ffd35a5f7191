"""A text is made once for all whom it fits, and once for each where it says who asked, though nobody has to wait."""

from typing import Any, cast

import pytest

from datastore.records import Resync, ResyncReason
from resolvers.audience import Scene
from resolvers.context import Context
from schema.plans import Plan, Text, text_of
from tests.perch import Perch


class Said:
    """A plan whose document needs no wait. `personal`: it shows who asks."""

    def __init__(self, personal: bool) -> None:
        self.personal, self.runs = personal, 0

    def text(self, context: Any, _: object) -> Text:
        self.runs += 1
        shown = f"for {context.viewer_id}" if self.personal else "for everybody"
        return Text((shown.encode(),), context.asked, 1)


@pytest.mark.parametrize(
    ("personal", "shown", "runs"),
    [(True, [b"for 1", b"for 2", b"for 1"], 3), (False, [b"for everybody"] * 3, 1)],
)
async def test_what_needs_no_wait_is_shared_unless_it_says_who_asked(
    perch: Perch, personal: bool, shown: list[bytes], runs: int
) -> None:
    services = perch.endpoint._services
    said, scene = Said(personal), Scene(services.loaders())
    event = Resync("", ResyncReason.STATE_LOST)
    texts = [
        text_of(cast(Plan, said), Context(services, "127.0.0.1", viewer_id=viewer), event, scene)
        for viewer in (1, 2, 1)
    ]
    assert [text.parts[0] for text in texts if isinstance(text, Text)] == shown
    assert said.runs == runs
