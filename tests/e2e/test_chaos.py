"""Every part of a plant killed once, in an order that the dice choose; `make chaos` is longer."""

import random
import sys
import tempfile
from pathlib import Path

from tests.chaos import run

# A part of the whole ladder, which `make chaos` presses.
LADDER = """
[[tier]]
name = "ogg-160"
codec = "vorbis"
bitrate_kbps = 160

[[tier]]
name = "aac-128"
codec = "aac"
bitrate_kbps = 128

[[tier]]
name = "aac-256"
codec = "aac"
bitrate_kbps = 256

[[tier]]
name = "flac"
codec = "flac"
"""


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def test_whatever_is_killed_every_delivery_is_published_once_and_nothing_else_is_left() -> None:
    seed = random.randrange(1 << 32)
    say(f"seed {seed}")
    # The folders that pytest makes are closed to the user PostgreSQL runs as.
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        Path(name).chmod(0o755)
        ladder = Path(name) / "ladder.toml"
        ladder.write_text(LADDER)
        quick = {"HEARTBEAT_S": "0.2", "SILENCE_S": "2", "LADDER": str(ladder)}
        measured = run(Path(name), rounds=9, seed=seed, tell=say, **quick)
    # One more is made to measure how soon a killed worker's job is taken up.
    assert (measured["deliveries"], measured["jobs"] >= 10) == (9, True)
