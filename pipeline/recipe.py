"""How a rendition is made, in full: what decides its bytes besides the master."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from catalogue.nouns import Codec, Master, RenditionId, Tier
from pipeline.cutting.grid import GRID_UNIT_SAMPLES, samples_at

CUTTER_VERSION = 1
"""Raised whenever the cutters write other bytes for the same coded frames."""

RESAMPLER = {"resampler": "soxr", "precision": "28"}
DITHER = {"dither_method": "triangular"}
DITHER_FRAME_SAMPLES = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What one tier of one master is made by.

    ``encoder`` are ffmpeg's output options; ``rate_hz``, ``bits`` (null for lossy codings) and
    ``channels`` are those of the rendition; ``grid_hz`` is the base rate of the master's family,
    on whose grid it is cut. A rate outside the family is made from the base rate.
    """

    tier: Tier
    rate_hz: int
    grid_hz: int
    channels: int
    bits: int | None
    encoder: Mapping[str, str | int]
    build: str

    @property
    def version(self) -> str:
        """The recipe's identity: 12 hexadecimal digits over everything in it."""
        parts = {
            "cutter": CUTTER_VERSION,
            "codec": self.tier.codec,
            "rate_hz": self.rate_hz,
            "grid_hz": self.grid_hz,
            "channels": self.channels,
            "bits": self.bits,
            "encoder": dict(self.encoder),
            "resampler": RESAMPLER,
            "dither": {**DITHER, "frame_samples": DITHER_FRAME_SAMPLES},
            "build": self.build,
        }
        text = json.dumps(parts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def samples_of(self, samples: int, master_rate_hz: int) -> int:
        """Return how many samples a master of ``samples`` at its own rate gives."""
        if self.tier.hires:
            return samples
        at_base = samples_at(samples, from_hz=master_rate_hz, to_hz=self.grid_hz)
        return samples_at(at_base, from_hz=self.grid_hz, to_hz=self.rate_hz)

    def rendition_id(self, master: Master) -> RenditionId:
        """Return the id of the rendition of ``master``: tier, and a hash of master and recipe."""
        text = f"{master.sha256} {self.tier.name} {self.version}"
        return RenditionId(f"{self.tier.name}-{hashlib.sha256(text.encode()).hexdigest()[:32]}")


def plan_recipe(master: Master, tier: Tier, *, build: str) -> Recipe:
    """Return the recipe of ``tier`` for ``master`` on the ffmpeg build ``build``."""
    if not tier.codec.lossless:
        bits = None
    elif tier.hires:
        bits = master.bits
    else:
        bits = 16
    return Recipe(
        tier=tier,
        rate_hz=master.rate_hz if tier.hires else tier.rate_hz or master.base_rate_hz,
        grid_hz=master.base_rate_hz,
        channels=master.channels,
        bits=bits,
        encoder=_encoder_options(master, tier, bits),
        build=build,
    )


def _encoder_options(master: Master, tier: Tier, bits: int | None) -> dict[str, str | int]:
    bitrate = f"{tier.mono_bitrate_kbps if master.channels == 1 else tier.bitrate_kbps}k"
    fragmented: dict[str, str | int] = {
        "format": "mp4",
        # One fragment a second keeps the pipe's latency and memory small; the cutter regroups.
        "frag_duration": 1_000_000,
        "movflags": "+empty_moov+default_base_moof",
    }
    match tier.codec:
        case Codec.VORBIS:
            return {"c:a": "libvorbis", "b:a": bitrate, "format": "ogg"}
        case Codec.AAC:
            # Noise substitution draws on the decoder's history: a chunk could not decode alone.
            return {**fragmented, "c:a": "aac", "b:a": bitrate, "aac_pns": 0}
        case Codec.ALAC:
            sample_format = "s16p" if bits == 16 else "s32p"
            return {**fragmented, "c:a": "alac", "sample_fmt": sample_format}
        case Codec.FLAC:
            return {
                **fragmented,
                "c:a": "flac",
                "sample_fmt": "s16" if bits == 16 else "s32",
                "frame_size": GRID_UNIT_SAMPLES,
                "compression_level": 8,
                "strict": -2,  # ffmpeg calls FLAC in MP4 experimental.
            }
