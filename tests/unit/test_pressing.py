"""Pressed folders: whole under their names or not there at all, kept or made again as asked."""

import fcntl
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from catalogue.errors import (
    LatheError,
    MasterCorrupt,
    NoTierEarned,
    OutputNotWritable,
    PressedFolderUnreadable,
    Stopped,
)
from lathe.inspection import find_pressed_folders, inspect_folder
from lathe.pressing import (
    CHECKSUMS,
    PRESSING,
    Overwrite,
    PressedFolder,
    clear_drafts,
    folder_of,
    plan_folder,
    press_to_folder,
    read_pressing,
)
from pipeline.master import hash_file
from pipeline.tiers import choose_tiers, read_ladder
from tests.audio_tools import BROKEN, FIXTURES

LADDER = read_ladder()
ALAC, AAC = choose_tiers(LADDER, ["alac"]), choose_tiers(LADDER, ["aac-128"])
BOTH = choose_tiers(LADDER, ["aac-128", "alac"])
SHORT, TINY = FIXTURES / "short.flac", FIXTURES / "tiny.wav"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Return what tells a file that was written again from one that was left alone."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in paths
    }


def tiers_of(pressed: PressedFolder) -> list[str]:
    return [rendition.tier.name for rendition in pressed.pressing.renditions]


def sha256sum(folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["sha256sum", "--strict", "--check", CHECKSUMS]
    return subprocess.run(
        command,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# --------------------------------------------------------------------------- what is written


def test_coreutils_agree_with_every_checksum(out: Path) -> None:
    folder = press_to_folder(SHORT, out, LADDER).folder
    done = sha256sum(folder)
    assert (done.returncode, done.stderr) == (0, "")
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {line.removesuffix(": OK") for line in done.stdout.splitlines()} == files - {CHECKSUMS}


def test_coreutils_find_what_was_changed(out: Path) -> None:
    folder = press_to_folder(SHORT, out, ALAC).folder
    (folder / "manifest.json").write_bytes(b"{}")
    done = sha256sum(folder)
    assert done.returncode == 1
    assert "manifest.json: FAILED" in done.stdout.splitlines()


def test_a_folder_holds_its_renditions_and_their_descriptions(out: Path) -> None:
    pressed = press_to_folder(SHORT, out, BOTH)
    assert [path.name for path in sorted(pressed.folder.iterdir())] == [
        CHECKSUMS,
        "manifest.json",
        "manifest.mpd",
        "master.m3u8",
        PRESSING,
        "renditions",
    ]
    ids = sorted(rendition.id for rendition in pressed.pressing.renditions)
    assert sorted(path.name for path in (pressed.folder / "renditions").iterdir()) == ids
    assert read_pressing(pressed.folder) == pressed.pressing
    assert list(inspect_folder(pressed.folder, decode=True)) == []


def test_ogg_alone_has_no_playlists(out: Path) -> None:
    folder = press_to_folder(SHORT, out, choose_tiers(LADDER, ["ogg-96"])).folder
    names = sorted(path.name for path in folder.iterdir())
    assert names == [CHECKSUMS, "manifest.json", PRESSING, "renditions"]


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        (b"ode.flac", "ode"),
        (b"..flac", "master"),
        (b"...x.flac", "x"),
        (b"-rf.flac", "-rf"),
        (b"a b\tc\nd.flac", "a_b_c_d"),
        (b'50%: "x".flac', "50____x_"),
        ("Gymnopédie 1.flac".encode(), "Gymnopédie_1"),
        (b"caf\xe9.flac", "caf_"),
        (b"a" * 240 + b".flac", "a" * 120),
        ("é".encode() * 100 + b".flac", "é" * 60),
        (b"a" + "é".encode() * 100 + b".flac", "a" + "é" * 59),
    ],
)
def test_a_folder_is_named_after_the_file_and_its_content(
    tmp_path: Path, out: Path, name: bytes, folder: str
) -> None:
    path = Path(shutil.copy(TINY, tmp_path / os.fsdecode(name)))
    pressed = press_to_folder(path, out, ALAC)
    assert pressed.folder == out / f"{folder}-{hash_file(TINY)[:12]}"
    assert sha256sum(pressed.folder).returncode == 0


def test_other_content_under_the_same_name_is_another_folder(tmp_path: Path, out: Path) -> None:
    path = Path(shutil.copy(TINY, tmp_path / "one.wav"))
    first = press_to_folder(path, out, ALAC).folder
    path.write_bytes(TINY.read_bytes()[:-1] + b"\x55")
    second = press_to_folder(path, out, ALAC).folder
    assert first != second
    assert sorted(out.iterdir()) == sorted([first, second])


# --------------------------------------------------------------------------- when it appears


