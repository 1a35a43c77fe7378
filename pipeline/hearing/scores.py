"""Four scores from 0 to 1, as sums of clipped ramps over terms that each mean one thing.

Every term is independent of the track's level. What each claims is in docs/features.md; valence is
an estimate of what listeners would say and no more.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.hearing.key import Key
from pipeline.hearing.tempo import Pulse

NAMES = ("energy", "danceability", "acousticness", "valence")


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What the scores are made of, as measured.

    ``flux``: mean rise of the compressed bands a frame; ``high_flux``: that above 3 kHz;
    ``fullness_db``: mean level less its 95th percentile; ``centroid_octaves``: mean log2 of the
    power's centroid in Hz; ``flatness``: mean natural logarithm of the bands' flatness;
    ``treble_db``: share of power above 4 kHz; ``clarity``: of the pulse; ``fluctuation``: the
    exponent of detrended fluctuation analysis.
    """

    flux: float = 0.0
    high_flux: float = 0.0
    fullness_db: float = 0.0
    centroid_octaves: float = 0.0
    flatness: float = 0.0
    treble_db: float = -120.0
    clarity: float = 0.0
    fluctuation: float = 1.5
    bpm: float | None = None
    major_lead: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One addend of a score: its weight, and its value from 0 to 1."""

    name: str
    weight: float
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A score from 0 to 1 and the parts it is the sum of."""

    name: str
    parts: tuple[Part, ...]

    @property
    def value(self) -> float:
        """The sum of the weighted parts."""
        return sum(part.weight * part.value for part in self.parts)


def ramp(value: float, low: float, high: float) -> float:
    """Return 0 at ``low`` and before, 1 at ``high`` and beyond, straight between; either way up."""
    return float(np.clip((value - low) / (high - low), 0, 1))


def complete(terms: Terms, pulse: Pulse, key: Key | None) -> Terms:
    """Return the terms with what pulse and key add to them."""
    return Terms(
        flux=terms.flux,
        high_flux=terms.high_flux,
        fullness_db=terms.fullness_db,
        centroid_octaves=terms.centroid_octaves,
        flatness=terms.flatness,
        treble_db=terms.treble_db,
        clarity=pulse.clarity,
        fluctuation=terms.fluctuation,
        bpm=pulse.tempo.bpm if pulse.tempo else None,
        major_lead=key.major_lead if key else 0.0,
    )


def score(terms: Terms | None) -> dict[str, Score]:
    """Return energy, danceability, acousticness and valence; all 0 where nothing sounds."""
    if terms is None:
        return {name: Score(name=name, parts=()) for name in NAMES}
    activity = ramp(terms.flux, 0.08, 0.30)
    density = ramp(terms.fullness_db, -12, -2)
    brightness = ramp(terms.centroid_octaves, 8, 10.2)
    noise = ramp(terms.flatness, -4.5, -1.5)
    treble = ramp(terms.treble_db, -32, -12)
    clarity = ramp(terms.clarity, 0.05, 0.60)
    regularity = ramp(terms.fluctuation, 1.3, 0.5)
    hats = ramp(terms.high_flux, 0.05, 0.30)
    mode = ramp(terms.major_lead, -0.25, 0.25)
    fit = speed = 0.0
    if terms.bpm is not None:
        fit = float(np.exp(-0.5 * (np.log2(terms.bpm / 118) / 0.5) ** 2))
        speed = clarity * ramp(float(np.log2(terms.bpm)), float(np.log2(60)), float(np.log2(170)))
    found = {
        "energy": _sum(
            "energy",
            ("activity", 0.40, activity),
            ("density", 0.35, density),
            ("brightness", 0.25, brightness),
        ),
        "danceability": _sum(
            "danceability",
            ("clarity", 0.35, clarity),
            ("regularity", 0.15, regularity),
            ("clarity at a dancing tempo", 0.20, clarity * fit),
            ("hats", 0.30, hats),
        ),
        "acousticness": _sum(
            "acousticness",
            ("little treble", 0.45, 1 - treble),
            ("little noise", 0.35, 1 - noise),
            ("room between notes", 0.20, 1 - density),
        ),
    }
    danceability = found["danceability"].value
    found["valence"] = _sum(
        "valence",
        ("major", 0.35, mode),
        ("speed", 0.20, speed),
        ("brightness", 0.15, brightness),
        ("danceability", 0.30, danceability),
    )
    return found


def _sum(name: str, *parts: tuple[str, float, float]) -> Score:
    return Score(
        name=name,
        parts=tuple(Part(name=part, weight=weight, value=value) for part, weight, value in parts),
    )
