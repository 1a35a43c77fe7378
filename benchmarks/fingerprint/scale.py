"""How long it takes to know a recording among very many, in SQLite and in PostgreSQL.

    python -m benchmarks.fingerprint.scale --tracks 1000000

The rows are synthetic, with terms as often equal as those of different pieces; the queries are
real ones, of pieces that are indexed among them and of pieces that are not. A million tracks need
25 GB of disk.
"""

import argparse
import hashlib
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import psycopg
from sqlalchemy import Engine, insert

from benchmarks.features.compose import compose, render
from catalogue.database.engine import open_engine, upgrade, writing
from catalogue.database.prints import SqlPrints, keep_fingerprint
from catalogue.database.schema import masters
from catalogue.nouns import Fingerprint, Sha256
from lathe.machine import count_cores
from pipeline.hearing.fingerprint import (
    HOP_S,
    TERM_BITS,
    Fingerprinter,
    Items,
    build_fingerprint,
    find_terms,
    sample_terms,
)
from pipeline.hearing.recognise import FEW_TERMS, Recogniser, find_candidates
from pipeline.transcode import decode_sound
from tests.engines import PostgresServer

_PIECES, _KNOWN, _LENGTH_S, _TRACK_S = 40, 20, 120.0, 210.0
_ROUNDS = 5
_POSITION_BITS, _PACKED_BITS = 20, 11
_INSERTED = 100

_Query = TypeVar("_Query")
Rows = npt.NDArray[np.int64]


