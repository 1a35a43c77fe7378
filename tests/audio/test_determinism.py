"""The same master gives the same bytes: on every run, in any number of lanes, on any core."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lathe.pressing import press_to_folder
from tests.audio.pressings import LADDER, Pressed, press_file
from tests.audio.tools import Press, files_in
from tests.audio_tools import FIXTURES, fact
from tests.e2e.servers import HANG_S

MASTERS = ["prelude-96.flac", "ode-24.aiff", "lossy.mp3"]


def stored(pressed: Pressed) -> dict[str, bytes]:
    return {key: pressed.store.read(key) for key in pressed.store.list("")}


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_in(folder)}


@pytest.mark.parametrize("lanes", [1, 2, 3, 20])
@pytest.mark.parametrize("file", MASTERS)
def test_the_bytes_do_not_depend_on_the_run_or_the_lanes(
    press: Press, tmp_path: Path, file: str, lanes: int
) -> None:
    again = press_file(fact(file).path, tmp_path / "again", lanes=lanes)
    assert stored(again) == stored(press(file))
    assert again.pressing == press(file).pressing


@pytest.mark.parametrize("file", MASTERS)
def test_the_bytes_do_not_depend_on_the_cores(press: Press, tmp_path: Path, file: str) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.audio.pressings import press_file; "
        "press_file(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    core = min(os.sched_getaffinity(0))
    there = tmp_path / "there"
    command = [sys.executable, "-c", program, str(fact(file).path), str(there)]
    plain = {"PATH": os.environ["PATH"], "PYTHONPATH": str(FIXTURES.parents[1])}
    pinned = ["taskset", "-c", str(core), *command]
    subprocess.run(pinned, env=plain, check=True, timeout=HANG_S)
    assert content(there) == stored(press(file))


@pytest.mark.parametrize("tier", ["ogg-24", "aac-128", "alac", "flac-hires"])
def test_the_bytes_do_not_depend_on_the_other_tiers(
    press: Press, tmp_path: Path, tier: str
) -> None:
    alone = stored(press_file(fact("ode-24.wav").path, tmp_path / tier, tiers=[tier]))
    assert alone and alone.items() <= stored(press("ode-24.wav")).items()


def test_a_pressed_folder_is_the_same_in_every_file(tmp_path: Path) -> None:
    """Nothing in it tells when, where or beside what it was pressed."""
    path = fact("short.flac").path
    outs = [tmp_path / "here", tmp_path / "elsewhere" / "deeper"]
    folders = [
        press_to_folder(path, out, LADDER, lanes=lanes).folder
        for lanes, out in enumerate(outs, start=1)
    ]
    assert content(folders[0]) == content(folders[1])
    assert "SHA256SUMS" in content(folders[0])
