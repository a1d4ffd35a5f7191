"""`python -m tests.controls [WORD ...]`: each protection whose sentence has one of the words is taken out in turn, and
its test must fail. Exit code 1 if any test does not notice."""

import sys

from tests.controls.control import tried
from tests.controls.rules import CONTROLS


def main(words: list[str]) -> int:
    """The exit code; a line for each control as it ends."""
    chosen = [one for one in CONTROLS if not words or any(word in one.rule for word in words)]
    unnoticed = 0
    for one in chosen:
        outcome = tried(one)
        unnoticed += not outcome.bites
        print(f"{'seen' if outcome.bites else 'NOT SEEN'} in {outcome.seconds:.0f} s: {one.rule}\n    {outcome.told}")
        sys.stdout.flush()
    print(f"{len(chosen)} protections taken out, {unnoticed} not noticed")
    return int(unnoticed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
