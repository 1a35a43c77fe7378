"""``python -m benchmarks.features``: tempo and key beside the truth, in two halves.

Of each genre, the formulae were tuned on every other piece; the rest was held out.
"""

import argparse
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.features.compose import GENRES, Piece, compose, render
from pipeline.hearing.key import NAMES, Key
from pipeline.hearing.listener import Heard, Listener

_PIECES = 144
_WITHIN = 0.04
_OCTAVES = (1 / 3, 0.5, 1, 2, 3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """How one piece was heard."""

    piece: Piece
    heard: Heard

    @property
    def tempo_error(self) -> float:
        """How far the tempo is off, as a share of the truth; 1 where none was heard."""
        tempo = self.heard.pulse.tempo
        return 1.0 if tempo is None else abs(tempo.bpm / self.piece.bpm - 1)

    @property
    def is_octave(self) -> bool:
        """Whether the tempo is right when octaves and thirds are forgiven."""
        tempo = self.heard.pulse.tempo
        if tempo is None:
            return False
        return any(abs(tempo.bpm * each / self.piece.bpm - 1) <= _WITHIN for each in _OCTAVES)

    @property
    def key_score(self) -> float:
        """The key's score as MIREX weighs it: 1, a fifth 0.5, relative 0.3, parallel 0.2."""
        return score_key(self.heard.key, self.piece)


def score_key(found: Key | None, piece: Piece) -> float:
    """Return what the key that was found is worth beside the piece's."""
    if found is None:
        return 0.0
    apart = (NAMES.index(found.tonic) - NAMES.index(piece.tonic)) % 12
    same_mode = found.mode == piece.mode
    if same_mode:
        return {0: 1.0, 7: 0.5, 5: 0.5}.get(apart, 0.0)
    relative = 9 if piece.mode == "major" else 3
    return {relative: 0.3, 0: 0.2}.get(apart, 0.0)


def hear(path: Path) -> Heard:
    """Return what is heard in an audio file."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-ac", "1", "-ar", "22050"]
    decoded = subprocess.run([*command, "-f", "f32le", "-"], capture_output=True, check=True)
    with tempfile.TemporaryFile() as spool:
        listener = Listener(spool)
        listener.feed(decoded.stdout)
        return listener.finish()


def main() -> None:
    """Compose, render, listen, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pieces", type=int, default=_PIECES)
    parser.add_argument("--each", action="store_true", help="a line for each piece")
    options = parser.parse_args()
    verdicts = []
    with tempfile.TemporaryDirectory() as name:
        for number in range(options.pieces):
            piece = compose(number)
            path = render(piece, Path(name))
            verdicts.append(Verdict(piece=piece, heard=hear(path)))
            path.unlink()
            if options.each:
                _print_one(verdicts[-1])
    tuned = [each for each in verdicts if each.piece.number // len(GENRES) % 2 == 0]
    held_out = [each for each in verdicts if each.piece.number // len(GENRES) % 2 == 1]
    for title, chosen in (("tuned on", tuned), ("held out", held_out)):
        _print(title, chosen)


def _print_one(verdict: Verdict) -> None:
    piece, tempo, key = verdict.piece, verdict.heard.pulse.tempo, verdict.heard.key
    bpm = f"{tempo.bpm:.1f}" if tempo else "none"
    tonic = f"{key.tonic} {key.mode}" if key else "none"
    print(
        f"{piece.number:4} {piece.genre:14} {piece.bpm:6.1f} heard {bpm:>6}  "
        f"{piece.tonic} {piece.mode} heard {tonic} ({verdict.key_score})"
    )


def _print(title: str, verdicts: list[Verdict]) -> None:
    errors = np.array([each.tempo_error for each in verdicts])
    right = errors <= _WITHIN
    octaves = np.array([each.is_octave for each in verdicts])
    keys = np.array([each.key_score for each in verdicts])
    print(
        f"{title}, {len(verdicts)} pieces: tempo {right.mean():.2f}, octaves forgiven "
        f"{octaves.mean():.2f}, median error {np.median(errors[right]):.2%}; key "
        f"{(keys == 1).mean():.2f}, MIREX {keys.mean():.2f}"
    )


if __name__ == "__main__":
    main()
