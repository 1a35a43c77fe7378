"""Decoding for tests: an ffmpeg that lathe's own code does not touch."""

import json
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "fixtures" / "audio"
BROKEN = FIXTURES / "broken"


@dataclass(frozen=True)
class Fact:
    """The truth about a fixture, as it was made."""

    file: str
    format: str
    rate_hz: int
    bits: int | None
    channels: int
    samples: int
    pcm_sha256: str | None

    @property
    def path(self) -> Path:
        return FIXTURES / self.file


@cache
def facts() -> tuple[Fact, ...]:
    """Return the facts of every valid fixture."""
    rows = json.loads((FIXTURES / "facts.json").read_text())
    names = Fact.__dataclass_fields__
    return tuple(Fact(**{name: row[name] for name in names}) for row in rows)


def fact(file: str) -> Fact:
    """Return the facts of one fixture."""
    return next(each for each in facts() if each.file == file)


def decode(source: bytes | Path | str, pcm: str = "s16le", *options: str) -> bytes:
    """Return the interleaved PCM that ffmpeg decodes from bytes, a file or a URL."""
    given = source if isinstance(source, bytes) else None
    name = "pipe:0" if given is not None else str(source)
    command = ["ffmpeg", "-v", "error", *options, "-i", name, "-map", "0:a:0", "-f", pcm, "-"]
    done = subprocess.run(command, input=given, capture_output=True, timeout=120, check=True)
    return done.stdout


def pcm_format(bits: int | None) -> str:
    """Return ffmpeg's name for packed PCM of a depth; float for lossy codings."""
    return {16: "s16le", 24: "s24le", None: "f32le"}[bits]


def frame_bytes(bits: int | None, channels: int) -> int:
    """Return the bytes of one sample of all channels in ``pcm_format``."""
    return {16: 2, 24: 3, None: 4}[bits] * channels
