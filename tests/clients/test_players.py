"""Other real players over signed URLs: what each of them gives is known to the sample.

- GStreamer plays all of an AAC stream: its priming, the track, and what fills the last frame.
- VLC's transcoder never hears the last ALAC or AAC frame, which its decoder holds back.
- streamlink and yt-dlp keep the stream as it is; ffmpeg finds AAC's priming in its iTunSMPB tag.

GStreamer and streamlink choose among tiers by themselves: where the tier matters, there is one.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from tests.audio_tools import Fact, decode, fact, frame_bytes, pcm_format
from tests.e2e.servers import HANG_S, Listener, accepted, deliver, wait_for_job
from tests.e2e.test_players import (
    LADDER,
    earned,
    require_heard,
    samples_played,
    tier_bits,
)

FILE = "prelude.flac"
MONO = "speech.flac"
PAIR = ["canon-1.flac", "canon-2.flac"]
HIRES = ["prelude-96.flac", "gymnopedie-192.flac"]
FACES = ["master.m3u8", "manifest.mpd"]
BEST = {"alac": "alac", "flac": "flac", "aac": "aac-256"}
HIRES_TIERS = ["alac-hires", "flac-hires"]
ALAC_FRAME, AAC_FRAME = 4096, 1024


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may write into."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


def run(command: Sequence[str | Path], **options: Any) -> bytes:
    """Return what a player writes to stdout; it must end well, and in time."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, timeout=HANG_S, check=False, **options)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return bytes(done.stdout)


def tier_url(listener: httpx.Client, track: str, tier: str) -> str:
    found = Listener(listener, track)
    return found.url(found.rendition(tier), "media.m3u8")


def face_url(listener: httpx.Client, track: str, face: str, codec: str = "") -> str:
    words = f"?codecs={codec}" if codec else ""
    return urljoin(str(listener.base_url), f"/v1/tracks/{track}/{face}{words}")


# --------------------------------------------------------------------------- mpv


@pytest.mark.parametrize("codec", ["alac", "flac"])
def test_mpv_joins_a_gapless_pair_to_the_recording(
    codec: str, listener: httpx.Client, tracks: dict[str, str], tmp_path: Path
) -> None:
    urls = [face_url(listener, tracks[file], "master.m3u8", codec) for file in PAIR]
    pcm = tmp_path / "pcm"
    output = ["--ao=pcm", f"--ao-pcm-file={pcm}", "--ao-pcm-waveheader=no", "--audio-format=s16"]
    run(["mpv", "--no-config", "--no-terminal", "--vid=no", "--gapless-audio=yes", *output, *urls])
    assert pcm.read_bytes() == b"".join(decode(fact(file).path) for file in PAIR)


# --------------------------------------------------------------------------- GStreamer


REPEATED = {"prelude.flac": 2, "speech.flac": 4, "prelude-96.flac": 5}
"""Masters for GStreamer: a fixture as many times as makes it last longer than 50 seconds.

GStreamer 1.22 gives up a stream now and then ("Can't push EOS on non-exposed pad") when all of it
has arrived before the decoder is linked. It reads 30 seconds ahead, and a chunk more at the most.
"""


def repeated_pcm(file: str) -> bytes:
    return decode(fact(file).path, pcm_format(fact(file).bits)) * REPEATED[file]


def repeated_fact(file: str) -> Fact:
    """Return the facts of a fixture that is repeated."""
    truth, pcm = fact(file), repeated_pcm(file)
    return replace(
        truth,
        samples=truth.samples * REPEATED[file],
        pcm_sha256=hashlib.sha256(pcm).hexdigest(),
    )


@pytest.fixture(scope="module")
def repeated(label: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The track id of every repeated fixture, by the fixture's file."""
    sent = {}
    for place, file in enumerate(REPEATED):
        truth, master = fact(file), tmp_path_factory.mktemp("repeated") / "master.wav"
        with wave.open(str(master), "wb") as written:
            written.setframerate(truth.rate_hz)
            written.setnchannels(truth.channels)
            written.setsampwidth(frame_bytes(truth.bits, 1))
            written.writeframes(repeated_pcm(file))
        sent[file] = accepted(deliver(label, master, isrc=f"ZZTST26001{place:02}"))
    jobs = {file: wait_for_job(label, job_id) for file, job_id in sent.items()}
    assert {file: job["reason"] for file, job in jobs.items()} == dict.fromkeys(sent)
    return {file: job["track_id"] for file, job in jobs.items()}


def play_with_gstreamer(url: str, sample: str, folder: Path) -> bytes:
    """Return what GStreamer's newer demuxers and its decoders give, in a format of samples."""
    pcm = folder / "pcm"
    source = ["uridecodebin3", f"uri={url}"]
    convert = ["audioconvert", "dithering=none", "noise-shaping=none"]
    form = f"audio/x-raw,format={sample},layout=interleaved"
    run(
        [
            "gst-launch-1.0",
            "-q",
            *source,
            "!",
            *convert,
            "!",
            form,
            "!",
            "filesink",
            f"location={pcm}",
        ],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "GST_PLUGIN_FEATURE_RANK": "hlsdemux2:MAX,dashdemux2:MAX,hlsdemux:NONE,dashdemux:NONE",
        },
    )
    return pcm.read_bytes()


@pytest.mark.parametrize("file", [FILE, MONO])
@pytest.mark.parametrize("codec", list(BEST))
@pytest.mark.parametrize("face", FACES)
def test_gstreamer_plays_every_sample(
    face: str,
    codec: str,
    file: str,
    listener: httpx.Client,
    repeated: dict[str, str],
    tmp_path: Path,
) -> None:
    truth, url = repeated_fact(file), face_url(listener, repeated[file], face, codec)
    heard = play_with_gstreamer(url, "S16LE", tmp_path)
    if codec != "aac":
        assert hashlib.sha256(heard).hexdigest() == truth.pcm_sha256
    else:
        samples = AAC_FRAME + samples_played(truth, "aac-256")
        assert len(heard) == samples * frame_bytes(16, truth.channels)


