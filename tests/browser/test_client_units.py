"""The web client's pure parts, by vitest: its timeline over random histories, and its counting beside the server's."""

import json
import os
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from datastore import rules
from datastore.errors import DomainError

CLIENT = Path(__file__).parents[2] / "web" / "client"

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="no Node"),
    pytest.mark.skipif(not (CLIENT / "node_modules").is_dir(), reason="the web client is not built: make client"),
]

# What NFC joins, takes apart and leaves alone: marks, Hangul in letters and in syllables, signs, pictures, line breaks.
ODD = [*"ab \n\u0301\u0327\u0308\u00e9\u1e69\u1100\u1161\u11a8\uac01\u0958\u2126\ufb01\u200d", "\U0001f426", "\r\n"]
# All that this Python knows to be assigned.
KNOWN = [one for one in map(chr, range(32, 0x20000)) if unicodedata.category(one) not in ("Cn", "Cs", "Cc", "Co")]


def counted(count: int, random: Random) -> Iterator[tuple[str, int]]:
    """Texts that the server takes, each with the length that it counts."""
    for _ in range(count):
        text = "".join(random.choices(random.choice((ODD, KNOWN)), k=random.randint(1, 30)))
        try:
            yield text, len(rules.tweet_text(text))
        except DomainError:
            continue


def node(program: str, *arguments: str, **variables: str) -> None:
    """Runs a program of the client's packages, which must have nothing to complain of."""
    run = ("node", f"node_modules/{program}", *arguments)
    env = os.environ | variables
    done = subprocess.run(run, cwd=CLIENT, env=env, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_the_client_counts_as_the_server_does_and_joins_pages_and_events_without_a_gap() -> None:
    lengths = list(counted(500, Random(7)))
    assert sum(length != len(text) for text, length in lengths) > 100
    node("vitest/vitest.mjs", "run", "--reporter=dot", VITE_COUNTED=json.dumps(lengths))


def test_the_sources_are_in_one_style() -> None:
    node("prettier/bin/prettier.cjs", "--check", ".")


def test_the_lock_file_holds_no_download_address() -> None:
    assert '"resolved"' not in (CLIENT / "package-lock.json").read_text()
