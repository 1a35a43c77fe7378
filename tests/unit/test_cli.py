import json
import os
import re
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import pytest

from catalogue.nouns import JobId, JobState
from catalogue.port import Jobs
from lathe.settings import Settings
from lathe.wiring import open_house
from storage.keys import master_key
from tests.audio_tools import BROKEN, FIXTURES, fact
from tests.contract.examples import make_delivery, make_metadata
from tests.e2e.servers import HANG_S, LATHE, wait_until

Done = subprocess.CompletedProcess[str]

JOB = JobId("job_1")

TINY, ODE = FIXTURES / "tiny.wav", FIXTURES / "ode.wav"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    """The folder that commands run in; whatever they keep is below it."""
    yield tmp_path
    assert {each.name for each in tmp_path.iterdir()} <= {"out", "state", "mine"}


def lathe(here: Path, *words: str | Path, **environment: str) -> Done:
    """Run the command line with an environment of its own."""
    plain = {"PATH": os.environ["PATH"], "LATHE_STATE": str(here / "state")}
    return subprocess.run(
        [LATHE, *map(str, words)],
        env=plain | environment,
        cwd=here,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=HANG_S,
        check=False,
    )


def transcode(here: Path, *words: str | Path, **environment: str) -> Done:
    return lathe(here, "transcode", "--out", here / "out", *words, **environment)


def manifests(here: Path) -> list[Path]:
    return sorted((here / "out").glob("*/manifest.json"))


