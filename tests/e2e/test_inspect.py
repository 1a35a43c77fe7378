"""``lathe inspect``: a pressed folder against its own word, and every flipped bit found."""

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from lathe.inspection import inspect_folder
from tests.audio_tools import FIXTURES
from tests.e2e.servers import HANG_S, LATHE

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def pressed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pressed folder with a rendition of every codec."""
    out = tmp_path_factory.mktemp("pressed")
    tiers = ["--tiers", "ogg-24,aac-128,alac-hires,flac"]
    command = [LATHE, "transcode", "--out", str(out), *tiers, str(FIXTURES / "ode-24.wav")]
    subprocess.run(command, check=True, capture_output=True, timeout=HANG_S)
    (folder,) = out.iterdir()
    return folder


@pytest.fixture
def folder(pressed: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(pressed, tmp_path / "folder"))


def inspect(*words: str | Path) -> Done:
    command = [LATHE, "inspect", *map(str, words)]
    plain = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        command, env=plain, capture_output=True, text=True, timeout=HANG_S, check=False
    )


def found(folder: Path, *, decode: bool = False) -> set[tuple[str, str]]:
    return {(each.file, each.rule) for each in inspect_folder(folder, decode=decode)}


def test_a_whole_folder_is_as_declared(pressed: Path) -> None:
    done = inspect(pressed)
    assert (done.returncode, done.stdout) == (0, f"{pressed}: as declared\n")
    assert inspect(pressed.parent).stdout == done.stdout


def test_damage_exits_with_3_and_names_file_and_rule(folder: Path) -> None:
    victim = next(folder.glob("renditions/*/00000.m4s"))
    flip(victim, victim.stat().st_size * 4)
    done = inspect("--json", folder)
    assert done.returncode == 3
    told = [json.loads(line) for line in done.stdout.splitlines()]
    name = str(victim.relative_to(folder))
    assert {"folder": str(folder), "file": name, "rule": "file-differs"}.items() <= told[0].items()
    words = inspect("--no-decode", folder)
    assert (words.returncode, words.stdout.count("file-differs")) == (3, 1)


def test_every_flipped_bit_is_found_in_the_file_it_is_in(folder: Path) -> None:
    chance = random.Random(1)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        for _ in range(3):
            place = chance.randrange(path.stat().st_size * 8)
            flip(path, place)
            names = {name for name, _ in found(folder)}
            flip(path, place)
            assert str(path.relative_to(folder)) in names or (path.name == "SHA256SUMS" and names)
    assert found(folder) == set()


def test_files_that_are_gone_or_too_many_are_found(folder: Path) -> None:
    victim = next(folder.glob("renditions/*/init.ogg"))
    victim.unlink()
    (folder / "extra").write_bytes(b"")
    names = {(str(victim.relative_to(folder)), "file-missing"), ("extra", "file-unlisted")}
    assert found(folder) == names


def test_a_truncated_file_is_found(folder: Path) -> None:
    victim = next(folder.glob("renditions/flac*/00000.m4s"))
    os.truncate(victim, victim.stat().st_size - 1)
    assert found(folder) == {(str(victim.relative_to(folder)), "file-differs")}


def test_sound_that_is_not_the_declared_one_is_found_by_decoding(folder: Path) -> None:
    """Somebody who also writes the checksums anew is caught by the declarations and the ear."""
    pressing = json.loads((folder / "pressing.json").read_bytes())
    for rendition in pressing["renditions"]:
        rendition["samples"] -= 1
        rendition["chunks"][-1]["valid_samples"] -= 1
    (folder / "pressing.json").write_text(json.dumps(pressing))
    sums = subprocess.check_output(["sha256sum", "pressing.json"], cwd=folder, text=True)
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    kept = [line for line in lines if not line.endswith("  pressing.json")]
    (folder / "SHA256SUMS").write_text("\n".join([*kept, sums]))
    rules = {rule for _, rule in found(folder, decode=True)}
    assert rules == {"decode-length"}
    assert found(folder) == set()


def test_what_is_no_pressed_folder_is_refused(tmp_path: Path) -> None:
    done = inspect(tmp_path)
    assert done.returncode == 1
    assert "pressed-folder-unreadable" in done.stderr


def flip(path: Path, bit: int) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