def main() -> None:
    """Fill both databases, and print."""
    parser = argparse.ArgumentParser(description="Times recognition among very many tracks.")
    parser.add_argument("--tracks", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        printed = _print_pieces(folder)
        rows = _make_rows(printed, options.tracks)
        print(
            f"{options.tracks:,} tracks, {len(rows):,} terms, {len(rows) / options.tracks:.0f} each"
        )
        path = folder / "catalogue.sqlite3"
        _measure("SQLite", f"sqlite:///{path}", rows, printed, options.tracks, _fill_sqlite)
        path.unlink()
        with PostgresServer(folder) as server:
            url = server.make_database("scale")
            _measure("PostgreSQL", url, rows, printed, options.tracks, _fill_postgresql)


def _print_pieces(folder: Path) -> list[Items]:
    def one(number: int) -> Items:
        own = folder / str(number)
        own.mkdir()
        printer = Fingerprinter()
        path = render(compose(number, length_s=_LENGTH_S), own)
        decode_sound(path, printer.feed)
        path.unlink()
        return printer.finish()

    with ThreadPoolExecutor(count_cores()) as pool:
        return list(pool.map(one, range(_PIECES)))


def _make_rows(printed: Sequence[Items], tracks: int) -> Rows:
    """Return the terms of synthetic tracks and their places, in the order of the index.

    A hundredth of all terms are one of a hundred common ones, as in the pieces; of the others,
    which have 25 bits of their own, two are equal about once in thirty million.
    """
    dice = np.random.default_rng(1)
    common = np.concatenate([find_terms(items)[0] for items in printed])[:100]
    mask = np.uint32(sum(TERM_BITS[:-1]))
    length = round(_TRACK_S / HOP_S)
    parts = []
    for start in range(0, tracks, 2000):
        count = min(2000, tracks - start)
        rare = dice.integers(0, 1 << 32, (count, length), np.uint32) & mask
        is_common = dice.random((count, length), np.float32) < 0.01
        terms = np.where(is_common, dice.choice(common, (count, length)), rare)
        numbers = np.repeat(np.arange(start, start + count), length)
        positions = np.tile(np.arange(length, dtype=np.int32), count)
        flat = terms.ravel()
        sampled, kept = sample_terms(flat, np.arange(len(flat), dtype=np.int32))
        number = numbers[kept].astype(np.int64) + 1 + _PIECES
        # All in one number, since numbers sort faster than rows.
        term = sampled.view(np.int32).astype(np.int64)
        parts.append(term << 32 | number << _PACKED_BITS | positions[kept])
    keys = np.concatenate(parts)
    del parts
    keys.sort()
    return keys


def _unpack(keys: Rows) -> tuple[Rows, Rows]:
    """Return terms and places."""
    number = keys >> _PACKED_BITS & ((1 << (32 - _PACKED_BITS)) - 1)
    position = keys & ((1 << _PACKED_BITS) - 1)
    return keys >> 32, number << _POSITION_BITS | position


def _blocks(keys: Rows) -> Iterator[tuple[list[int], list[int]]]:
    for start in range(0, len(keys), 500_000):
        term, place = _unpack(keys[start : start + 500_000])
        yield term.tolist(), place.tolist()


def _fill_sqlite(url: str, keys: Rows) -> int:
    path = url.removeprefix("sqlite:///")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        for term, place in _blocks(keys):
            connection.executemany("INSERT INTO terms VALUES (?, ?)", zip(term, place, strict=True))
            connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Path(path).stat().st_size


def _fill_postgresql(url: str, keys: Rows) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER TABLE terms DROP CONSTRAINT pk_terms")
        with connection.cursor().copy("COPY terms FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            layout = np.dtype(
                [("n", ">i2"), ("a", ">i4"), ("term", ">i4"), ("b", ">i4"), ("place", ">i8")]
            )
            for start in range(0, len(keys), 1_000_000):
                block = keys[start : start + 1_000_000]
                packed = np.zeros(len(block), layout)
                packed["n"], packed["a"], packed["b"] = 2, 4, 8
                packed["term"], packed["place"] = _unpack(block)
                copy.write(packed.tobytes())
            copy.write(b"\xff\xff")
        connection.execute("SET maintenance_work_mem = '2GB'")
        connection.execute("ALTER TABLE terms ADD CONSTRAINT pk_terms PRIMARY KEY (term, place)")
        connection.execute("VACUUM ANALYZE terms")
        found = connection.execute("SELECT pg_total_relation_size('terms')").fetchone()
    assert found is not None
    return int(found[0])


def _measure(
    what: str,
    url: str,
    rows: Rows,
    printed: Sequence[Items],
    tracks: int,
    fill: Callable[[str, Rows], int],
) -> None:
    engine = open_engine(url)
    upgrade(engine)
    began = time.monotonic()
    size_bytes = fill(url, rows)
    filled_s = time.monotonic() - began
    print(
        f"\n{what}: filled in {filled_s:.0f} s, {len(rows) / filled_s / 1000:.0f} thousand terms "
        f"a second; {size_bytes / tracks:,.0f} bytes a track"
    )
    _index(engine, [build_fingerprint(items) for items in printed[:_KNOWN]])
    prints = SqlPrints(engine)
    kinds = {"whole": slice(None), "30 s": slice(200, 442), "15 s": slice(200, 321)}
    for kind, part in kinds.items():
        for group, chosen in (("known", printed[:_KNOWN]), ("unknown", printed[_KNOWN:])):
            queries = [items[part] for items in chosen]
            recogniser = Recogniser(prints)
            _time(
                f"{kind}, {group}: lookup",
                queries,
                lambda items: find_candidates(prints, [items], most=FEW_TERMS),
            )
            _time(f"{kind}, {group}: decision", queries, recogniser.nearest_as_it_is)
    synthetic = [
        Fingerprint(recipe="synthetic", encoded=each.encoded, terms=each.terms)
        for each in map(build_fingerprint, printed)
    ]
    began = time.monotonic()
    for start in range(0, _INSERTED, len(synthetic)):
        _index(engine, synthetic, first=1000 + start)
    each_ms = (time.monotonic() - began) / _INSERTED * 1000
    print(f"  a fingerprint inserted, in a transaction of {len(synthetic)}: {each_ms:.1f} ms")
    engine.dispose()


def _index(engine: Engine, printed: Sequence[Fingerprint], first: int = 0) -> None:
    at = datetime.now(UTC)
    with writing(engine) as connection:
        for number, fingerprint in enumerate(printed, start=first):
            name = Sha256(hashlib.sha256(str(number).encode()).hexdigest())
            row = {"sha256": name, "facts": {}, "samples": 1, "pcm_sha256": name}
            connection.execute(insert(masters).values(**row, created_at=at))
            keep_fingerprint(connection, name, fingerprint, at)


def _time(what: str, queries: Sequence[_Query], ask: Callable[[_Query], object]) -> None:
    times = []
    for query in list(queries) * _ROUNDS:
        began = time.perf_counter()
        ask(query)
        times.append((time.perf_counter() - began) * 1000)
    ordered = sorted(times)
    p95 = ordered[round(0.95 * (len(ordered) - 1))]
    print(f"  {what:26} median {statistics.median(times):6.1f} ms, p95 {p95:6.1f} ms")


if __name__ == "__main__":
    main()
