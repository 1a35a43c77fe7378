"""The same master gives the same bytes: on every run, in any number of lanes, on any core."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.audio.pressings import Pressed, press_file
from tests.audio_tools import fact
from tests.e2e.servers import HANG_S

MASTERS = ["prelude-96.flac", "ode-24.aiff", "lossy.mp3"]


def stored(pressed: Pressed) -> dict[str, bytes]:
    return {key: pressed.store.read(key) for key in pressed.store.list("")}


@pytest.mark.parametrize("file", MASTERS)
def test_the_bytes_do_not_depend_on_the_run_or_the_lanes(tmp_path: Path, file: str) -> None:
    first = stored(press_file(fact(file).path, tmp_path / "first", lanes=1))
    for lanes in (1, 2, 3, 20):
        again = press_file(fact(file).path, tmp_path / f"again-{lanes}-lanes", lanes=lanes)
        assert stored(again) == first, f"{lanes} lanes"


@pytest.mark.parametrize("file", MASTERS)
def test_the_bytes_do_not_depend_on_the_cores(tmp_path: Path, file: str) -> None:
    pressed = press_file(fact(file).path, tmp_path / "here")
    program = (
        "import sys; from pathlib import Path; from tests.audio.pressings import press_file; "
        "press_file(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    core = min(os.sched_getaffinity(0))
    there = tmp_path / "there"
    command = [sys.executable, "-c", program, str(fact(file).path), str(there)]
    subprocess.run(["taskset", "-c", str(core), *command], check=True, timeout=HANG_S)
    files = {str(path.relative_to(there)): path for path in there.rglob("*") if path.is_file()}
    assert {key: path.read_bytes() for key, path in files.items()} == stored(pressed)


def test_the_bytes_do_not_depend_on_the_other_tiers(tmp_path: Path) -> None:
    path = fact("ode-24.wav").path
    whole = stored(press_file(path, tmp_path / "whole"))
    for tier in ("ogg-24", "aac-128", "alac", "flac-hires"):
        alone = stored(press_file(path, tmp_path / tier, tiers=[tier]))
        assert alone and alone.items() <= whole.items(), tier
