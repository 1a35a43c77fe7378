"""Other real players over signed URLs: what each of them gives is known to the sample.

- GStreamer plays all of an AAC stream: its priming, the track, and what fills the last frame.
- VLC's transcoder never hears the last ALAC or AAC frame, which its decoder holds back.
- streamlink and yt-dlp keep the stream as it is; ffmpeg finds AAC's priming in its iTunSMPB tag.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from tests.audio_tools import Fact, decode, fact
from tests.e2e.servers import HANG_S
from tests.e2e.test_players import aac_padding, require_heard, samples_played

FILE = "prelude.flac"
MONO = "speech.flac"
PAIR = ["canon-1.flac", "canon-2.flac"]
FACES = ["master.m3u8", "manifest.mpd"]
BEST = {"alac": "alac", "flac": "flac", "aac": "aac-256"}
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


def face_url(listener: httpx.Client, track: str, face: str, codec: str) -> str:
    return urljoin(str(listener.base_url), f"/v1/tracks/{track}/{face}?codecs={codec}")


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


@pytest.mark.parametrize("file", [FILE, MONO])
@pytest.mark.parametrize("codec", list(BEST))
@pytest.mark.parametrize("face", FACES)
def test_gstreamer_plays_every_sample(
    face: str, codec: str, file: str, listener: httpx.Client, tracks: dict[str, str], tmp_path: Path
) -> None:
    truth, pcm = fact(file), tmp_path / "pcm"
    ranks = "hlsdemux2:MAX,dashdemux2:MAX,hlsdemux:NONE,dashdemux:NONE"
    source = ["uridecodebin3", f"uri={face_url(listener, tracks[file], face, codec)}"]
    convert = ["audioconvert", "dithering=none", "noise-shaping=none"]
    form = "audio/x-raw,format=S16LE,layout=interleaved"
    pipeline = [*source, "!", *convert, "!", form, "!", "filesink", f"location={pcm}"]
    run(
        ["gst-launch-1.0", "-q", *pipeline],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "GST_PLUGIN_FEATURE_RANK": ranks,
        },
    )
    heard = pcm.read_bytes()
    if codec != "aac":
        assert hashlib.sha256(heard).hexdigest() == truth.pcm_sha256
    else:
        samples = AAC_FRAME + samples_played(truth, "aac-256")
        assert len(heard) == samples * 2 * truth.channels


# --------------------------------------------------------------------------- VLC


@pytest.mark.parametrize("codec", list(BEST))
@pytest.mark.parametrize("face", FACES)
def test_vlc_plays_all_but_the_frame_it_holds_back(
    face: str, codec: str, listener: httpx.Client, tracks: dict[str, str], open_folder: Path
) -> None:
    truth, heard = fact(FILE), open_folder / "heard.wav"
    chain = f"#transcode{{acodec=s16l}}:std{{access=file,mux=wav,dst={heard}}}"
    url = face_url(listener, tracks[FILE], face, codec)
    run(
        ["cvlc", "-I", "dummy", "--no-video", "--sout", chain, url, "vlc://quit"],
        # VLC refuses to run as root.
        user="nobody" if os.geteuid() == 0 else None,
        env={"PATH": os.environ["PATH"], "HOME": str(open_folder)},
        cwd=open_folder,
    )
    with wave.open(str(heard)) as file:
        samples = file.getnframes()
        pcm = file.readframes(samples)
    recorded = decode(truth.path)
    if codec == "flac":
        assert pcm == recorded
    elif codec == "alac":
        assert samples == truth.samples - truth.samples % ALAC_FRAME
        assert pcm == recorded[: len(pcm)]
    else:
        assert samples == AAC_FRAME + samples_played(truth, "aac-256") - AAC_FRAME


# --------------------------------------------------------------------------- downloaders


@pytest.mark.parametrize("codec", list(BEST))
def test_streamlink_gives_the_whole_stream(
    codec: str, listener: httpx.Client, tracks: dict[str, str]
) -> None:
    url = face_url(listener, tracks[FILE], "master.m3u8", codec)
    stream = run([tool("streamlink"), "--no-config", "--stdout", f"hls://{url}", "best"])
    require_heard_as_s16(decode(stream), fact(FILE), BEST[codec])


def test_yt_dlp_downloads_every_tier_whole(
    listener: httpx.Client, tracks: dict[str, str], tmp_path: Path
) -> None:
    quiet: list[str | Path] = [tool("yt-dlp"), "--ignore-config", "-q", "--no-warnings"]
    for codec, tier in BEST.items():
        url = face_url(listener, tracks[FILE], "master.m3u8", codec)
        path = tmp_path / f"{tier}.mp4"
        run([*quiet, "-o", path, url], cwd=tmp_path)
        require_heard_as_s16(decode(path), fact(FILE), tier)


def tool(name: str) -> Path:
    """Return a program of the environment that runs these tests."""
    return Path(sys.executable).with_name(name)


def require_heard_as_s16(pcm: bytes, truth: Fact, tier: str) -> None:
    if tier.startswith("aac"):
        assert len(pcm) == (truth.samples + aac_padding(truth.samples)) * 2 * truth.channels
    else:
        require_heard(pcm, truth, tier)
