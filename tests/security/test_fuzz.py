"""What a fuzzer makes of the schema is never answered with a fault of ours; `make fuzz` tries longer, and as nobody."""

from pathlib import Path

from tests.perch import Perch
from tests.security.fuzz import run


async def test_the_fuzzer_finds_nothing(perch: Perch, tmp_path: Path) -> None:
    code, report = await run(perch, tmp_path, 1, 7, (await perch.person()).token)
    assert code == 0, report
    assert "No issues found" in report
