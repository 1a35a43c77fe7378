"""The operator's command line on batches: what it tells, what it leaves, and how it goes on."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.audio.pressings import make_wav
from tests.audio_tools import BROKEN, FIXTURES, fact
from tests.e2e.command_line import (
    AS_ORDINARY_USER,
    Done,
    Told,
    environment,
    events,
    files_of,
    is_whole,
    lathe,
    named,
    processes_with,
    read_all,
    transcode,
)
from tests.e2e.servers import HANG_S, LATHE, wait_until

MASTERS = ["tiny.wav", "short.flac", "ode-24.wav"]
TINY, SHORT = FIXTURES / "tiny.wav", FIXTURES / "short.flac"
FAST = ["--tiers", "alac,ogg-96"]
FASTEST = ["--tiers", "alac"]


@pytest.fixture
def masters(tmp_path: Path) -> Path:
    """A folder with a few masters, one of them below another folder."""
    return copy_masters(tmp_path / "masters")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture(scope="module")
def long_master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A master that takes long enough to be stopped in the middle of it."""
    return make_wav(tmp_path_factory.mktemp("long") / "long.wav", samples=40 * 44_100)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, long_master: Path) -> dict[str, bytes]:
    """Every file that a run on ``LINE`` makes when nothing happens to it."""
    out = tmp_path_factory.mktemp("undisturbed")
    assert transcode(out, *FAST, *line_up(long_master)).returncode == 0
    return files_of(out)


def copy_masters(folder: Path) -> Path:
    (folder / "below").mkdir(parents=True)
    for name in MASTERS[:2]:
        shutil.copy(FIXTURES / name, folder)
    shutil.copy(FIXTURES / MASTERS[2], folder / "below")
    return folder


def line_up(long_master: Path) -> list[str]:
    """Return masters with a long one between short ones, as words."""
    return ["--jobs", "1", str(SHORT), str(long_master), str(TINY)]


# --------------------------------------------------------------------------- what it tells


FIELDS = {
    "started": "file size_bytes",
    "progress": "file stage percent",
    "planned": "file folder kept renditions samples",
    "pressed": "file folder kept seconds samples rate_hz pcm_sha256 renditions refused findings",
    "failed": "file seconds code title detail measured advice",
    "summary": "interrupted pressed planned kept failed findings seconds sound_s",
}


def test_json_tells_every_event_on_a_line_of_its_own(out: Path, masters: Path) -> None:
    done = transcode(out, *FAST, "--json", masters, BROKEN / "empty.flac")
    told = events(done)
    told += events(transcode(out, "--dry-run", "--json", masters))
    assert {each["event"] for each in told} == set(FIELDS)
    for each in told:
        assert set(FIELDS[each["event"]].split()) <= each.keys()
    pressed = named(told, "pressed")
    for name in MASTERS:
        assert pressed[name]["samples"] == fact(name).samples
        assert pressed[name]["pcm_sha256"] == fact(name).pcm_sha256
        tiers = [rendition["tier"] for rendition in pressed[name]["renditions"]]
        assert tiers == ["ogg-96", "alac"]


def test_a_master_s_events_come_in_order_and_the_summary_last(out: Path, masters: Path) -> None:
    done = transcode(out, *FAST, "--json", masters)
    assert (done.returncode, done.stderr) == (0, "")
    *told, summary = events(done)
    assert summary["event"] == "summary"
    assert (summary["pressed"], summary["failed"], summary["interrupted"]) == (3, 0, False)
    for name in MASTERS:
        own = [each for each in told if Path(each["file"]).name == name]
        first, *progress, last = own
        assert (first["event"], last["event"]) == ("started", "pressed")
        assert {each["event"] for each in progress} == {"progress"}
        percents = [each["percent"] for each in progress]
        assert percents == sorted(percents)
        stages = list(dict.fromkeys(each["stage"] for each in progress))
        assert stages == ["hash", "probe", "press", "measure", "publish"]