def test_nothing_but_a_draft_is_seen_before_all_is_there(out: Path) -> None:
    seen: list[tuple[str, list[str]]] = []

    def look(stage: str, _: int) -> None:
        seen.append((stage, [path.name for path in out.glob("*")]))

    folder = press_to_folder(SHORT, out, BOTH, report=look).folder
    drafts = {name for _, names in seen for name in names}
    assert len(drafts) == 1 and all(name.startswith(".lathe-") for name in drafts)
    assert list(dict.fromkeys(stage for stage, _ in seen)) == [
        "hash",
        "probe",
        "press",
        "measure",
        "publish",
    ]
    assert list(out.iterdir()) == [folder]


def test_the_old_folder_stands_until_the_new_one_is_whole(out: Path) -> None:
    folder = press_to_folder(SHORT, out, ALAC).folder
    before = snapshot(folder)
    seen: list[dict[str, tuple[int, int]]] = []
    press_to_folder(SHORT, out, AAC, report=lambda *_: seen.append(snapshot(folder)))
    assert all(each == before for each in seen) and len(seen) >= 4
    assert snapshot(folder).keys() != before.keys()
    assert list(out.iterdir()) == [folder]


@pytest.mark.parametrize("file", ["flipped.flac", "wrong-md5.flac", "changes-format.flac"])
def test_a_failed_press_leaves_nothing(out: Path, file: str) -> None:
    with pytest.raises(LatheError):
        press_to_folder(BROKEN / file, out, BOTH)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("old", [True, False])
def test_a_stopped_press_leaves_what_was_there_before(out: Path, old: bool) -> None:
    if old:
        press_to_folder(SHORT, out, ALAC)
    before = snapshot(out)
    with pytest.raises(Stopped):
        press_to_folder(SHORT, out, AAC, should_stop=lambda: True)
    assert snapshot(out) == before
    assert len(list(out.iterdir())) == old


def test_an_error_in_a_report_leaves_nothing(out: Path) -> None:
    def refuse(stage: str, _: int) -> None:
        if stage == "publish":
            raise BrokenPipeError("nobody listens")

    with pytest.raises(BrokenPipeError):
        press_to_folder(SHORT, out, BOTH, report=refuse)
    assert list(out.iterdir()) == []


def test_presses_of_one_master_at_once_make_one_whole_folder(out: Path) -> None:
    """They wait for each other before the last step, where each puts its folder into place."""
    done = threading.Barrier(16, timeout=60)

    def wait_for_all(stage: str, _: int) -> None:
        if stage == "publish":
            done.wait()

    def press(_: int) -> PressedFolder:
        return press_to_folder(TINY, out, ALAC, overwrite=Overwrite.ALWAYS, report=wait_for_all)

    for _ in range(2):
        with ThreadPoolExecutor(16) as pool:
            folders = {pressed.folder for pressed in pool.map(press, range(16))}
        assert list(out.iterdir()) == list(folders)
    assert list(inspect_folder(folders.pop(), decode=True)) == []


# --------------------------------------------------------------------------- what is kept


@pytest.mark.parametrize(
    ("overwrite", "asked", "kept", "tiers"),
    [
        (Overwrite.NEVER, ALAC, True, ["alac"]),
        (Overwrite.NEVER, AAC, True, ["alac"]),
        (Overwrite.IF_CHANGED, ALAC, True, ["alac"]),
        (Overwrite.IF_CHANGED, AAC, False, ["aac-128"]),
        (Overwrite.IF_CHANGED, BOTH, False, ["aac-128", "alac"]),
        (Overwrite.ALWAYS, ALAC, False, ["alac"]),
        (Overwrite.ALWAYS, AAC, False, ["aac-128"]),
    ],
)
def test_a_folder_is_kept_or_made_again_as_asked(
    out: Path, overwrite: Overwrite, asked: tuple[object, ...], kept: bool, tiers: list[str]
) -> None:
    wanted = [tier for tier in BOTH if tier in asked]
    folder = press_to_folder(SHORT, out, ALAC).folder
    before = snapshot(folder)
    plan = plan_folder(SHORT, out, wanted, overwrite=overwrite)
    again = press_to_folder(SHORT, out, wanted, overwrite=overwrite)
    assert (again.folder, again.kept, tiers_of(again)) == (folder, kept, tiers)
    assert (plan.folder, plan.kept, plan.samples) == (folder, kept, 1023)
    assert list(plan.renditions) == [rendition.id for rendition in again.pressing.renditions]
    assert (snapshot(folder) == before) is kept


@pytest.mark.parametrize("overwrite", [Overwrite.NEVER, Overwrite.IF_CHANGED])
@pytest.mark.parametrize("name", [CHECKSUMS, PRESSING])
def test_a_folder_without_its_description_is_made_again(
    out: Path, overwrite: Overwrite, name: str
) -> None:
    folder = press_to_folder(TINY, out, ALAC).folder
    (folder / name).unlink()
    assert press_to_folder(TINY, out, ALAC, overwrite=overwrite).kept is False
    assert list(inspect_folder(folder, decode=True)) == []


