"""Rules: the protections of docs/faults.md, each with what takes it out. Texts of other files: they change together."""

from tests.controls.live import LIVE
from tests.controls.pipeline import PIPELINE
from tests.controls.requests import REQUESTS

CONTROLS = (*PIPELINE, *REQUESTS, *LIVE)