def test_words_for_people_are_quiet_in_a_pipe(out: Path, masters: Path) -> None:
    done = transcode(out, *FAST, masters)
    assert done.returncode == 0
    assert re.fullmatch(r"3 pressed in [0-9.]+ s, \d+ × real time\n", done.stderr)
    assert len(done.stdout.splitlines()) == 6, "two lines a master: what was made, and where"
    assert "\x1b" not in done.stdout + done.stderr
    again = transcode(out, *FAST, "-q", masters)
    assert (again.stdout, again.stderr) == ("", "")


def on_a_terminal(*words: str | Path) -> tuple[str, str]:
    """Return what a run writes to stdout, and what it shows on a terminal, without its colours."""
    screen, terminal = pty.openpty()
    # As wide as the bars need; Rich asks the environment first.
    wide = environment(TERM="xterm", COLUMNS="160")
    command = [LATHE, "transcode", *map(str, words)]
    with subprocess.Popen(
        command, env=wide, stdout=subprocess.PIPE, stderr=terminal, text=True
    ) as process:
        os.close(terminal)
        shown = b"".join(read_all(screen)).decode()
        os.close(screen)
        said, _ = process.communicate(timeout=HANG_S)
    assert process.returncode == 0
    return said, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)


def test_a_terminal_shows_progress_speed_and_time_left(out: Path, long_master: Path) -> None:
    said, shown = on_a_terminal("--out", out, long_master)
    assert said.startswith(f"{long_master}: {40 * 44_100} samples")
    under_way = r" +[1-9]\d? % +[0-9.]+ [kMG]B/s +\d:\d\d:\d\d +\d:\d\d:\d\d"
    for bar in ("1 masters", r"long\.wav"):
        assert re.search(rf"{bar} +\S+{under_way}", shown), bar


def test_a_terminal_stays_empty_when_told_to_be_quiet(out: Path) -> None:
    assert on_a_terminal("--out", out, *FASTEST, "-q", TINY) == ("", "")


# --------------------------------------------------------------------------- what is asked for


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_lists_name_masters_a_line_each(
    tmp_path: Path, out: Path, masters: Path, source: str
) -> None:
    odd = masters / os.fsdecode(b"caf\xe9.wav")
    shutil.copy(TINY, odd)
    listed = tmp_path / "list.txt"
    listed.write_bytes(os.fsencode(f"{odd}\n\n{masters / 'below'}\r\n"))
    with open(listed, "rb") as file:
        words = ["--list", "-" if source == "stdin" else str(listed), str(masters / "short.flac")]
        done = transcode(out, *FASTEST, "--json", *words, stdin=file)
    assert done.returncode == 0
    assert set(named(events(done), "pressed")) == {odd.name, "ode-24.wav", "short.flac"}


def test_a_list_that_is_not_there_is_named(out: Path) -> None:
    done = transcode(out, "--list", "nowhere.txt")
    assert done.returncode == 1
    assert "list-unreadable" in done.stderr and "nowhere.txt" in done.stderr
    assert not out.exists()


def test_another_ladder_makes_other_tiers(tmp_path: Path, out: Path) -> None:
    ladder = tmp_path / "ladder.toml"
    ladder.write_text('[[tier]]\nname = "small"\ncodec = "aac"\nbitrate_kbps = 64\n')
    (pressed,) = named(
        events(transcode(out, "--ladder", ladder, "--json", SHORT)), "pressed"
    ).values()
    assert [rendition["tier"] for rendition in pressed["renditions"]] == ["small"]
    ladder.write_text('[[tier]]\nname = "small"\ncodec = "mp3"\n')
    refused = transcode(out, "--ladder", ladder, SHORT)
    assert refused.returncode == 1
    assert "ladder-invalid" in refused.stderr and "mp3" in refused.stderr


