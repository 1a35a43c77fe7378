"""Masters pressed for tests: what was declared, what was stored, and what the encoders wrote."""

import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from catalogue.nouns import Chunk, Codec, Pressing, Rendition, StoredObject
from pipeline.cutting.cut import Cut
from pipeline.master import hash_file
from pipeline.press import PressPlan, plan_press, press
from pipeline.tiers import read_ladder
from pipeline.transcode import transcode
from storage.keys import rendition_key
from storage.local import LocalStore
from tests.audio_tools import decode

LADDER = read_ladder(None)

_SAMPLES = {16: ("s16le", "<i2"), 24: ("s32le", "<i4"), None: ("f32le", "<f4")}

Pcm = NDArray[np.generic]


class Uncut:
    """Stands where a cutter does, and keeps what the encoder writes as it is."""

    def __init__(self) -> None:
        self.data = bytearray()

    def feed(self, data: bytes) -> None:
        """Keep the next bytes."""
        self.data += data

    def finish(self, samples: int) -> Cut:
        """Nothing is cut here."""
        raise AssertionError("an uncut stream is not finished")


@dataclass(frozen=True)
class Pressed:
    """A pressing in a store of its own."""

    path: Path
    plan: PressPlan
    pressing: Pressing
    store: LocalStore
    _joined: dict[str, Pcm] = field(default_factory=dict)

    @property
    def tiers(self) -> dict[str, Rendition]:
        return {rendition.tier.name: rendition for rendition in self.pressing.renditions}

    def read(self, rendition: Rendition, stored: StoredObject) -> bytes:
        return self.store.read(rendition_key(rendition.id, stored.name))

    def joined(self, rendition: Rendition) -> bytes:
        """Return the init object and every body, one after the other."""
        bodies = [self.read(rendition, chunk.body) for chunk in rendition.chunks]
        return self.read(rendition, rendition.init) + b"".join(bodies)

    def alone(self, rendition: Rendition, chunk: Chunk) -> bytes:
        """Return what a player needs to decode one chunk without the others."""
        preroll = b""
        if rendition.preroll is not None:
            whole = self.read(rendition, rendition.preroll)
            preroll = whole[chunk.preroll_offset : chunk.preroll_offset + chunk.preroll_size]
        init = self.read(rendition, rendition.init)
        return init + preroll + self.read(rendition, chunk.body)

    def joined_pcm(self, rendition: Rendition) -> Pcm:
        """Return what the joined stream decodes to, in rows of one sample of every channel."""
        if rendition.id not in self._joined:
            self._joined[rendition.id] = pcm_of(rendition, self.joined(rendition))
        return self._joined[rendition.id]

    def uncut(self) -> dict[str, bytes]:
        """Encode the master once more, and return what each encoder wrote, by tier."""
        written = {recipe.tier.name: Uncut() for recipe in self.plan.recipes}
        lane = [(recipe, written[recipe.tier.name]) for recipe in self.plan.recipes]
        transcode(
            self.path,
            self.plan.master,
            [lane],
            listen=lambda _: None,
            meter=lambda _: None,
            progress=lambda _: None,
            should_stop=lambda: False,
        )
        return {tier: bytes(stream.data) for tier, stream in written.items()}


def press_file(path: Path, root: Path, *, tiers: Sequence[str] = (), lanes: int = 2) -> Pressed:
    """Press a file at every tier it earns, or only at those named, into a store at ``root``."""
    ladder = [tier for tier in LADDER if not tiers or tier.name in tiers]
    plan, store = plan_press(path, hash_file(path), ladder), LocalStore(root)
    return Pressed(path, plan, press(path, plan, store, lanes=lanes), store)


def make_wav(
    path: Path, *, samples: int, rate_hz: int = 44_100, bits: int = 16, channels: int = 2
) -> Path:
    """Write tones and noise as a WAV, the same each time, and return its path."""
    noise = np.random.default_rng(samples).uniform(-0.2, 0.2, (samples, channels))
    tone = np.sin(np.arange(samples)[:, np.newaxis] * (0.05 + 0.01 * np.arange(channels)))
    whole = np.rint((0.6 * tone + noise) * 2 ** (bits - 1)).astype("<i4")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(bits // 8)
        file.setframerate(rate_hz)
        file.writeframes(whole.view("u1").reshape(-1, 4)[:, : bits // 8].tobytes())
    return path


def pcm_of(rendition: Rendition, stream: bytes) -> Pcm:
    """Return what ffmpeg decodes from a stream of a rendition: a row per sample."""
    name, kind = _SAMPLES[rendition.bits]
    return np.frombuffer(decode(stream, name), np.dtype(kind)).reshape(-1, rendition.channels)


def padding_heard(rendition: Rendition) -> int:
    """Return the samples after the last valid one that ffmpeg plays: those of AAC's last frame."""
    return rendition.padding_samples if rendition.tier.codec is Codec.AAC else 0
