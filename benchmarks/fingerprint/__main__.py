"""``make bench-fingerprint``: what of damaged recordings is known again, and of what is none.

Half of the pieces are the catalogue. Damaged copies of them are queries that must be recognised;
pieces outside it, other takes of its pieces, pieces that quote ten seconds of one, short clips, and
sounds that are no music must not be.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

from sqlalchemy import insert

from benchmarks.features.compose import compose, render
from benchmarks.fingerprint.damage import DAMAGES, SOUNDS, Damage
from benchmarks.fingerprint.plot import draw_calibration
from catalogue.database.engine import open_engine, upgrade, writing
from catalogue.database.prints import SqlPrints, keep_fingerprint
from catalogue.database.schema import masters
from catalogue.nouns import Sha256
from lathe.machine import count_cores
from pipeline.hearing.fingerprint import Fingerprinter, build_fingerprint
from pipeline.hearing.recognise import CERTAIN, Ear, Recogniser
from pipeline.transcode import decode_sound

_PIECES, _QUERIED, _LENGTH_S = 220, 40, 72.0
_BINS = (0.0, 0.5, 0.8, 0.9, CERTAIN, 0.99, 0.999, 1.0001)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What was said of one query: how sure, and whether it is the recording it is of."""

    confidence: float
    right: bool


