"""Catalogues that earlier versions filled, brought up to date with nothing lost.

``tests/vectors/catalogue-NNNN.sql`` holds what a plant of revision NNNN had written: a published
track, a failed job, and what a killed worker had in its hands.
"""

import ast
import re
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Engine, MetaData, select, text

from catalogue.database.desk import SqlDesk
from catalogue.database.engine import open_engine, reading, upgrade, writing
from catalogue.database.jobs import SqlJobs
from catalogue.database.schema import tables
from catalogue.database.tracks import SqlTracks
from catalogue.nouns import Job, JobState, WorkQueue
from tests.contract.examples import WORKER

VECTORS = Path(__file__).parents[1] / "vectors"
REVISIONS: list[Script] = sorted(
    ScriptDirectory("catalogue/migrations").walk_revisions(), key=lambda script: script.revision
)
OLD = [script.revision for script in REVISIONS[:-1]]


def test_every_earlier_revision_has_a_vector() -> None:
    found = sorted(path.stem.removeprefix("catalogue-") for path in VECTORS.glob("*.sql"))
    assert found == OLD


@pytest.mark.parametrize("script", REVISIONS, ids=lambda script: script.revision)
def test_no_revision_takes_anything_away(script: Script) -> None:
    tree = ast.parse(Path(script.path).read_text("utf-8"))
    called = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert {"create_table", "add_column", "create_index"} & called
    assert not [name for name in called if re.match("drop|alter_column|rename|execute", name)]


@pytest.fixture(params=OLD)
def filled(request: pytest.FixtureRequest, catalogue_url: str) -> Engine:
    """A catalogue as a plant of an old revision left it."""
    engine = open_engine(catalogue_url)
    request.addfinalizer(engine.dispose)
    config = Config()
    config.set_main_option("script_location", "catalogue:migrations")
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, request.param)
        script = (VECTORS / f"catalogue-{request.param}.sql").read_text("utf-8")
        if connection.dialect.name == "postgresql":
            script = re.sub(r"X'([0-9A-F]*)'", r"'\\\\x\1'", script)
        for line in script.splitlines():
            connection.execute(text(line.replace(":", r"\:")))
        if connection.dialect.name == "postgresql" and request.param > "0001":
            # What a database does by itself when it gives the numbers.
            sequence = "pg_get_serial_sequence('attempts', 'number')"
            connection.execute(text(f"SELECT setval({sequence}, max(number)) FROM attempts"))
    return engine


def rows(engine: Engine) -> dict[str, list[dict[str, object]]]:
    """Return every row of every table as the database has it now."""
    found = MetaData()
    found.reflect(engine)
    with reading(engine) as connection:
        return {
            name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for name, table in found.tables.items()
            if name in tables.tables
        }


def test_no_row_and_no_value_is_lost(filled: Engine) -> None:
    before = rows(filled)
    assert all(rows for name, rows in before.items() if name != "condemned")
    upgrade(filled)
    after = rows(filled)
    for name, kept in before.items():
        if not kept:
            continue
        columns = kept[0].keys()
        assert [{column: row[column] for column in columns} for row in after[name]] == kept


def test_the_new_version_goes_on_where_the_old_one_stopped(filled: Engine) -> None:
    upgrade(filled)
    ledger, desk, tracks = SqlJobs(filled), SqlDesk(filled), SqlTracks(filled)
    found = desk.page(states=(), queues=(), after="", limit=99)
    by_state: dict[JobState, list[Job]] = {}
    for job in found:
        by_state.setdefault(job.state, []).append(job)
    done, (failed,) = by_state[JobState.DONE][0], by_state[JobState.FAILED]
    interrupted = by_state[JobState.RUNNING]
    track = tracks.get(done.track_id)
    assert [right.territory for right in track.metadata.rights] == ["CA", "US"]
    assert [each.tier.name for each in track.renditions][-2:] == ["alac", "flac"]
    assert failed.reason is not None and failed.reason.code == "master-truncated"
    now = max(job.updated_at for job in found) + timedelta(minutes=1)
    patience = {"now": now, "stale_before": now - timedelta(seconds=10)}
    due = ledger.due(WorkQueue.URGENT, sent_before=now, limit=9, **patience)
    assert sorted(due) == sorted(job.id for job in interrupted)
    for job in interrupted:
        taken = ledger.claim(job.id, f"clm_{job.id}", worker=WORKER, max_silences=3, **patience)
        assert taken is not None and taken.attempts == 2
        ledger.release(job.id, f"clm_{job.id}", now=now)
    desk.revive(failed.id, now=now)
    assert ledger.get(failed.id).state is JobState.QUEUED
