"""How well tempo, key and scores are heard in music whose truth is known."""

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.features.compose import GENRES, Piece
from pipeline.hearing.key import NAMES, Key
from pipeline.hearing.listener import Heard, Listener
from pipeline.hearing.spectra import RATE_HZ

WITHIN = 0.04
_OCTAVES = (1 / 3, 0.5, 1, 2, 3)

RELATIONS = (
    ("danceability", "house", "chamber"),
    ("danceability", "house", "piano ballad"),
    ("danceability", "drum and bass", "chamber"),
    ("danceability", "hip hop", "piano ballad"),
    ("energy", "metal", "folk guitar"),
    ("energy", "metal", "piano ballad"),
    ("energy", "rock", "chamber"),
    ("energy", "drum and bass", "piano ballad"),
    ("acousticness", "piano ballad", "metal"),
    ("acousticness", "folk guitar", "house"),
    ("acousticness", "chamber", "drum and bass"),
    ("acousticness", "chamber", "rock"),
)
"""Of which two genres the first has more of a score."""

CHANGES: dict[str, tuple[float, list[str], str]] = {
    "12 dB quieter": (0.02, ["-af", "volume=-12dB"], "wav"),
    "mono": (0.01, ["-ac", "1"], "wav"),
    "48 kHz": (0.01, ["-ar", "48000"], "wav"),
    "AAC 128": (0.03, ["-c:a", "aac", "-b:a", "128k"], "m4a"),
    "Opus 96": (0.04, ["-c:a", "libopus", "-b:a", "96k"], "opus"),
    "3 s of silence first": (0.03, ["-af", "adelay=3000:all=1"], "wav"),
}
"""Changes that are no change of the music: by how much a score may move, and how to make them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """How one piece was heard."""

    piece: Piece
    heard: Heard

    @property
    def is_held_out(self) -> bool:
        """Whether the formulae were never tuned on it: every other round of genres."""
        return self.piece.number // len(GENRES) % 2 == 1

    @property
    def tempo_error(self) -> float:
        """How far the tempo is off, as a share of the truth; 1 where none was heard."""
        tempo = self.heard.pulse.tempo
        return 1.0 if tempo is None else abs(tempo.bpm / self.piece.bpm - 1)

    @property
    def is_octave(self) -> bool:
        """Whether the tempo is right when its halves, doubles and thirds are forgiven."""
        tempo = self.heard.pulse.tempo
        if tempo is None:
            return False
        return any(abs(tempo.bpm * each / self.piece.bpm - 1) <= WITHIN for each in _OCTAVES)

    @property
    def key_score(self) -> float:
        """What the key is worth as MIREX weighs it."""
        return score_key(self.heard.key, self.piece)


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """Shares of pieces, and the median tempo error of those within 4 %."""

    pieces: int
    tempo: float
    octave: float
    error: float
    key: float
    mirex: float


def score_key(found: Key | None, piece: Piece) -> float:
    """Return 1 for the key itself, 0.5 a fifth away, 0.3 for the relative, 0.2 for the parallel."""
    if found is None:
        return 0.0
    apart = (NAMES.index(found.tonic) - NAMES.index(piece.tonic)) % 12
    if found.mode == piece.mode:
        return {0: 1.0, 7: 0.5, 5: 0.5}.get(apart, 0.0)
    relative = 9 if piece.mode == "major" else 3
    return {relative: 0.3, 0: 0.2}.get(apart, 0.0)


def decode(path: Path) -> bytes:
    """Return a file's sound as a listener takes it."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0:a", "-ac", "1"]
    options = ["-ar", str(RATE_HZ), "-f", "f32le", "-"]
    return subprocess.run([*command, *options], capture_output=True, check=True).stdout


def hear(path: Path) -> Heard:
    """Return what is heard in an audio file."""
    with tempfile.TemporaryFile() as spool:
        listener = Listener(spool)
        listener.feed(decode(path))
        return listener.finish()


def change(path: Path, name: str, folder: Path) -> Path:
    """Return the file after one of CHANGES."""
    _, options, suffix = CHANGES[name]
    changed = folder / f"changed.{suffix}"
    command = ["ffmpeg", "-y", "-v", "error", "-i", str(path), "-map", "0:a", *options]
    subprocess.run([*command, str(changed)], check=True)
    return changed


def moved(before: Heard, after: Heard) -> float:
    """Return by how much the score that moved most has moved."""
    scores = before.scores.items()
    return max(abs(after.scores[name].value - score.value) for name, score in scores)


def summarise(verdicts: Sequence[Verdict]) -> Summary:
    """Return what share of the pieces was heard right."""
    errors = np.array([each.tempo_error for each in verdicts])
    keys = np.array([each.key_score for each in verdicts])
    right = errors <= WITHIN
    return Summary(
        pieces=len(verdicts),
        tempo=float(right.mean()),
        octave=float(np.mean([each.is_octave for each in verdicts])),
        error=float(np.median(errors[right])),
        key=float((keys == 1).mean()),
        mirex=float(keys.mean()),
    )


def relations(verdicts: Sequence[Verdict]) -> list[bool]:
    """Return for each pair of pieces that a relation orders whether their scores agree."""
    found = []
    for score, more, less in RELATIONS:
        first = [each for each in verdicts if each.piece.genre == more]
        second = [each for each in verdicts if each.piece.genre == less]
        for one, other in zip(first, second, strict=False):
            found.append(one.heard.scores[score].value > other.heard.scores[score].value)
    return found
