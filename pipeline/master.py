"""Probing a master: what its container declares, checked against what lathe accepts."""

import hashlib
import stat
from pathlib import Path
from typing import Any

from catalogue.errors import (
    MasterAmbiguous,
    MasterChannels,
    MasterDepth,
    MasterEmpty,
    MasterHasNoAudio,
    MasterHasNoSamples,
    MasterHasVideo,
    MasterNotAFile,
    MasterRate,
    MasterTruncated,
    MasterUnreadable,
)
from catalogue.nouns import Master, Sha256
from pipeline import ffmpeg
from pipeline.riff import read_wav_data
from pipeline.tags import read_flac_md5, read_tags

ACCEPTED_RATES_HZ = (44_100, 48_000, 88_200, 96_000, 176_400, 192_000)
ACCEPTED_BITS = (16, 24)
LOSSY_CODECS = ("mp3", "aac", "vorbis", "opus")
_LOSSLESS_CODECS = ("flac", "alac")


def hash_file(path: Path) -> Sha256:
    """Return the SHA-256 of a file's bytes. Raises MasterNotAFile."""
    require_regular_file(path)
    with open(path, "rb") as file:
        return Sha256(hashlib.file_digest(file, "sha256").hexdigest())


def require_regular_file(path: Path) -> int:
    """Return the size in bytes of a regular file. Raises MasterNotAFile."""
    try:
        status = path.stat()
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb"):
                return status.st_size
    except OSError as fault:
        raise MasterNotAFile(f"{path}: {fault.strerror}.") from fault
    raise MasterNotAFile(f"{path}: it is a folder, a pipe or a device.")


def probe_master(path: Path, sha256: Sha256) -> Master:
    """Return what the file at ``path`` declares itself to be; nothing is decoded yet.

    ``sha256`` is the hash of its bytes. Raises a subclass of InvalidInput whose name starts with
    Master for everything that lathe does not press.
    """
    size_bytes = require_regular_file(path)
    if size_bytes == 0:
        raise MasterEmpty(f"{path.name} has 0 bytes.", size_bytes=0)
    found = ffmpeg.probe(path)
    stream = _require_one_audio_stream(found.get("streams", []))
    codec = str(stream.get("codec_name", "unknown"))
    if int(stream.get("sample_rate", 0)) == 0:
        raise MasterUnreadable("Its audio stream has no format.", codec=codec)
    lossy = codec in LOSSY_CODECS
    rate_hz = _require_rate(stream)
    declared = _declared_samples(path, found, stream, rate_hz)
    if declared == 0:
        raise MasterHasNoSamples(f"{path.name} declares 0 samples.", samples=0)
    return Master(
        sha256=sha256,
        size_bytes=size_bytes,
        container=str(found.get("format", {}).get("format_name", "unknown")),
        codec=codec,
        lossy=lossy,
        rate_hz=rate_hz,
        channels=_require_channels(stream),
        bits=None if lossy else _require_bits(stream, codec),
        declared_samples=None if lossy else declared,
        audio_md5=read_flac_md5(path) if codec == "flac" else None,
        tags=read_tags(path),
    )


def _require_one_audio_stream(streams: list[dict[str, Any]]) -> dict[str, Any]:
    audio = [stream for stream in streams if stream.get("codec_type") == "audio"]
    moving = [
        stream
        for stream in streams
        if stream.get("codec_type") == "video"
        and not stream.get("disposition", {}).get("attached_pic")
    ]
    if not audio:
        raise MasterHasNoAudio("No stream of it is audio.", streams=len(streams))
    if moving:
        raise MasterHasVideo("One stream of it is video.", codec=moving[0].get("codec_name"))
    if len(audio) > 1:
        raise MasterAmbiguous(f"It holds {len(audio)} audio streams.", streams=len(audio))
    return audio[0]


def _require_rate(stream: dict[str, Any]) -> int:
    rate_hz = int(stream.get("sample_rate", 0))
    if rate_hz not in ACCEPTED_RATES_HZ:
        raise MasterRate(f"Its rate is {rate_hz} Hz.", rate_hz=rate_hz)
    return rate_hz


def _require_channels(stream: dict[str, Any]) -> int:
    channels = int(stream.get("channels", 0))
    if channels not in (1, 2):
        raise MasterChannels(f"It has {channels} channels.", channels=channels)
    return channels


def _require_bits(stream: dict[str, Any], codec: str) -> int:
    pcm = codec.startswith(("pcm_s", "pcm_u"))
    if not pcm and codec not in _LOSSLESS_CODECS:
        if codec.startswith("pcm_f"):
            bits = int(codec.removeprefix("pcm_f")[:2])
            raise MasterDepth(f"It holds {bits}-bit floating point.", bits=bits, codec=codec)
        raise MasterUnreadable(f"Its codec {codec} is none that lathe reads.", codec=codec)
    bits = int(stream.get("bits_per_raw_sample") or stream.get("bits_per_sample") or 0)
    if bits not in ACCEPTED_BITS:
        raise MasterDepth(f"It has {bits} bits a sample.", bits=bits, codec=codec)
    return bits


def _declared_samples(
    path: Path, found: dict[str, Any], stream: dict[str, Any], rate_hz: int
) -> int | None:
    """Return how many samples a channel the container promises; None where it does not say."""
    if (data := read_wav_data(path)) is not None and data.frame_bytes:
        if data.declared_bytes is None:
            return None
        if data.declared_bytes > data.present_bytes:
            raise MasterTruncated(
                "Its data chunk runs past the end of the file.",
                declared_samples=data.declared_bytes // data.frame_bytes,
                present_samples=data.present_bytes // data.frame_bytes,
            )
        return data.declared_bytes // data.frame_bytes
    if "duration_ts" not in stream:
        return 0 if found.get("format", {}).get("format_name") == "aiff" else None
    numerator, denominator = (int(part) for part in str(stream["time_base"]).split("/"))
    ticks = int(stream["duration_ts"]) * numerator * rate_hz
    return ticks // denominator if ticks % denominator == 0 else None