@pytest.mark.parametrize(
    ("jobs", "order"),
    [("1", ["short.flac", "long.wav", "tiny.wav"]), ("2", ["short.flac", "tiny.wav", "long.wav"])],
)
def test_jobs_are_how_many_masters_are_under_way_and_change_no_byte(
    out: Path, long_master: Path, undisturbed: dict[str, bytes], jobs: str, order: list[str]
) -> None:
    told = events(transcode(out, *FAST, *line_up(long_master), "--jobs", jobs, "--json"))
    assert list(named(told, "pressed")) == order
    assert files_of(out) == undisturbed


def test_an_output_below_the_masters_is_made_and_never_searched(masters: Path) -> None:
    words = ["transcode", *FASTEST, "--json", "--out", "deep/out", "."]
    assert lathe(*words, cwd=masters).returncode == 0
    assert all(map(is_whole, (masters / "deep" / "out").iterdir()))
    done = lathe(*words, cwd=masters)
    summary = events(done)[-1]
    assert (done.returncode, summary["kept"], summary["failed"]) == (0, 3, 0)


# --------------------------------------------------------------------------- dry runs


def test_a_dry_run_says_just_what_a_run_then_makes(out: Path, masters: Path) -> None:
    planned = named(events(transcode(out, "--dry-run", "--json", masters)), "planned")
    assert not out.exists()
    pressed = named(events(transcode(out, "--json", masters)), "pressed")
    assert planned.keys() == pressed.keys() == set(MASTERS)
    for name, plan in planned.items():
        made = pressed[name]
        assert plan["kept"] is False
        assert (plan["folder"], plan["samples"]) == (made["folder"], made["samples"])
        assert plan["renditions"] == [rendition["id"] for rendition in made["renditions"]]
    before = files_of(out)
    again = named(events(transcode(out, "--dry-run", "--json", masters)), "planned")
    assert all(plan["kept"] for plan in again.values())
    anew = transcode(out, "--dry-run", "--overwrite", "always", "--json", masters)
    assert not any(plan["kept"] for plan in named(events(anew), "planned").values())
    assert files_of(out) == before


def test_a_dry_run_refuses_the_masters_that_a_run_refuses(out: Path) -> None:
    words: list[str | Path] = [
        *FASTEST,
        BROKEN / "truncated.wav",
        BROKEN / "six-channels.wav",
        TINY,
    ]
    dry, real = transcode(out, "--dry-run", *words), transcode(out, *words)
    assert dry.returncode == real.returncode == 1
    assert sorted(dry.stderr.splitlines()[:-1]) == sorted(real.stderr.splitlines()[:-1])


def test_a_dry_run_gives_the_reasons_of_the_tiers_that_a_run_leaves_out(out: Path) -> None:
    dry, real = transcode(out, "--dry-run", TINY), transcode(out, TINY)
    refused = [line for line in real.stdout.splitlines() if line.startswith("  no ")]
    assert len(refused) == 3
    assert [line for line in dry.stdout.splitlines() if line.startswith("  no ")] == refused


# --------------------------------------------------------------------------- going on


def test_a_finished_master_costs_a_hash_wherever_it_is(
    tmp_path: Path, out: Path, masters: Path
) -> None:
    transcode(out, *FAST, masters)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    moved = masters.rename(tmp_path / "elsewhere")
    told = events(transcode(out, *FAST, "--json", moved))
    assert (told[-1]["pressed"], told[-1]["kept"]) == (0, 3)
    assert {each["stage"] for each in told if each["event"] == "progress"} == {"hash"}
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_a_changed_master_is_another_one(out: Path, masters: Path) -> None:
    one = masters / "tiny.wav"
    transcode(out, *FASTEST, one)
    before = files_of(out)
    one.write_bytes(one.read_bytes()[:-1] + b"\x55")
    told = events(transcode(out, *FASTEST, "--json", one))
    assert told[-1]["pressed"] == 1
    assert len(list(out.iterdir())) == 2
    assert before.items() <= files_of(out).items()