def test_a_kept_folder_costs_a_hash_and_no_more(out: Path) -> None:
    press_to_folder(SHORT, out, ALAC)
    stages: list[str] = []
    press_to_folder(SHORT, out, ALAC, report=lambda stage, _: stages.append(stage))
    assert stages == ["hash"]


def test_tiers_that_were_not_earned_are_not_tried_again(out: Path) -> None:
    first = press_to_folder(SHORT, out, LADDER)
    assert {each.tier for each in first.pressing.refused} == {"alac-hires", "flac-hires"}
    assert press_to_folder(SHORT, out, LADDER).kept


def test_asking_for_what_cannot_be_made_leaves_what_is_there(out: Path) -> None:
    folder = press_to_folder(SHORT, out, ALAC).folder
    before = snapshot(folder)
    for overwrite in (Overwrite.IF_CHANGED, Overwrite.ALWAYS):
        with pytest.raises(NoTierEarned):
            press_to_folder(SHORT, out, choose_tiers(LADDER, ["alac-hires"]), overwrite=overwrite)
    assert snapshot(folder) == before


def test_a_plan_writes_and_decodes_nothing(out: Path) -> None:
    plan = plan_folder(BROKEN / "flipped.flac", out, BOTH, overwrite=Overwrite.IF_CHANGED)
    assert (plan.kept, len(plan.renditions)) == (False, 2)
    assert not out.exists()
    with pytest.raises(MasterCorrupt):
        press_to_folder(BROKEN / "flipped.flac", out, BOTH)


# --------------------------------------------------------------------------- where it cannot be


def test_an_output_that_is_a_file_is_left_alone(out: Path) -> None:
    out.write_text("mine")
    with pytest.raises(OutputNotWritable) as caught:
        press_to_folder(TINY, out, ALAC)
    assert caught.value.code == "output-not-writable"
    assert out.read_text() == "mine"


def test_a_file_that_stands_in_the_folder_s_place_is_left_alone(out: Path) -> None:
    place = folder_of(TINY, hash_file(TINY), out)
    out.mkdir()
    place.write_text("mine")
    with pytest.raises(OutputNotWritable):
        press_to_folder(TINY, out, ALAC)
    assert [(path, path.read_text()) for path in out.iterdir()] == [(place, "mine")]


# --------------------------------------------------------------------------- drafts


@contextmanager
def locked(draft: Path) -> Iterator[None]:
    """Hold the lock of a draft, as the press that works in it does."""
    with open(draft / ".lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_draft(out: Path, name: str) -> Path:
    draft = out / name
    (draft / "renditions").mkdir(parents=True)
    (draft / "renditions" / "00000.ogg").write_bytes(b"half")
    (draft / ".lock").touch()
    return draft


def test_drafts_of_killed_runs_are_cleared_and_those_of_living_ones_are_not(out: Path) -> None:
    dead, living = make_draft(out, ".lathe-1"), make_draft(out, ".lathe-2")
    make_draft(out, ".lathe-3-replaced")
    pressed = press_to_folder(TINY, out, ALAC).folder
    with locked(living):
        clear_drafts(out)
        assert sorted(out.iterdir()) == sorted([living, pressed])
        assert (living / "renditions" / "00000.ogg").read_bytes() == b"half"
    clear_drafts(out)
    assert not dead.exists() and list(out.iterdir()) == [pressed]


def test_clearing_leaves_what_is_not_lathe_s(out: Path) -> None:
    for name in ("lathe-1", ".hidden", ".lath-1", "x.lathe-1"):
        make_draft(out, name)
    (out / ".lathe-file").write_text("mine")
    before = snapshot(out)
    clear_drafts(out)
    assert snapshot(out) == before
    clear_drafts(out / "nowhere")


def test_a_press_under_way_survives_the_clearing_of_drafts(out: Path) -> None:
    press_to_folder(SHORT, out, BOTH, report=lambda *_: clear_drafts(out))
    (folder,) = out.iterdir()
    assert list(inspect_folder(folder, decode=False)) == []


# --------------------------------------------------------------------------- reading them again


def test_pressed_folders_are_found_by_name_or_as_themselves(out: Path) -> None:
    folders = sorted(press_to_folder(path, out, ALAC).folder for path in (TINY, SHORT))
    (out / "other").mkdir()
    assert list(find_pressed_folders(out)) == folders
    assert list(find_pressed_folders(folders[0])) == folders[:1]


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"master": {}}', "\udcff"])
def test_a_damaged_pressing_is_unreadable(out: Path, text: str) -> None:
    out.mkdir()
    (out / PRESSING).write_text(text, "utf-8", "surrogateescape")
    with pytest.raises(PressedFolderUnreadable) as caught:
        read_pressing(out)
    assert caught.value.code == "pressed-folder-unreadable"


def test_a_folder_that_holds_nothing_pressed_is_unreadable(out: Path) -> None:
    out.mkdir()
    for path in (out, out / "none"):
        with pytest.raises(PressedFolderUnreadable):
            list(find_pressed_folders(path))
