"""`python -m tests.model`: many schedules, until the last or until one cannot be played. Exits 1 if any failed.

python -m tests.model [--schedules 20000] [--seed N] [--jobs N]
"""

import argparse
import os
import secrets
import sys

from tests.model.many import play_many

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.model")
    parser.add_argument("--schedules", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=None, help="the first; random unless given")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    first = given.seed if given.seed is not None else secrets.randbelow(1_000_000_000)
    sys.exit(bool(play_many(given.schedules, first, min(given.jobs, given.schedules))))
