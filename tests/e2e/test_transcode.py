"""The operator's command line on batches: what it tells, what it leaves, and how it goes on."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.audio.pressings import make_wav
from tests.audio_tools import BROKEN, FIXTURES
from tests.e2e.servers import HANG_S, LATHE, children_of, command_line, wait_until

Done = subprocess.CompletedProcess[str]
MASTERS = ["tiny.wav", "short.flac", "ode-24.wav"]
FAST = ["--tiers", "alac,ogg-96"]


@pytest.fixture
def masters(tmp_path: Path) -> Path:
    """A folder with a few masters, one of them below another folder."""
    folder = tmp_path / "masters"
    (folder / "below").mkdir(parents=True)
    for name in MASTERS[:2]:
        shutil.copy(FIXTURES / name, folder)
    shutil.copy(FIXTURES / MASTERS[2], folder / "below")
    return folder


@pytest.fixture(scope="module")
def long_master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A master that takes long enough to be stopped in the middle of it."""
    path = tmp_path_factory.mktemp("long") / "long.wav"
    return make_wav(path, samples=60 * 44_100)


def environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"]}


def transcode(out: Path, *words: str | Path, **options: Any) -> Done:
    command = [LATHE, "transcode", "--out", str(out), *map(str, words)]
    return subprocess.run(
        command,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
        **({"stdin": subprocess.DEVNULL} | options),
    )