@pytest.mark.parametrize(
    ("overwrite", "tiers", "outcome", "left"),
    [
        ("never", "alac", "kept", {"alac"}),
        ("never", "aac-128", "kept", {"alac"}),
        ("if-changed", "alac", "kept", {"alac"}),
        ("if-changed", "aac-128", "pressed", {"aac-128"}),
        ("always", "alac", "pressed", {"alac"}),
    ],
)
def test_what_is_pressed_already_is_overwritten_as_asked(
    out: Path, overwrite: str, tiers: str, outcome: str, left: set[str]
) -> None:
    transcode(out, "--tiers", "alac", TINY)
    (inode,) = (folder.stat().st_ino for folder in out.iterdir())
    summary = events(transcode(out, "--tiers", tiers, "--overwrite", overwrite, "--json", TINY))[-1]
    assert (summary["kept"], summary["pressed"]) == {"kept": (1, 0), "pressed": (0, 1)}[outcome]
    (folder,) = out.iterdir()
    assert (folder.stat().st_ino == inode) is (outcome == "kept")
    assert {path.name.rpartition("-")[0] for path in (folder / "renditions").iterdir()} == left


def remove_checksums(folder: Path) -> None:
    (folder / "SHA256SUMS").unlink()


def spoil_pressing(folder: Path) -> None:
    os.truncate(folder / "pressing.json", 10)


def spoil_chunk(folder: Path) -> None:
    os.truncate(next(folder.glob("renditions/*/00000.m4s")), 10)


@pytest.mark.parametrize(
    ("damage", "overwrite"),
    [(remove_checksums, "if-changed"), (spoil_pressing, "if-changed"), (spoil_chunk, "always")],
)
def test_a_damaged_folder_is_mended(
    out: Path, damage: Callable[[Path], None], overwrite: str
) -> None:
    transcode(out, *FASTEST, TINY)
    before = files_of(out)
    (folder,) = out.iterdir()
    damage(folder)
    assert files_of(out) != before
    told = events(transcode(out, *FASTEST, "--overwrite", overwrite, "--json", TINY))
    assert told[-1]["pressed"] == 1
    assert files_of(out) == before


# --------------------------------------------------------------------------- kills


