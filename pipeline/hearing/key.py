"""Key and mode from a mean chroma.

Each of the 24 keys has a profile of how often its twelve pitch classes sound; the key whose profile
correlates best is the key. Profiles: J. Albrecht and D. Shanahan, "The Use of Large Corpora to
Train a New Type of Key-Finding Algorithm", 2013.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_MAJOR = (0.238, 0.006, 0.111, 0.006, 0.137, 0.094, 0.016, 0.214, 0.009, 0.080, 0.008, 0.081)
_MINOR = (0.220, 0.006, 0.104, 0.123, 0.019, 0.103, 0.012, 0.214, 0.062, 0.022, 0.061, 0.052)


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """A key, its mode, and how well the profile fits: a correlation from 0 to 1.

    ``major_lead`` is the best major key's correlation less the best minor key's.
    """

    tonic: str
    mode: str
    strength: float
    major_lead: float


def find_key(chroma: npt.NDArray[np.float64]) -> Key | None:
    """Return the key of a mean chroma (12, from C), or None where no pitch class stands out."""
    if float(chroma.std()) <= 1e-3 * max(float(chroma.mean()), 1e-12):
        return None
    fits = np.array([[_fit(chroma, profile, tonic) for tonic in range(12)] for profile in _modes()])
    mode, tonic = divmod(int(fits.argmax()), 12)
    strength = float(np.clip(fits[mode, tonic], 0, 1))
    if strength == 0:
        return None
    return Key(
        tonic=NAMES[tonic],
        mode=("major", "minor")[mode],
        strength=strength,
        major_lead=float(fits[0].max() - fits[1].max()),
    )


def _modes() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return np.array(_MAJOR), np.array(_MINOR)


def _fit(chroma: npt.NDArray[np.float64], profile: npt.NDArray[np.float64], tonic: int) -> float:
    return float(np.corrcoef(chroma, np.roll(profile, tonic))[0, 1])
