"""Controls: a line of the product taken out, in a copy of the tree, and what its test then says. Edits nothing here."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent.parent
# What a copy shares with the tree it is of: made by make, and large.
SHARED = (".venv", "web/graphiql/dist", "web/client/dist", "web/graphiql/node_modules", "tests/node/node_modules")
# A test that waits for what never comes has said so by then.
HANGS_SECONDS = 280
# Without a protection the box may never be whole again: then a test need not wait for it as long as on a busy machine.
REPAIR = ("tests/faults/box.py", "REPAIR_SECONDS = 120", "REPAIR_SECONDS = 30")

# A file, a text that it holds once, and what stands there instead.
Edit = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Control:
    """A protection as a sentence; what takes it out; the test that must then fail, and a pattern of what it says.

    `test` is a test's id, or a command of this tree as `-m MODULE ...`."""

    rule: str
    test: str
    seen: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether the test failed as it must, and the line that says so; else the end of what it said."""

    bites: bool
    told: str
    seconds: float


def tried(control: Control) -> Outcome:
    """Run the control's test on a copy without the protection."""
    began = time.monotonic()
    with _copied() as folder:
        for path, old, new in (REPAIR, *control.edits):
            file = folder / path
            text = file.read_text()
            assert text.count(old) == 1, f"{path} has not once: {old}"
            file.write_text(text.replace(old, new))
        command = _command(control.test, folder)
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603  our own
    said = ended.stdout + ended.stderr
    found = [line for line in said.splitlines() if re.search(control.seen, line)]
    bites = ended.returncode == 1 and bool(found)
    told = found[0].strip() if bites else f"exit {ended.returncode}\n{said[-3000:]}"
    return Outcome(bites, told, time.monotonic() - began)


def _command(test: str, folder: Path) -> list[str]:
    if test.startswith("-m "):
        return [sys.executable, *test.split()]
    options = ["-q", "-x", "-p", "no:cacheprovider", "--timeout", str(HANGS_SECONDS), "--basetemp", str(folder / "tmp")]
    return [sys.executable, "-m", "pytest", *options, test]


@contextmanager
def _copied() -> Iterator[Path]:
    """What is tracked or could be, as it is now."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603  our own
    with TemporaryDirectory(prefix="perch-control-") as given:
        folder = Path(given)
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        for name in SHARED:
            if (ROOT / name).exists() and not (folder / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).symlink_to((ROOT / name).resolve())
        yield folder