@pytest.mark.parametrize("tier", HIRES_TIERS)
def test_gstreamer_plays_every_sample_at_the_masters_rate_and_depth(
    tier: str, listener: httpx.Client, repeated: dict[str, str], tmp_path: Path
) -> None:
    url = tier_url(listener, repeated[HIRES[0]], tier)
    heard = play_with_gstreamer(url, "S24LE", tmp_path)
    assert hashlib.sha256(heard).hexdigest() == repeated_fact(HIRES[0]).pcm_sha256


# --------------------------------------------------------------------------- VLC


def play_with_vlc(url: str, sample: str, folder: Path) -> tuple[int, bytes]:
    """Return the rate and the PCM that VLC transcodes to, in a format of samples."""
    heard = folder / "heard.wav"
    chain = f"#transcode{{acodec={sample}}}:std{{access=file,mux=wav,dst={heard}}}"
    run(
        ["cvlc", "-I", "dummy", "--no-video", "--sout", chain, url, "vlc://quit"],
        # VLC refuses to run as root.
        user="nobody" if os.geteuid() == 0 else None,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        cwd=folder,
    )
    with wave.open(str(heard)) as file:
        return file.getframerate(), file.readframes(file.getnframes())


def without_its_last_alac_frame(pcm: bytes, size: int) -> bytes:
    samples = len(pcm) // size
    return pcm[: (samples - 1) // ALAC_FRAME * ALAC_FRAME * size]


@pytest.mark.parametrize("codec", list(BEST))
@pytest.mark.parametrize("face", FACES)
def test_vlc_plays_all_but_the_frame_it_holds_back(
    face: str, codec: str, listener: httpx.Client, tracks: dict[str, str], open_folder: Path
) -> None:
    truth = fact(FILE)
    url = face_url(listener, tracks[FILE], face, codec)
    rate_hz, heard = play_with_vlc(url, "s16l", open_folder)
    assert rate_hz == truth.rate_hz
    size = frame_bytes(16, truth.channels)
    if codec == "flac":
        assert heard == decode(truth.path)
    elif codec == "alac":
        assert heard == without_its_last_alac_frame(decode(truth.path), size)
    else:
        whole = AAC_FRAME + samples_played(truth, "aac-256")
        assert len(heard) == (whole - AAC_FRAME) * size


@pytest.mark.parametrize("file", HIRES)
@pytest.mark.parametrize("tier", HIRES_TIERS)
def test_vlc_keeps_the_masters_rate_and_depth(
    tier: str, file: str, listener: httpx.Client, tracks: dict[str, str], open_folder: Path
) -> None:
    truth = fact(file)
    url = tier_url(listener, tracks[file], tier)
    rate_hz, heard = play_with_vlc(url, "s24l", open_folder)
    assert rate_hz == truth.rate_hz
    recorded = decode(truth.path, "s24le")
    if tier == "alac-hires":
        recorded = without_its_last_alac_frame(recorded, frame_bytes(24, truth.channels))
    assert heard == recorded


# --------------------------------------------------------------------------- downloaders


@pytest.mark.parametrize(
    ("codec", "tier"), [("alac", "alac-hires"), ("flac", "flac-hires"), ("aac", "aac-256")]
)
@pytest.mark.parametrize(("scheme", "face"), [("hls", "master.m3u8"), ("dash", "manifest.mpd")])
def test_streamlink_gives_the_best_stream_whole(
    scheme: str, face: str, codec: str, tier: str, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    truth = fact(HIRES[0])
    url = face_url(listener, tracks[truth.file], face, codec)
    stream = run([tool("streamlink"), "--no-config", "--stdout", f"{scheme}://{url}", "best"])
    require_heard(decode(stream, pcm_format(tier_bits(truth, tier))), truth, tier)


# With ffmpeg 5.1, which writes no FLAC into MP4 unasked, yt-dlp cannot rewrite what came by DASH.
@pytest.mark.parametrize(
    ("face", "fixup"), [("master.m3u8", "detect_or_warn"), ("manifest.mpd", "never")]
)
def test_yt_dlp_finds_every_tier_and_downloads_it_whole(
    face: str, fixup: str, listener: httpx.Client, tracks: dict[str, str], tmp_path: Path
) -> None:
    truth = fact(HIRES[0])
    names = ["-o", str(tmp_path / "%(format_id)s.mp4"), "--fixup", fixup]
    told = ["--print", "after_move:%(fragment_base_url,url)s %(filepath)s"]
    options = ["--ignore-config", "-q", "--no-warnings", "-f", "all", *names, *told]
    url = face_url(listener, tracks[truth.file], face)
    downloaded = [
        line.split(" ", 1) for line in run([tool("yt-dlp"), *options, url]).decode().splitlines()
    ]
    paths = {tier_of(source): Path(path) for source, path in downloaded}
    assert sorted(paths) == sorted(tier for tier in earned(truth) if LADDER[tier] != "vorbis")
    for tier, path in paths.items():
        require_heard(decode(path, pcm_format(tier_bits(truth, tier))), truth, tier)


def tier_of(url: str) -> str:
    """Return the tier that a rendition's folder, or its playlist in it, is named after."""
    rendition = url.removesuffix("media.m3u8").rstrip("/").rpartition("/")[2]
    return rendition.rpartition("-")[0]


def tool(name: str) -> Path:
    """Return a program of the environment that runs these tests."""
    return Path(sys.executable).with_name(name)
