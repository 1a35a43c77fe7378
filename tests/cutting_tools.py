"""Streams as ffmpeg writes them for the cutters, and cutters that keep what they store."""

import hashlib
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from catalogue.nouns import Codec, Sha256, StoredObject
from pipeline.cutting.cut import Cut, Cutter
from pipeline.cutting.mp4_chunks import Mp4Cutter
from pipeline.cutting.ogg_chunks import OggCutter
from pipeline.master import hash_file
from pipeline.press import plan_press
from pipeline.tiers import read_ladder
from pipeline.transcode import transcode
from tests.audio.pressings import Uncut, make_wav

RATE_HZ = 44_100
TIERS = {
    Codec.AAC: "aac-128",
    Codec.ALAC: "alac",
    Codec.FLAC: "flac",
    Codec.VORBIS: "ogg-96",
}


@dataclass
class Shelf:
    """Keeps the objects that a cutter stores."""

    objects: dict[str, bytes] = field(default_factory=dict)

    def put(self, name: str, data: bytes) -> StoredObject:
        assert name not in self.objects, "an object is stored once"
        self.objects[name] = data
        digest = Sha256(hashlib.sha256(data).hexdigest())
        return StoredObject(name=name, size_bytes=len(data), sha256=digest)


@cache
def encoded(samples: int) -> dict[Codec, bytes]:
    """Return what each encoder writes for a mono track of ``samples``, by codec."""
    ladder = [tier for tier in read_ladder() if tier.name in TIERS.values()]
    with TemporaryDirectory() as folder:
        path = make_wav(Path(folder) / "master.wav", samples=samples, channels=1)
        plan = plan_press(path, hash_file(path), ladder)
        written = {recipe.tier.codec: Uncut() for recipe in plan.recipes}
        lane = [(recipe, written[recipe.tier.codec]) for recipe in plan.recipes]
        transcode(
            path,
            plan.master,
            [lane],
            listen=lambda _: None,
            meter=lambda _: None,
            progress=lambda _: None,
            should_stop=lambda: False,
        )
    return {codec: bytes(stream.data) for codec, stream in written.items()}


def make_cutter(codec: Codec, shelf: Shelf) -> Cutter:
    """Return the cutter of a mono rendition at 44.1 kHz."""
    if codec is Codec.VORBIS:
        return OggCutter(shelf.put, rate_hz=RATE_HZ, grid_hz=RATE_HZ)
    bits = 16 if codec.lossless else None
    return Mp4Cutter(shelf.put, codec=codec, rate_hz=RATE_HZ, channels=1, bits=bits)


def cut(codec: Codec, pieces: list[bytes], samples: int) -> tuple[Cut, dict[str, bytes]]:
    """Return the cut of a stream that comes in ``pieces``, and what was stored."""
    shelf = Shelf()
    cutter = make_cutter(codec, shelf)
    for piece in pieces:
        cutter.feed(piece)
    return cutter.finish(samples), shelf.objects


def ffprobe_packets(stream: bytes) -> list[int]:
    """Return the size of every packet that ffprobe finds in a stream."""
    command = ["ffprobe", "-v", "error", "-show_entries", "packet=size", "-of", "csv=p=0", "-"]
    done = subprocess.run(command, input=stream, capture_output=True, check=True, timeout=60)
    return [int(line.strip(",")) for line in done.stdout.decode().split()]
