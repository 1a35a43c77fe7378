"""``make bench-features``: what is heard in composed pieces, beside the truth and librosa."""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import librosa
import numpy as np

from benchmarks.features.compose import Piece, compose, render
from benchmarks.features.scorer import (
    CHANGES,
    WITHIN,
    Summary,
    Verdict,
    change,
    decode,
    hear,
    moved,
    relations,
    summarise,
)
from benchmarks.masters import make_long_master
from pipeline.hearing.spectra import RATE_HZ

_PIECES = 144
_CHANGED = 12
_SONG_S = 240


def main() -> None:
    """Compose, render, listen, and print."""
    parser = argparse.ArgumentParser(description="Scores what lathe hears.")
    parser.add_argument("--pieces", type=int, default=_PIECES)
    parser.add_argument("--each", action="store_true", help="a line for each piece")
    options = parser.parse_args()
    verdicts: list[Verdict] = []
    librosas: list[float] = []
    farthest = dict.fromkeys(CHANGES, 0.0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(options.pieces):
            piece = compose(number)
            path = render(piece, folder)
            verdict = Verdict(piece=piece, heard=hear(path))
            verdicts.append(verdict)
            librosas.append(_tempo_of_librosa(path))
            if number < _CHANGED:
                for what in CHANGES:
                    after = hear(change(path, what, folder))
                    farthest[what] = max(farthest[what], moved(verdict.heard, after))
            path.unlink()
            if options.each:
                _print_one(verdict)
        _print("tuned on", summarise([each for each in verdicts if not each.is_held_out]))
        _print("held out", summarise([each for each in verdicts if each.is_held_out]))
        _print_librosa([each.piece for each in verdicts], librosas)
        ordered = relations(verdicts)
        print(f"relations: {sum(ordered)} of {len(ordered)} as people would put them")
        for what, most in farthest.items():
            print(f"{what}: a score moved by {most:.3f} at most (bound {CHANGES[what][0]})")
        _print_cost(make_long_master(folder, "prelude.flac", _SONG_S))


def _tempo_of_librosa(path: Path) -> float:
    sound = np.frombuffer(decode(path), "<f4")
    tempo, _ = librosa.beat.beat_track(y=sound, sr=RATE_HZ)
    return float(np.atleast_1d(tempo)[0])


def _print_one(verdict: Verdict) -> None:
    piece, tempo, key = verdict.piece, verdict.heard.pulse.tempo, verdict.heard.key
    bpm = f"{tempo.bpm:.1f}" if tempo else "none"
    tonic = f"{key.tonic} {key.mode}" if key else "none"
    print(
        f"{piece.number:4} {piece.genre:14} {piece.bpm:6.1f} heard {bpm:>6}  "
        f"{piece.tonic} {piece.mode} heard {tonic} ({verdict.key_score})"
    )


def _print(title: str, summary: Summary) -> None:
    print(
        f"{title}, {summary.pieces} pieces: tempo {summary.tempo:.2f}, octaves forgiven "
        f"{summary.octave:.2f}, median error {summary.error:.2%}; key {summary.key:.2f}, "
        f"MIREX {summary.mirex:.2f}"
    )


def _print_librosa(pieces: Sequence[Piece], tempi: Sequence[float]) -> None:
    right = [abs(bpm / piece.bpm - 1) <= WITHIN for bpm, piece in zip(tempi, pieces, strict=True)]
    print(f"librosa.beat.beat_track on the same: tempo {np.mean(right):.2f}")


def _print_cost(master: Path) -> None:
    sound = np.frombuffer(decode(master), "<f4")
    began = time.process_time()
    hear(master)
    ours = time.process_time() - began
    began = time.process_time()
    librosa.beat.beat_track(y=sound, sr=RATE_HZ)
    librosa.feature.chroma_cqt(y=sound, sr=RATE_HZ)
    librosa.feature.melspectrogram(y=sound, sr=RATE_HZ)
    librosa.effects.hpss(sound)
    theirs = time.process_time() - began
    print(f"4 minutes: {ours:.2f} CPU s; librosa called naively {theirs:.2f} CPU s")


if __name__ == "__main__":
    main()