def main() -> int:
    """Compose, index, damage, recognise, and print; 1 when something is below its mark."""
    parser = argparse.ArgumentParser(description="Scores what lathe knows again.")
    parser.add_argument("--pieces", type=int, default=_PIECES, help="half of them are indexed")
    parser.add_argument("--queried", type=int, default=_QUERIED, help="pieces in each class")
    parser.add_argument("--plot", type=Path, help="where to draw the calibration (SVG)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(count_cores()) as pool:
        bench = Bench(Path(name))
        pieces = list(pool.map(lambda number: bench.make(number), range(options.pieces)))
        known, others = pieces[::2], pieces[1::2]
        bench.index(list(pool.map(bench.fingerprint, known)))
        print(f"{len(known)} pieces known, {len(others)} not")
        verdicts: list[Verdict] = []
        missed = 0
        print("\nrecognised, of the same recording          share  must be   least confidence")
        for what, damage in DAMAGES.items():
            queries = known[: options.queried]
            found = list(pool.map(partial(bench.ask, damage), range(len(queries)), queries))
            share = sum(each.right and each.confidence >= CERTAIN for each in found) / len(found)
            least = min(each.confidence for each in found)
            missed += share < damage.recall
            print(f"{what:40}  {share:6.3f}  {damage.recall:6.2f}   {least:.3f}")
            verdicts += found
        print("\nnot recognised, of something else          taken  of      most confidence")
        for what, paths in bench.strangers(known, others, options.queried, pool.map):
            taken = list(pool.map(bench.ask_stranger, paths))
            wrong = sum(each.confidence >= CERTAIN for each in taken)
            missed += wrong > 0
            most = max(each.confidence for each in taken)
            print(f"{what:40}  {wrong:6}  {len(taken):6}   {most:.3f}")
            verdicts += taken
        _print_calibration(verdicts)
        if options.plot:
            options.plot.write_text(draw_calibration(_bins(verdicts)), "utf-8")
        bench.close()
    return int(missed > 0)


class Bench:
    """A catalogue of composed pieces, and files to ask it about."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._engine = open_engine(f"sqlite:///{folder / 'catalogue.sqlite3'}")
        upgrade(self._engine)
        self._recogniser = Recogniser(SqlPrints(self._engine))
        self._names: list[Sha256] = []

    def close(self) -> None:
        """Give up the catalogue."""
        self._engine.dispose()

    def make(self, number: int, *, take: int = 0) -> Path:
        """Render a piece."""
        folder = self._folder / f"{number}-{take}"
        folder.mkdir(exist_ok=True)
        return render(compose(number, length_s=_LENGTH_S, take=take), folder)

    def fingerprint(self, path: Path) -> "Fingerprinter":
        """Return a printer that has heard a file."""
        printer = Fingerprinter()
        decode_sound(path, printer.feed)
        return printer

    def index(self, printers: Iterable[Fingerprinter]) -> None:
        """Publish fingerprints, under masters' hashes in order."""
        at = datetime.now(UTC)
        with writing(self._engine) as connection:
            for number, printer in enumerate(printers):
                name = Sha256(hashlib.sha256(str(number).encode()).hexdigest())
                row = {"sha256": name, "facts": {}, "samples": 1, "pcm_sha256": name}
                connection.execute(insert(masters).values(**row, created_at=at))
                keep_fingerprint(connection, name, build_fingerprint(printer.finish()), at)
                self._names.append(name)

    def ask(self, damage: Damage, place: int, path: Path) -> Verdict:
        """Damage a known piece, and ask what it is."""
        target = path.with_name(f"damaged.{damage.suffix}")
        _ffmpeg(*damage.source, "-i", path, *damage.options, target)
        confidence, name = self._ask(target)
        target.unlink()
        return Verdict(confidence=confidence, right=name == self._names[place])

    def ask_stranger(self, path: Path) -> Verdict:
        """Ask what something is that the catalogue has not."""
        return Verdict(confidence=self._ask(path)[0], right=False)

    def strangers(
        self,
        known: Sequence[Path],
        others: Sequence[Path],
        count: int,
        run: Callable[..., Iterable[Path]],
    ) -> Iterable[tuple[str, list[Path]]]:
        """Give kinds of what the catalogue has not, and files of each."""
        yield "other pieces", list(others)
        yield "30 s of other pieces", list(run(self._clip, others, [30.0] * len(others)))
        yield "another take", list(run(lambda n: self.make(2 * n, take=1), range(count)))
        yield "a piece that quotes 10 s", list(run(self._quote, others[:count], known[:count]))
        yield "3 s of a known piece", list(run(self._clip, known[:count], [2.9] * count))
        yield "sounds", [self._sound(what) for what in SOUNDS]

    def _ask(self, path: Path) -> tuple[float, Sha256 | None]:
        ear = Ear()
        decode_sound(path, ear.feed)
        ear.finish()
        found = self._recogniser.nearest(ear)
        return (0.0, None) if found is None else (found.confidence, found.master_sha256)

    def _clip(self, path: Path, length_s: float) -> Path:
        target = path.with_name(f"clip-{length_s}.wav")
        _ffmpeg("-ss", "20.02", "-t", str(length_s), "-i", path, target)
        return target

    def _quote(self, path: Path, quoted: Path) -> Path:
        target = path.with_name("quotes.wav")
        joined = (
            "[0:a]atrim=0:30[a];[1:a]atrim=20:30,asetpts=N/SR/TB[b];"
            "[0:a]atrim=30,asetpts=N/SR/TB[c];[a][b][c]concat=n=3:v=0:a=1"
        )
        _ffmpeg("-i", path, "-i", quoted, "-filter_complex", joined, target)
        return target

    def _sound(self, what: str) -> Path:
        target = self._folder / f"{what}.wav"
        _ffmpeg(*SOUNDS[what], target)
        return target


def _ffmpeg(*words: str | Path) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *words], check=True)


def _bins(verdicts: Sequence[Verdict]) -> list[tuple[float, float, int]]:
    """Return for each range of confidence: its mean, the share that was right, and how many."""
    found = []
    for low, high in pairwise(_BINS):
        inside = [each for each in verdicts if low <= each.confidence < high]
        if inside:
            mean = sum(each.confidence for each in inside) / len(inside)
            found.append((mean, sum(each.right for each in inside) / len(inside), len(inside)))
    return found


def _print_calibration(verdicts: Sequence[Verdict]) -> None:
    print("\nmean confidence   share that was right   answers")
    for mean, right, count in _bins(verdicts):
        print(f"{mean:15.3f}   {right:20.3f}   {count:7}")


if __name__ == "__main__":
    sys.exit(main())