@contextmanager
def stopped_at(
    moment: Callable[[Told], bool], out: Path, words: list[str], number: signal.Signals
) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """Give a run and what it has yet to tell, just after it was sent a signal at a moment.

    Every process of the run has ``RUN={out}`` in its environment.
    """
    command = [LATHE, "transcode", "--out", str(out), *FAST, "--json", *words]
    with subprocess.Popen(
        command, env=environment(RUN=str(out)), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any(moment(json.loads(line)) for line in process.stdout), "it never came to that"
        process.send_signal(number)
        yield process, process.stdout


def require_gone(out: Path) -> None:
    wait_until(lambda: not processes_with(f"RUN={out}"), "the end of every process of the run")


def is_long(told: Told) -> bool:
    return str(told.get("file", "")).endswith("/long.wav")


MOMENTS: dict[str, Callable[[Told], bool]] = {
    "between two": lambda told: told["event"] == "pressed",
    "probing": lambda told: is_long(told) and told.get("stage") == "probe",
    "early": lambda told: is_long(told) and told.get("stage") == "press",
    "halfway": lambda told: is_long(told) and told.get("percent", 0) >= 50,
    "publishing": lambda told: is_long(told) and told.get("stage") == "publish",
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_a_killed_run_is_finished_by_the_next_one(
    out: Path,
    long_master: Path,
    undisturbed: dict[str, bytes],
    moment: Callable[[Told], bool],
) -> None:
    words = line_up(long_master)
    with stopped_at(moment, out, words, signal.SIGKILL) as (process, _):
        assert process.wait(HANG_S) == -signal.SIGKILL
    require_gone(out)
    visible = [path for path in out.glob("*") if not path.name.startswith(".lathe-")]
    assert visible and all(map(is_whole, visible))
    assert transcode(out, *FAST, *words).returncode == 0
    assert files_of(out) == undisturbed


def test_a_press_under_way_is_seen_by_the_marks_of_its_processes(
    out: Path, long_master: Path
) -> None:
    """What other tests find gone was there."""
    with stopped_at(MOMENTS["early"], out, [str(long_master)], signal.SIGSTOP) as (process, _):
        assert len(processes_with(f"RUN={out}")) > 1
        process.kill()
    require_gone(out)


def test_an_interrupted_run_leaves_what_is_whole_and_goes_on(out: Path, long_master: Path) -> None:
    words = line_up(long_master)
    with stopped_at(MOMENTS["early"], out, words, signal.SIGINT) as (process, rest):
        summary = json.loads(rest.read().splitlines()[-1])
    assert process.returncode == 130
    assert not processes_with(f"RUN={out}")
    assert (summary["interrupted"], summary["pressed"], summary["failed"]) == (True, 1, 0)
    (folder,) = out.iterdir()
    assert is_whole(folder)
    done = transcode(out, *FAST, "--json", *words)
    summary = events(done)[-1]
    assert (done.returncode, summary["kept"], summary["pressed"]) == (0, 1, 2)


def test_two_runs_at_once_make_one_whole_folder_of_each_master(out: Path, masters: Path) -> None:
    command = [LATHE, "transcode", "--out", str(out), *FAST, "--json", str(masters)]
    runs = [
        subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL) for _ in range(2)
    ]
    assert [run.wait(HANG_S) for run in runs] == [0, 0]
    folders = list(out.iterdir())
    assert len(folders) == 3
    assert all(map(is_whole, folders))


# --------------------------------------------------------------------------- hostile input


HOSTILE = {
    "bits-8.wav": "master-depth",
    "changes-format.flac": "master-changes-format",
    "channels-64.wav": "master-channels",
    "empty.flac": "master-empty",
    "flipped.flac": "master-corrupt",
    "float-32.wav": "master-depth",
    "garbage.flac": "master-unreadable",
    "gone.wav": "master-not-a-file",
    "header-only.wav": "master-has-no-samples",
    "link.wav": "master-outside-tree",
    "lying-4gb.wav": "master-truncated",
    "picture.m4a": "master-has-no-audio",
    "pipe.wav": "master-not-a-file",
    "rate-22050.wav": "master-rate",
    "six-channels.wav": "master-channels",
    "text.wav": "master-unreadable",
    "truncated.aiff": "master-truncated",
    "truncated.flac": "master-truncated",
    "truncated.m4a": "master-unreadable",
    "truncated.wav": "master-truncated",
    "video.mp4": "master-has-video",
    "wrong-md5.flac": "master-checksum",
}
NEVER_OPENED = {"gone.wav", "link.wav", "pipe.wav"}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A run on a folder of everything that must be refused, with good masters at both ends."""
    folder = shutil.copytree(BROKEN, tmp_path_factory.mktemp("hostile") / "masters")
    make_wav(folder / "channels-64.wav", samples=1000, channels=64)
    make_video(folder / "video.mp4")
    os.mkfifo(folder / "pipe.wav")
    shutil.copy(TINY, folder.parent / "outside.wav")
    (folder / "link.wav").symlink_to("../outside.wav")
    (folder / "gone.wav").symlink_to("nowhere.wav")
    shutil.copy(TINY, folder / "a-good.wav")
    shutil.copy(SHORT, folder / "z-good.flac")
    return transcode(folder.parent / "out", *FASTEST, "--json", folder)


def make_video(path: Path) -> None:
    picture = ["-f", "lavfi", "-i", "testsrc=size=32x32:duration=0.2"]
    sound = ["-f", "lavfi", "-i", "sine=sample_rate=44100:duration=0.2"]
    command = ["ffmpeg", "-v", "error", *picture, *sound, "-c:v", "mpeg4", str(path)]
    subprocess.run(command, env=environment(), check=True, timeout=HANG_S)


def test_every_bad_file_has_its_own_code_and_stops_no_other(refusals: Done) -> None:
    told = events(refusals)
    assert {name: each["code"] for name, each in named(told, "failed").items()} == HOSTILE
    assert set(named(told, "pressed")) == {"a-good.wav", "z-good.flac"}
    assert refusals.returncode == 1


def test_every_failure_names_file_rule_figures_and_what_to_do(refusals: Done) -> None:
    failed = named(events(refusals), "failed").values()
    for each in failed:
        figures = ", ".join(f"{name} = {value}" for name, value in each["measured"].items())
        shown = f"  {each['detail']}{f' ({figures})' if figures else ''}\n  {each['advice']}\n"
        said = f"lathe: {each['file']}: {each['code']}: {each['title']}.\n{shown}"
        assert said in refusals.stderr
        assert each["title"] and each["detail"] and each["advice"]
    assert len(refusals.stderr.splitlines()) == 3 * len(failed)


@pytest.mark.parametrize("name", sorted(HOSTILE.keys() - NEVER_OPENED))
def test_what_was_measured_is_told(refusals: Done, name: str) -> None:
    assert named(events(refusals), "failed")[name]["measured"]


ODD_NAMES = [
    b"line\nbreak.wav",
    b"tab\there.wav",
    b"-",
    b"-dash.wav",
    b"--json.wav",
    b"%(x)s.wav",
    b"concat:a|b.wav",
    b"caf\xe9.wav",
    "音楽 – été.wav".encode(),
    "\u202e.wav".encode(),
]


def test_odd_names_stay_on_their_line(tmp_path: Path, out: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    names = [os.fsdecode(name) for name in ODD_NAMES]
    for name in names:
        shutil.copy(TINY, folder / name)
    told = events(transcode(out, *FASTEST, "--json", "--", *names, cwd=folder))
    assert sorted(each["file"] for each in told if each["event"] == "pressed") == sorted(names)
    words = transcode(out, *FASTEST, "--", *names, cwd=folder)
    assert (words.returncode, len(words.stdout.splitlines())) == (0, 2 * len(names))
    assert all(map(is_whole, out.iterdir()))


# --------------------------------------------------------------------------- exit codes


@pytest.mark.parametrize(
    "words", [[], ["--jobs", "0", "x.wav"], ["--overwrite", "maybe", "x.wav"], ["--loud", "x.wav"]]
)
def test_wrong_usage_exits_with_2(out: Path, words: list[str]) -> None:
    done = transcode(out, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: lathe transcode" in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("file", "tiers", "finding"),
    [
        ("lossy.mp3", "aac-128", "the master is lossy (mp3)"),
        ("short.flac", "alac,alac-hires", "no alac-hires: the master has 16 bits"),
    ],
)
def test_findings_exit_with_3(out: Path, file: str, tiers: str, finding: str) -> None:
    for _ in ("pressed", "kept"):
        done = transcode(out, "--tiers", tiers, FIXTURES / file)
        assert done.returncode == 3
        assert f"{file}: {finding}" in done.stderr


def test_a_missing_ffmpeg_exits_with_4(tmp_path: Path, out: Path) -> None:
    done = transcode(out, *FASTEST, TINY, env={"PATH": str(tmp_path)})
    assert done.returncode == 4
    assert "tool-missing" in done.stderr and "ffprobe" in done.stderr
    assert not out.exists() or not list(out.iterdir())


def test_a_full_disk_exits_with_4_and_leaves_nothing(out: Path) -> None:
    full = ["prlimit", "--fsize=100000"]
    done = transcode(out, *FASTEST, FIXTURES / "canon-1.flac", through=full)
    assert done.returncode == 4
    assert "output-not-writable" in done.stderr
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_closed_output_exits_with_4(out: Path, mode: int) -> None:
    out.mkdir(mode=mode)
    done = transcode(out, *FASTEST, TINY, through=AS_ORDINARY_USER)
    out.chmod(0o700)
    assert (done.returncode, done.stdout) == (4, "")
    assert "output-not-writable" in done.stderr and "Permission denied" in done.stderr
    assert list(out.iterdir()) == []


def test_a_closed_master_stops_no_other(out: Path, masters: Path) -> None:
    closed = masters / "tiny.wav"
    closed.chmod(0o000)
    words: list[str | Path] = [*FASTEST, "--json", closed, masters / "short.flac"]
    done = transcode(out, *words, through=AS_ORDINARY_USER)
    assert done.returncode == 1, done.stderr
    assert named(events(done), "failed")["tiny.wav"]["code"] == "master-not-a-file"
    assert set(named(events(done), "pressed")) == {"short.flac"}


# --------------------------------------------------------------------------- completion


BESIDE_LATHE = f"{Path(LATHE).parent}:{os.environ['PATH']}"


@pytest.mark.parametrize(
    ("words", "place", "completed"),
    [
        ("trans", 1, "transcode"),
        ("transcode --over", 2, "--overwrite"),
        ("transcode --overwrite if", 3, "if-changed"),
    ],
)
def test_bash_completes_commands_options_and_choices(
    words: str, place: int, completed: str
) -> None:
    program = f"""
eval "$(lathe completion bash)"
COMP_WORDS=(lathe {words}); COMP_CWORD={place}
_lathe_completion lathe; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    command = ["bash", "--norc", "--noprofile", "-c", program]
    path = {"PATH": BESIDE_LATHE}
    done = subprocess.run(command, env=path, capture_output=True, text=True, timeout=HANG_S)
    assert done.stdout.split() == [completed], done.stderr


def test_bash_completes_at_the_touch_of_a_key(tmp_path: Path) -> None:
    screen, terminal = pty.openpty()
    command = ["bash", "--norc", "--noprofile", "-i"]
    plain = {"PATH": BESIDE_LATHE, "TERM": "dumb", "PS1": "ready> ", "HOME": str(tmp_path)}
    with subprocess.Popen(
        command,
        env=plain,
        cwd=tmp_path,
        start_new_session=True,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        for line in ('eval "$(lathe completion bash)"', "lathe comp\tba\t> made", "exit"):
            wait_for_prompt(screen)
            os.write(screen, f"{line}\n".encode())
        assert process.wait(HANG_S) == 0
    os.close(screen)
    assert (tmp_path / "made").read_text() == lathe("completion", "bash").stdout


def wait_for_prompt(screen: int) -> None:
    shown = b""
    for data in read_all(screen):
        shown += data
        if shown.endswith(b"ready> "):
            return
    raise AssertionError(f"bash left: {shown!r}")


@pytest.mark.parametrize(
    ("shell", "registers", "asks", "answer"),
    [
        ("zsh", "#compdef lathe", {"COMP_WORDS": "lathe trans", "COMP_CWORD": "1"}, "transcode"),
        ("fish", "--command lathe", {"COMP_WORDS": "lathe", "COMP_CWORD": "trans"}, "transcode"),
    ],
)
def test_other_shells_have_a_script_and_are_answered(
    shell: str, registers: str, asks: dict[str, str], answer: str
) -> None:
    script = lathe("completion", shell)
    assert (script.returncode, script.stderr) == (0, "")
    assert registers in script.stdout and f"_LATHE_COMPLETE={shell}_complete" in script.stdout
    asked = lathe(env=environment(_LATHE_COMPLETE=f"{shell}_complete", **asks))
    assert asked.returncode == 0
    assert answer in asked.stdout
