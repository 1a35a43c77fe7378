"""Masters among others: what is nearest, to the last row, and files that survive what is done."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, insert

from catalogue.database.engine import open_engine, upgrade, writing
from catalogue.database.schema import features, masters
from catalogue.database.tracks import SqlTracks
from catalogue.errors import OutputNotWritable
from catalogue.nouns import Features, Measure, Sha256
from origin import atlas
from origin.atlas import FileAtlas
from tests.contract.examples import FEATURES, NOON, sha256_of

RECIPE = FEATURES.recipe
DICE = np.random.default_rng(5)


def some_features() -> Features:
    return replace(
        FEATURES,
        tempo_bpm=None if DICE.random() < 0.1 else float(DICE.uniform(60, 180)),
        energy=float(DICE.random()),
        valence=float(DICE.random()),
        danceability=float(DICE.random()),
        vector=tuple(np.round(DICE.normal(0, 1, 50), 5).tolist()),
    )


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path / 'catalogue.sqlite3'}")
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas, "_REFRESH_S", 0.0)


def add(engine: Engine, name: str, heard: Features, *, at: datetime = NOON) -> Sha256:
    """Let a master have been heard."""
    sha256 = sha256_of(name)
    row = {"sha256": sha256, "facts": {}, "samples": 1, "pcm_sha256": sha256, "created_at": at}
    with writing(engine) as connection:
        connection.execute(insert(masters).values(**row))
        heard_row = {"master_sha256": sha256, "recipe": heard.recipe, "heard": asdict(heard)}
        connection.execute(insert(features).values(**heard_row, created_at=at))
    return sha256


def open_atlas(engine: Engine, folder: Path) -> FileAtlas:
    return FileAtlas(folder / "atlas", RECIPE, SqlTracks(engine))


def place(heard: Features, by: Measure) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if by is Measure.VECTOR:
        return np.array(heard.vector)
    octaves = 0.0 if heard.tempo_bpm is None else np.log2(heard.tempo_bpm / 115)
    scores = np.array([octaves, heard.energy, heard.valence, heard.danceability])
    return np.asarray(scores * np.sqrt([0.2, 0.3, 0.3, 0.2]), np.float64)


@pytest.mark.parametrize("by", Measure)
def test_the_nearest_are_exactly_the_nearest(engine: Engine, tmp_path: Path, by: Measure) -> None:
    heard = {
        add(engine, f"m{number}", one): one for number in range(300) for one in [some_features()]
    }
    seed = next(iter(heard.values()))
    near = open_atlas(engine, tmp_path).nearest(seed, by=by, count=40)
    truth = {
        name: float(np.linalg.norm(place(one, by) - place(seed, by))) for name, one in heard.items()
    }
    assert [each.master_sha256 for each in near] == sorted(truth, key=lambda each: truth[each])[:40]
    for each in near:
        assert each.distance == pytest.approx(truth[each.master_sha256], abs=2e-3)


@pytest.mark.parametrize("count", [1, 7, 100])
def test_the_least_of_many_are_found_by_a_sample(count: int) -> None:
    for values in (
        np.random.default_rng(1).random(200_000, np.float32),
        np.zeros(50_000, np.float32),
        np.arange(50_000, 0, -1, dtype=np.float32),
    ):
        chosen = atlas._smallest(values, count)
        assert len(set(chosen.tolist())) == count
        np.testing.assert_array_equal(values[chosen], np.sort(values)[:count])


def test_an_empty_catalogue_has_no_neighbours(engine: Engine, tmp_path: Path) -> None:
    assert open_atlas(engine, tmp_path).nearest(FEATURES, by=Measure.SCORES, count=9) == []


def test_what_is_heard_later_appears_and_nothing_twice(engine: Engine, tmp_path: Path) -> None:
    found = open_atlas(engine, tmp_path)
    names = []
    for number in range(12):
        # Rows may be committed in another order than their times tell.
        at = NOON + timedelta(seconds=(7 * number) % 12)
        names.append(add(engine, f"m{number}", some_features(), at=at))
        near = found.nearest(FEATURES, by=Measure.VECTOR, count=99)
        assert sorted(each.master_sha256 for each in near) == sorted(names)


def test_masters_of_another_recipe_are_not_compared(engine: Engine, tmp_path: Path) -> None:
    add(engine, "old", replace(some_features(), recipe="features-0"))
    new = add(engine, "new", some_features())
    near = open_atlas(engine, tmp_path).nearest(FEATURES, by=Measure.SCORES, count=9)
    assert [each.master_sha256 for each in near] == [new]


def test_a_hash_that_ends_in_zeros_is_told_whole(engine: Engine, tmp_path: Path) -> None:
    with writing(engine) as connection:
        zeros = "ab" + "00" * 31
        row = {"sha256": zeros, "facts": {}, "samples": 1, "pcm_sha256": zeros}
        connection.execute(insert(masters).values(**row, created_at=NOON))
        heard = {"master_sha256": zeros, "recipe": RECIPE, "heard": asdict(FEATURES)}
        connection.execute(insert(features).values(**heard, created_at=NOON))
    for _ in range(2):
        (near,) = open_atlas(engine, tmp_path).nearest(FEATURES, by=Measure.SCORES, count=9)
        assert near.master_sha256 == zeros


@pytest.mark.parametrize("file", ["keys", "scores", "vector"])
def test_what_a_killed_process_left_half_written_is_cut_off(
    engine: Engine, tmp_path: Path, file: str
) -> None:
    one = add(engine, "m1", some_features())
    open_atlas(engine, tmp_path).nearest(FEATURES, by=Measure.VECTOR, count=9)
    with open(tmp_path / "atlas" / RECIPE / file, "ab") as torn:
        torn.write(b"\x7f" * 13)
    two = add(engine, "m2", some_features(), at=NOON + timedelta(seconds=1))
    near = open_atlas(engine, tmp_path).nearest(FEATURES, by=Measure.VECTOR, count=9)
    assert {each.master_sha256 for each in near} == {one, two}
    assert all(each.distance < 100 for each in near)


def test_threads_share_one_atlas_while_it_grows(engine: Engine, tmp_path: Path) -> None:
    found, stop, faults = open_atlas(engine, tmp_path), threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            try:
                found.nearest(FEATURES, by=Measure.SCORES, count=5)
            except Exception as fault:
                faults.append(fault)
                return

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    names = {add(engine, f"m{number}", some_features()) for number in range(20)}
    stop.set()
    for thread in threads:
        thread.join()
    assert faults == []
    near = found.nearest(FEATURES, by=Measure.SCORES, count=99)
    assert {each.master_sha256 for each in near} == names


def test_a_folder_that_cannot_be_written_is_told(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "atlas").write_text("a file")
    with pytest.raises(OutputNotWritable):
        open_atlas(engine, tmp_path).nearest(FEATURES, by=Measure.SCORES, count=9)


def test_an_origin_loads_numpy_only_when_it_is_needed() -> None:
    said = "import sys, lathe.serving; print('numpy' in sys.modules, 'pipeline' in sys.modules)"
    out = subprocess.check_output([sys.executable, "-c", said], text=True)
    assert out.split() == ["False", "False"]