# --------------------------------------------------------------------------- words


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_names_every_command(here: Path, word: str) -> None:
    done = lathe(here, word)
    assert (done.returncode, done.stderr) == (0, "")
    for command in ("transcode", "inspect", "serve", "worker", "keys"):
        assert re.search(rf"^  {command} +[A-Z].*\.$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("command", ["transcode", "keys"])
def test_a_command_has_help(here: Path, command: str) -> None:
    done = lathe(here, command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: lathe {command}")


def test_the_version_is_the_package_s(here: Path) -> None:
    done = lathe(here, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"lathe, version {version('lathe')}\n"


def test_asking_for_help_loads_no_part_of_the_plant() -> None:
    program = """
import sys
from lathe.cli import main
sys.argv = ["lathe", "--help"]
try:
    main()
finally:
    heavy = {"fastapi", "sqlalchemy", "dramatiq", "ffmpeg", "pydantic"} & set(sys.modules)
    sys.stderr.write(" ".join(sorted(heavy)))
"""
    python = Path(LATHE).with_name("python")
    done = subprocess.run(
        [python, "-c", program], capture_output=True, text=True, timeout=HANG_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# --------------------------------------------------------------------------- 2: usage


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["polish"],
        ["transcode"],
        ["transcode", "x.wav"],
        ["transcode", "--out", "out", "--jobs", "0", "x.wav"],
        ["transcode", "--out", "out", "--overwrite", "sometimes", "x.wav"],
        ["keys", "create"],
    ],
)
def test_wrong_usage_exits_with_2(here: Path, words: list[str]) -> None:
    done = lathe(here, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: lathe" in done.stderr
    assert list(here.iterdir()) == []


# --------------------------------------------------------------------------- 0: done


def test_a_pressed_master_exits_with_0(here: Path) -> None:
    done = transcode(here, "--tiers", "aac-256,alac", ODE)
    assert done.returncode == 0, done.stderr
    assert f"{fact('ode.wav').samples} samples at 44100 Hz, aac-256 alac" in done.stdout
    (manifest,) = manifests(here)
    assert str(manifest.parent) in done.stdout
    told = json.loads(manifest.read_text("utf-8"))
    assert [each["tier"] for each in told["renditions"]] == ["aac-256", "alac"]


@pytest.mark.parametrize("word", ["never", "if-changed", "always"])
def test_overwriting_is_chosen_in_the_words_of_the_documentation(here: Path, word: str) -> None:
    done = transcode(here, "--tiers", "alac", "--overwrite", word, TINY)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["été – 春.wav", "two  words.wav", "-dash.wav", "100%d.wav"])
def test_a_master_may_have_any_name(here: Path, name: str) -> None:
    (here / "mine").mkdir()
    path = here / "mine" / name
    path.write_bytes(TINY.read_bytes())
    done = transcode(here, "--tiers", "alac", "--", path)
    assert done.returncode == 0, done.stderr
    assert len(manifests(here)) == 1


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_name_need_not_be_unicode(here: Path, locale: str) -> None:
    (here / "mine").mkdir()
    path = here / "mine" / os.fsdecode(b"\xe9t\xe9.wav")
    path.write_bytes(TINY.read_bytes())
    done = transcode(here, "--tiers", "alac", path, LC_ALL=locale)
    assert done.returncode == 0, done.stderr
    assert len(manifests(here)) == 1


def test_a_key_is_printed_once_and_stored_as_a_hash(here: Path) -> None:
    done = lathe(here, "keys", "create", "the label")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"lathe_[0-9a-f]{16}_[A-Za-z0-9_-]{43}\n", done.stdout)
    secret = done.stdout.strip().split("_", 2)[2].encode()
    kept = [path.read_bytes() for path in (here / "state").rglob("*") if path.is_file()]
    assert kept
    assert not any(secret in data for data in kept)


# --------------------------------------------------------------------------- 1: failed


@pytest.mark.parametrize(
    ("file", "code", "measured"),
    [
        ("truncated.wav", "master-truncated", "declared_samples = 8027, present_samples = 4811"),
        ("empty.flac", "master-empty", "size_bytes = 0"),
        ("six-channels.wav", "master-channels", "channels = 6"),
        ("text.wav", "master-unreadable", "tool = "),
    ],
)
def test_a_broken_master_says_what_is_wrong_what_was_measured_and_what_to_do(
    here: Path, file: str, code: str, measured: str
) -> None:
    done = transcode(here, BROKEN / file)
    assert (done.returncode, done.stdout) == (1, "")
    fault, detail, advice, *_ = done.stderr.splitlines()
    assert re.fullmatch(rf"lathe: {re.escape(str(BROKEN / file))}: {code}: The master.+\.", fault)
    assert re.fullmatch(rf"  .+\. \(.*{measured}.*\)", detail)
    assert re.fullmatch(r"  [A-Z].+\.", advice)
    assert manifests(here) == []


def test_one_that_fails_does_not_stop_the_others(here: Path) -> None:
    done = transcode(here, "--tiers", "alac", BROKEN / "empty.flac", TINY, here / "none.wav", ODE)
    assert done.returncode == 1
    assert "master-empty" in done.stderr
    assert "master-not-a-file" in done.stderr
    assert len(manifests(here)) == 2


@pytest.mark.parametrize("tiers", ["mp3-128", "alac,mp3-128", "ALAC", ""])
def test_an_unknown_tier_stops_before_anything_is_pressed(here: Path, tiers: str) -> None:
    done = transcode(here, "--tiers", tiers, TINY)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("lathe: tier-unknown: There is no tier of that name.\n")
    assert "aac-256" in done.stderr
    assert list(here.iterdir()) == []


def test_a_tier_that_is_not_earned_fails(here: Path) -> None:
    done = transcode(here, "--tiers", "alac-hires", TINY)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no-tier-earned" in done.stderr
    assert "the master has 16 bits" in done.stderr


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [
        ("serve", "LATHE_PORT", "eighty-six"),
        ("serve", "LATHE_TRUSTED_EDGES", "10.0.0.0/8"),
        ("serve", "LATHE_CATALOGUE", "nonsense"),
        ("worker", "LATHE_QUEUE", "inline:"),
        ("worker", "LATHE_QUEUE", "redis://127.0.0.1:no-port"),
    ],
)
def test_a_bad_setting_is_named_and_not_quoted(
    here: Path, command: str, name: str, value: str
) -> None:
    done = lathe(here, command, **{"LATHE_PORT": "0", name: value})
    assert done.returncode == 1
    assert done.stderr.startswith("lathe: settings-invalid: ")
    assert f"setting = {name}" in done.stderr
    assert value == "inline:" or value not in done.stderr
    assert "Traceback" not in done.stderr


# --------------------------------------------------------------------------- 4: unavailable


def test_a_missing_tool_exits_with_4(here: Path) -> None:
    done = transcode(here, TINY, PATH=str(here))
    assert (done.returncode, done.stdout) == (4, "")
    assert "tool-missing" in done.stderr
    assert "Install the Debian package ffmpeg." in done.stderr