def events(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def named(told: list[dict[str, Any]], event: str) -> dict[str, dict[str, Any]]:
    """Return the events of one kind by the name of their file."""
    return {Path(each["file"]).name: each for each in told if each["event"] == event}


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# --------------------------------------------------------------------------- what it tells


def test_json_tells_every_event_on_a_line_of_its_own(tmp_path: Path, masters: Path) -> None:
    done = transcode(tmp_path / "out", *FAST, "--json", masters)
    assert (done.returncode, done.stderr) == (0, "")
    told = events(done)
    assert told[-1]["event"] == "summary"
    assert (told[-1]["pressed"], told[-1]["failed"], told[-1]["interrupted"]) == (3, 0, False)
    for name in MASTERS:
        own = [each for each in told[:-1] if Path(each["file"]).name == name]
        kinds = [each["event"] for each in own]
        assert kinds[0] == "started" and kinds[-1] == "pressed"
        assert set(kinds[1:-1]) == {"progress"}
        percents = [each["percent"] for each in own if each["event"] == "progress"]
        assert percents == sorted(percents)


def test_words_for_people_are_quiet_in_a_pipe(tmp_path: Path, masters: Path) -> None:
    done = transcode(tmp_path / "out", *FAST, masters)
    assert done.returncode == 0
    assert re.fullmatch(r"3 pressed in [0-9.]+ s, \d+ × real time\n", done.stderr)
    assert len(done.stdout.splitlines()) == 6, "two lines a master: what was made, and where"
    assert "\x1b" not in done.stdout + done.stderr
    assert transcode(tmp_path / "quiet", *FAST, "-q", masters).stdout == ""


def test_a_terminal_shows_progress_speed_and_time_left(tmp_path: Path, long_master: Path) -> None:
    command = [LATHE, "transcode", "--out", str(tmp_path / "out"), *FAST, str(long_master)]
    screen, terminal = pty.openpty()
    # As wide as the bars need; Rich asks the environment first.
    wide = environment() | {"TERM": "xterm", "COLUMNS": "160"}
    with subprocess.Popen(command, env=wide, stdout=subprocess.PIPE, stderr=terminal) as process:
        os.close(terminal)
        shown = b"".join(read_all(screen))
        assert process.stdout is not None
        assert b"long.wav: 2646000 samples" in process.stdout.read()
    assert process.returncode == 0
    assert b"1 masters" in shown and b"long.wav" in shown
    assert re.search(rb"\d+ %", shown) and re.search(rb"[MG]B/s", shown)
    assert re.search(rb"\d:\d\d:\d\d", shown), "time left"


def read_all(screen: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(screen, 65_536)
        except OSError:  # Linux says EIO when the other end has gone.
            return
        if not data:
            return
        yield data


def test_one_bad_file_stops_no_other_and_says_all_there_is_to_say(
    tmp_path: Path, masters: Path
) -> None:
    shutil.copy(BROKEN / "truncated.wav", masters / "a-broken.wav")
    done = transcode(tmp_path / "out", *FAST, "--json", masters)
    assert done.returncode == 1
    told = events(done)
    assert set(named(told, "pressed")) == set(MASTERS)
    (failed,) = named(told, "failed").values()
    assert failed["code"] == "master-truncated"
    assert failed["measured"] == {"declared_samples": 8027, "present_samples": 4811}
    assert failed["advice"] and failed["detail"]
    for said in ("a-broken.wav", "master-truncated", "8027", "4811", failed["advice"]):
        assert said in done.stderr


# --------------------------------------------------------------------------- what is asked for


def test_a_dry_run_says_just_what_a_run_then_makes(tmp_path: Path, masters: Path) -> None:
    out = tmp_path / "out"
    planned = named(events(transcode(out, "--dry-run", "--json", masters)), "planned")
    assert not out.exists()
    pressed = named(events(transcode(out, "--json", masters)), "pressed")
    assert planned.keys() == pressed.keys() == set(MASTERS)
    for name, plan in planned.items():
        assert plan["kept"] is False
        assert (plan["folder"], plan["samples"]) == (
            pressed[name]["folder"],
            pressed[name]["samples"],
        )
        made = json.loads((Path(plan["folder"]) / "pressing.json").read_bytes())["renditions"]
        assert plan["renditions"] == [rendition["id"] for rendition in made]
    again = named(events(transcode(out, "--dry-run", "--json", masters)), "planned")
    assert all(plan["kept"] for plan in again.values())


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_lists_name_masters_a_line_each(tmp_path: Path, masters: Path, source: str) -> None:
    text = f"{masters / 'tiny.wav'}\n\n{masters / 'below'}\n"
    listed = tmp_path / "list.txt"
    listed.write_text(text)
    with open(listed) as file:
        words = ["--list", "-" if source == "stdin" else str(listed)]
        done = transcode(tmp_path / "out", *FAST, "--json", *words, stdin=file)
    assert done.returncode == 0
    assert set(named(events(done), "pressed")) == {"tiny.wav", "ode-24.wav"}


def test_another_ladder_makes_other_tiers(tmp_path: Path, masters: Path) -> None:
    ladder = tmp_path / "ladder.toml"
    ladder.write_text('[[tier]]\nname = "small"\ncodec = "aac"\nbitrate_kbps = 64\n')
    done = transcode(tmp_path / "out", "--ladder", ladder, "--json", masters / "short.flac")
    (pressed,) = named(events(done), "pressed").values()
    assert [rendition["tier"] for rendition in pressed["renditions"]] == ["small"]
    ladder.write_text('[[tier]]\nname = "small"\ncodec = "mp3"\n')
    refused = transcode(tmp_path / "out", "--ladder", ladder, masters / "short.flac")
    assert refused.returncode == 1
    assert "ladder-invalid" in refused.stderr and "mp3" in refused.stderr


def test_findings_exit_with_3(tmp_path: Path) -> None:
    done = transcode(tmp_path / "out", "--tiers", "aac-128", FIXTURES / "lossy.mp3")
    assert done.returncode == 3
    assert "the master is lossy (mp3)" in done.stderr
    done = transcode(tmp_path / "out", "--tiers", "alac,alac-hires", FIXTURES / "short.flac")
    assert done.returncode == 3
    assert "no alac-hires: the master has 16 bits" in done.stderr


# --------------------------------------------------------------------------- going on


def test_a_finished_master_costs_a_hash_whatever_it_is_called(
    tmp_path: Path, masters: Path
) -> None:
    out = tmp_path / "out"
    transcode(out, *FAST, masters)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    told = events(transcode(out, *FAST, "--json", masters))
    assert (told[-1]["pressed"], told[-1]["kept"]) == (0, 3)
    stages = {each["stage"] for each in told if each["event"] == "progress"}
    assert stages == {"hash"}
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_other_tiers_press_again_and_never_does_not(tmp_path: Path, masters: Path) -> None:
    out, one = tmp_path / "out", masters / "short.flac"
    transcode(out, "--tiers", "alac", one)
    kept = events(transcode(out, "--tiers", "aac-128", "--overwrite", "never", "--json", one))
    assert kept[-1]["kept"] == 1
    changed = events(transcode(out, "--tiers", "aac-128", "--json", one))
    assert changed[-1]["pressed"] == 1
    always = events(transcode(out, "--tiers", "aac-128", "--overwrite", "always", "--json", one))
    assert always[-1]["pressed"] == 1
    (folder,) = out.iterdir()
    assert {path.name.rpartition("-")[0] for path in (folder / "renditions").iterdir()} == {
        "aac-128"
    }


def test_a_changed_master_is_another_one(tmp_path: Path, masters: Path) -> None:
    out, one = tmp_path / "out", masters / "tiny.wav"
    transcode(out, *FAST, one)
    one.write_bytes(one.read_bytes()[:-1] + b"\x55")
    told = events(transcode(out, *FAST, "--json", one))
    assert told[-1]["pressed"] == 1
    assert len(list(out.iterdir())) == 2


@pytest.mark.parametrize("when", ["started", "progress", "pressed"])
def test_a_killed_run_is_finished_by_the_next_one(
    tmp_path: Path, long_master: Path, when: str
) -> None:
    words = [*FAST, "--json", "--jobs", "1", str(FIXTURES / "short.flac"), str(long_master)]
    whole, out = tmp_path / "whole", tmp_path / "out"
    transcode(whole, *words)
    children = kill_at(when, out, words)
    wait_until(lambda: not any(map(command_line, children)), "the end of every ffmpeg")
    assert all(path.name.startswith(".lathe-") or is_whole(path) for path in out.glob("*"))
    assert transcode(out, *words).returncode == 0
    assert files_of(out) == files_of(whole)


def kill_at(event: str, out: Path, words: list[str]) -> list[int]:
    """Kill a run at once when it tells of ``event``; return what its children were."""
    command = [LATHE, "transcode", "--out", str(out), *words]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for line in process.stdout:
            told = json.loads(line)
            if told["event"] == event and told.get("stage") != "hash":
                break
        children = children_of(process.pid)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    return children


def is_whole(folder: Path) -> bool:
    """Whether every file of a pressed folder is as its own list of checksums says."""
    command = ["sha256sum", "--quiet", "--strict", "-c", "SHA256SUMS"]
    return subprocess.run(command, cwd=folder, timeout=HANG_S, check=False).returncode == 0


def test_an_interrupted_run_leaves_nothing_and_goes_on(tmp_path: Path, long_master: Path) -> None:
    out = tmp_path / "out"
    command = [LATHE, "transcode", "--out", str(out), *FAST, "--json", str(long_master)]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        next(line for line in process.stdout if '"press"' in line)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 130
    assert json.loads(rest.splitlines()[-1])["interrupted"] is True
    assert list(out.iterdir()) == []
    assert transcode(out, *FAST, long_master).returncode == 0


def test_two_runs_at_once_make_one_whole_folder(tmp_path: Path, masters: Path) -> None:
    out = tmp_path / "out"
    command = [LATHE, "transcode", "--out", str(out), *FAST, "--json", str(masters)]
    runs = [
        subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL) for _ in range(2)
    ]
    assert [run.wait(HANG_S) for run in runs] == [0, 0]
    folders = list(out.iterdir())
    assert len(folders) == 3
    assert all(map(is_whole, folders))


# --------------------------------------------------------------------------- hostile input


def test_a_folder_is_searched_without_leaving_it(tmp_path: Path, masters: Path) -> None:
    outside = tmp_path / "outside.wav"
    shutil.copy(FIXTURES / "ode.wav", outside)
    (masters / "link.wav").symlink_to(outside)
    os.mkfifo(masters / "pipe.wav")
    done = transcode(tmp_path / "out", *FAST, "--json", masters)
    told = events(done)
    assert done.returncode == 1
    failed = {name: each["code"] for name, each in named(told, "failed").items()}
    assert failed == {"link.wav": "master-outside-tree", "pipe.wav": "master-not-a-file"}
    assert set(named(told, "pressed")) == set(MASTERS)


@pytest.mark.parametrize(
    "name", ["line\nbreak.wav", "tab\there.wav", "-", "%(x)s.wav", "\u202e.wav"]
)
def test_odd_names_stay_on_their_line(tmp_path: Path, name: str) -> None:
    shutil.copy(FIXTURES / "tiny.wav", tmp_path / name)
    told = events(transcode(tmp_path / "out", *FAST, "--json", f"{tmp_path}/{name}"))
    assert [each["file"] for each in told if each["event"] == "pressed"] == [f"{tmp_path}/{name}"]
    words = transcode(tmp_path / "again", *FAST, f"{tmp_path}/{name}")
    assert words.returncode == 0
    assert len(words.stdout.splitlines()) == 2


def test_an_ordinary_user_is_told_that_the_output_is_closed(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        out = Path("/proc/lathe")
    else:
        out = tmp_path / "out"
        out.mkdir(mode=0o500)
    done = transcode(out, *FAST, FIXTURES / "tiny.wav")
    assert done.returncode == 4
    assert "output-not-writable" in done.stderr


# --------------------------------------------------------------------------- completion


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    script = subprocess.check_output([LATHE, "completion", "bash"], env=environment(), text=True)
    program = """
COMP_WORDS=(lathe {words}); COMP_CWORD={place}
_lathe_completion lathe; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    here = f"{Path(LATHE).parent}:{os.environ['PATH']}"

    def complete(words: str, place: int) -> list[str]:
        text = script + program.format(words=words, place=place)
        done = subprocess.run(
            ["bash", "-c", text], env={"PATH": here}, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert complete("trans", 1) == ["transcode"]
    assert complete("transcode --over", 2) == ["--overwrite"]
    assert complete("transcode --overwrite if", 3) == ["if-changed"]
