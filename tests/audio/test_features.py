"""What is heard stays the same when the music does, and is right where the truth is known."""

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks.features.compose import GENRES, compose, render
from benchmarks.features.scorer import (
    CHANGES,
    Verdict,
    change,
    hear,
    moved,
    relations,
    summarise,
)
from pipeline.hearing.listener import Heard
from tests.audio_tools import BROKEN, FIXTURES
from tests.e2e.servers import LATHE

ROUNDS = 4
"""How many pieces of each genre; every other one was never tuned on."""

MUSIC = ("prelude.flac", "gymnopedie.m4a", "lossy.mp3")


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Verdict]]:
    folder = tmp_path_factory.mktemp("pieces")
    found = []
    for number in range(ROUNDS * len(GENRES)):
        piece = compose(number)
        path = render(piece, folder)
        found.append((path, Verdict(piece=piece, heard=hear(path))))
    return found


@pytest.mark.parametrize("is_held_out", [False, True], ids=["tuned on", "held out"])
def test_tempo_and_key_are_right_as_often_as_promised(
    composed: list[tuple[Path, Verdict]], is_held_out: bool
) -> None:
    chosen = [verdict for _, verdict in composed if verdict.is_held_out == is_held_out]
    found = summarise(chosen)
    assert found.tempo >= 0.83
    assert found.octave >= 0.96
    assert found.error <= 0.001
    assert found.key >= 0.70
    assert found.mirex >= 0.80


def test_scores_order_genres_as_people_would(composed: list[tuple[Path, Verdict]]) -> None:
    ordered = relations([verdict for _, verdict in composed])
    assert len(ordered) == 12 * ROUNDS
    assert sum(ordered) / len(ordered) >= 0.97


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_is_none_of_the_music_moves_no_score_far(
    composed: list[tuple[Path, Verdict]], name: str, tmp_path: Path
) -> None:
    bound, _, _ = CHANGES[name]
    pieces: list[tuple[Path, Heard]] = [(path, each.heard) for path, each in composed[:12:3]]
    pieces += [(FIXTURES / file, hear(FIXTURES / file)) for file in MUSIC]
    for path, before in pieces:
        after = hear(change(path, name, tmp_path))
        assert moved(before, after) <= bound, path.name


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [LATHE, "features", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_command_says_why() -> None:
    done = run("--explain", FIXTURES / "gymnopedie.m4a")
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    assert first.startswith(f"{FIXTURES / 'gymnopedie.m4a'}: 76.0 BPM (")
    assert ", D major (" in first
    assert any("danceability" in line and "clarity at a dancing tempo" in line for line in rest)
    assert any(line.startswith("  fluctuation = ") for line in rest)


def test_the_command_speaks_json_and_goes_on_after_a_bad_file() -> None:
    done = run("--json", "--explain", BROKEN / "garbage.flac", FIXTURES / "silence.flac")
    assert done.returncode == 1
    assert "master-" in done.stderr
    (told,) = map(json.loads, done.stdout.splitlines())
    assert (told["tempo_bpm"], told["key"], told["energy"]) == (None, None, 0)
    assert told["parts"]["energy"] == []
    assert told["terms"]["bpm"] is None


def test_a_pressed_folder_has_what_the_command_says(tmp_path: Path) -> None:
    master = FIXTURES / "canon-1.flac"
    words = [LATHE, "transcode", "--tiers", "ogg-24", str(master), "--out", str(tmp_path)]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    (described,) = tmp_path.glob("*/pressing.json")
    pressed = json.loads(described.read_text("utf-8"))["features"]
    told = json.loads(run("--json", master).stdout)
    for name in ("tempo_bpm", "key", "mode", "energy", "danceability", "acousticness", "valence"):
        assert told[name] == pytest.approx(pressed[name], abs=0.002), name
