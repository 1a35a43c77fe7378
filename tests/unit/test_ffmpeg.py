"""The only place that starts processes: nothing hangs, nothing is left, failures say whose."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalogue.errors import (
    EncoderFailed,
    MasterChangesFormat,
    MasterCorrupt,
    MasterUnreadable,
    Stopped,
    ToolMissing,
)
from pipeline import ffmpeg
from tests.audio_tools import BROKEN, FIXTURES, decode
from tests.e2e.servers import children_of

TONE = ["-f", "lavfi", "-i", "sine=duration=3:sample_rate=44100"]
PCM = ["-f", "s16le"]
TONE_BYTES = 3 * 44_100 * 2
# More than pipes hold, so that who writes it must wait for who reads it.
LONG = ["-f", "lavfi", "-i", "sine=duration=60:sample_rate=44100"]
LONG_BYTES = 60 * 44_100 * 2


@pytest.fixture(autouse=True)
def no_child_is_left() -> Iterator[None]:
    """Every test here ends with the processes that were there before."""
    before = children_of(os.getpid())
    yield
    assert children_of(os.getpid()) == before


def run(
    arguments: list[str], consumer: Callable[[bytes], None], **options: Callable[[], bool]
) -> None:
    with ffmpeg.open_pipes(1) as (pipe,):
        command = ffmpeg.Command(arguments=[*arguments, f"pipe:{pipe.write_end}"], sinks=[pipe])
        ffmpeg.run_ffmpegs([command], {pipe: consumer}, **options)


def test_many_outputs_are_drained_however_slow_one_reader_is() -> None:
    sizes = dict.fromkeys(range(6), 0)

    def keep(turn: int) -> Callable[[bytes], None]:
        def consume(data: bytes) -> None:
            sizes[turn] += len(data)
            if turn == 0:
                time.sleep(0.001)

        return consume

    with ffmpeg.open_pipes(6) as pipes:
        outputs = [word for pipe in pipes for word in (*PCM, f"pipe:{pipe.write_end}")]
        command = ffmpeg.Command(arguments=[*LONG, *outputs], sinks=pipes)
        ffmpeg.run_ffmpegs([command], {pipe: keep(turn) for turn, pipe in enumerate(pipes)})
    assert sizes == dict.fromkeys(range(6), LONG_BYTES)


def test_one_ffmpeg_feeds_another() -> None:
    heard = bytearray()
    with ffmpeg.open_pipes(2) as (link, sink):
        first = ffmpeg.Command(arguments=[*TONE, *PCM, f"pipe:{link.write_end}"], sinks=[link])
        again = [*PCM, "-ar", "44100", "-ac", "1", "-i", f"pipe:{link.read_end}", *PCM]
        second = ffmpeg.Command(
            arguments=[*again, f"pipe:{sink.write_end}"], source=link, sinks=[sink]
        )
        ffmpeg.run_ffmpegs([first, second], {sink: heard.extend})
    assert len(heard) == TONE_BYTES


def test_an_encoder_that_fails_is_not_the_master_s_fault() -> None:
    with ffmpeg.open_pipes(2) as (link, sink):
        first = ffmpeg.Command(arguments=[*TONE, *PCM, f"pipe:{link.write_end}"], sinks=[link])
        bad = [*PCM, "-i", f"pipe:{link.read_end}", "-c:a", "no-such-encoder", "-f", "mp4"]
        second = ffmpeg.Command(
            arguments=[*bad, f"pipe:{sink.write_end}"], source=link, sinks=[sink]
        )
        with pytest.raises(EncoderFailed) as caught:
            ffmpeg.run_ffmpegs([first, second], {sink: lambda _: None})
    assert "no-such-encoder" in str(caught.value.measured["tool"])


def test_an_encoder_that_fails_late_says_its_last_words() -> None:
    """The one that feeds it ends too, for nobody reads what it writes; it is not blamed."""
    heard = bytearray()
    with ffmpeg.open_pipes(2) as (link, sink):
        first = ffmpeg.Command(arguments=[*LONG, *PCM, f"pipe:{link.write_end}"], sinks=[link])
        again = [*PCM, "-ar", "44100", "-ac", "1", "-i", f"pipe:{link.read_end}"]
        both = [*again, *PCM, f"pipe:{sink.write_end}", *PCM, "-y", "/dev/full"]
        second = ffmpeg.Command(arguments=both, source=link, sinks=[sink])
        with pytest.raises(EncoderFailed) as caught:
            ffmpeg.run_ffmpegs([first, second], {sink: heard.extend})
    assert 0 < len(heard) < LONG_BYTES
    assert "No space left on device" in str(caught.value.measured["tool"])


def test_a_consumer_that_raises_ends_everything() -> None:
    def refuse(_: bytes) -> None:
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        run([*LONG, *PCM], refuse)


def test_stopping_ends_everything() -> None:
    taken: list[int] = []
    with pytest.raises(Stopped):
        run([*LONG, *PCM], lambda data: taken.append(len(data)), should_stop=lambda: bool(taken))
    assert sum(taken) < LONG_BYTES


def test_a_master_that_cannot_be_decoded_is_corrupt() -> None:
    source = [
        "-xerror",
        "-err_detect",
        "crccheck+explode",
        "-i",
        str(BROKEN / "flipped.flac"),
        *PCM,
    ]
    with pytest.raises(MasterCorrupt):
        run(source, lambda _: None)


def test_a_master_that_changes_is_told_from_one_that_is_damaged() -> None:
    path = BROKEN / "changes-format.flac"
    source = ["-xerror", "-reinit_filter", "0", "-i", str(path), *PCM]
    with pytest.raises(MasterChangesFormat):
        run(source, lambda _: None)


def test_a_missing_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing) as caught:
        ffmpeg.probe(FIXTURES / "tiny.wav")
    assert caught.value.measured == {"program": "ffprobe"}


def test_an_ffmpeg_without_the_resampler_is_not_the_master_s_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(
        "#!/bin/sh\n"
        "echo '[SWR @ 0x7f7b] Requested resampling engine is unavailable' >&2\n"
        "echo 'Conversion failed!' >&2\n"
        "exit 234\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ToolMissing, match="libsoxr"):
        run(["-i", str(FIXTURES / "tiny.wav"), *PCM], lambda _: None)


def test_what_no_demuxer_opens_is_unreadable() -> None:
    with pytest.raises(MasterUnreadable):
        ffmpeg.probe(BROKEN / "text.wav")


@pytest.fixture
def silent_pipe(tmp_path: Path) -> Iterator[Path]:
    """A named pipe that somebody holds open and never writes to."""
    path = tmp_path / "silent.wav"
    os.mkfifo(path)
    held = os.open(path, os.O_RDWR)
    yield path
    os.close(held)


def test_a_probe_that_takes_too_long_is_given_up(
    silent_pipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ffmpeg, "PROBE_TIMEOUT_S", 0.2)
    with pytest.raises(MasterUnreadable) as caught:
        ffmpeg.probe(silent_pipe)
    assert caught.value.measured == {"seconds": 0.2}


def test_a_decoder_that_stands_still_is_given_up(
    silent_pipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ffmpeg, "STALL_TIMEOUT_S", 0.2)
    with pytest.raises(MasterCorrupt) as caught:
        run(["-i", str(silent_pipe), *PCM], lambda _: None)
    assert caught.value.measured == {"seconds": 0.2}


def test_a_stop_is_heard_while_nothing_comes(silent_pipe: Path) -> None:
    with pytest.raises(Stopped):
        run(["-i", str(silent_pipe), *PCM], lambda _: None, should_stop=lambda: True)


def test_pipes_are_closed_once_however_often_they_are_asked_to() -> None:
    with ffmpeg.open_pipes(3) as pipes:
        ends = [end for pipe in pipes for end in (pipe.read_end, pipe.write_end)]
        for end in ends[:3] * 2:
            pipes[0 if end in ends[:2] else 1].close(end)
        taken = os.open("/dev/null", os.O_RDONLY)
        assert taken in ends[:3], "a number that was given back is another's now"
    os.fstat(taken)
    os.close(taken)
    for end in ends:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(end)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("file:/a/b/c.wav: no", "c.wav: no"),
        ("/a/b/c.wav and file:/a/b/c.wav", "c.wav and c.wav"),
        ("[flac] no", "[flac] no"),
    ],
)
def test_words_of_a_tool_lose_the_folder(text: str, expected: str) -> None:
    assert ffmpeg.without_path(text.encode(), Path("/a/b/c.wav")) == expected


def test_the_last_packet_tells_where_a_file_ends() -> None:
    path = FIXTURES / "canon-1.flac"
    assert ffmpeg.last_packet_end(path, 44_100) == len(decode(path)) // 4 == 541_357


def test_the_build_is_told_apart_by_version_and_configuration() -> None:
    identity = ffmpeg.build_identity()
    assert identity == ffmpeg.build_identity()
    assert "libvorbis" in identity and "libsoxr" in identity