def test_an_output_that_is_no_folder_exits_with_4(here: Path) -> None:
    (here / "out").write_text("a file")
    done = transcode(here, TINY)
    assert (done.returncode, done.stdout) == (4, "")
    assert "output-not-writable" in done.stderr
    assert (here / "out").read_text() == "a file"


def test_a_state_that_is_no_folder_exits_with_4(here: Path) -> None:
    (here / "state").write_text("a file")
    done = lathe(here, "keys", "create", "the label")
    assert (done.returncode, done.stdout) == (4, "")
    assert "output-not-writable" in done.stderr


def test_a_catalogue_that_is_away_exits_with_4(here: Path) -> None:
    url = f"sqlite:///{here}/no-such-folder/x.sqlite3"
    done = lathe(here, "keys", "create", "the label", LATHE_CATALOGUE=url)
    assert (done.returncode, done.stdout) == (4, "")
    assert "catalogue-unavailable" in done.stderr


def test_a_taken_port_exits_with_4(here: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = lathe(here, "serve", LATHE_PORT=str(port))
    assert (done.returncode, done.stdout) == (4, "")
    assert "address-unavailable" in done.stderr
    assert f"port = {port}" in done.stderr


# --------------------------------------------------------------------------- 130: interrupted


def make_long_master(path: Path) -> None:
    """Write half an hour of silence that takes no space on disk."""
    data_bytes = 1800 * 44_100 * 4
    layout = struct.pack("<IHHIIHH", 16, 1, 2, 44_100, 44_100 * 4, 4, 16)
    riff = b"RIFF" + struct.pack("<I", 36 + data_bytes) + b"WAVEfmt " + layout
    with open(path, "wb") as file:
        file.write(riff + b"data" + struct.pack("<I", data_bytes))
        file.truncate(44 + data_bytes)


def is_worked_on(path: Path) -> bool:
    """Return whether any process has ``path`` in its command line."""
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if os.fsencode(path) in line.read_bytes():
                return True
    return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_press_exits_with_130_and_leaves_nothing(
    here: Path, number: signal.Signals
) -> None:
    (here / "mine").mkdir()
    master = here / "mine" / "long.wav"
    make_long_master(master)
    command = [
        LATHE,
        "transcode",
        "--json",
        "--tiers",
        "alac",
        "--out",
        str(here / "out"),
        str(master),
    ]
    environment = {"PATH": os.environ["PATH"]}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        begun = (json.loads(line) for line in process.stdout)
        assert any(event.get("stage") == "press" for event in begun)
        process.send_signal(number)
        rest = [json.loads(line) for line in process.stdout]
        assert process.wait(HANG_S) == 130
    assert not {"pressed", "failed"} & {event["event"] for event in rest}
    assert list((here / "out").iterdir()) == []
    wait_until(lambda: not is_worked_on(master), "the end of every child")


@contextmanager
def serving(here: Path) -> Iterator[subprocess.Popen[str]]:
    """Run ``lathe serve`` in a process that is gone afterwards; it answers at the URL it prints."""
    environment = {"PATH": os.environ["PATH"], "LATHE_STATE": str(here / "state")}
    environment["LATHE_PORT"] = "0"
    command = [LATHE, "serve"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("origin: http://127.0.0.1:")
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_origin_hands_its_jobs_back(here: Path, number: signal.Signals) -> None:
    with house_with_a_long_job(here) as jobs:
        with serving(here) as process:
            wait_until(lambda: jobs.get(JOB).stage == "press", "the press")
            process.send_signal(number)
            process.wait(HANG_S)
        job = jobs.get(JOB)
    assert (job.state, job.attempts, job.claim) == (JobState.QUEUED, 0, None)


@contextmanager
def house_with_a_long_job(here: Path) -> Iterator[Jobs]:
    """Give the ledger of a plant that has one job to do, which takes minutes."""
    house = open_house(Settings(state=here / "state"))
    delivery = make_delivery()
    master = house.store.staging() / "long.wav"
    make_long_master(master)
    house.store.adopt(master_key(delivery.master_sha256), master)
    house.tracks.accept(delivery, make_metadata(), JOB)
    yield house.jobs
    house.broker.close()
    house.engine.dispose()
