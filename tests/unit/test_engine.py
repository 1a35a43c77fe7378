"""Opening the database."""

import sqlite3
from pathlib import Path
from threading import Timer

from sqlalchemy import text

from catalogue.database.engine import open_engine


def test_a_new_file_that_another_program_writes_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.sqlite3"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE a (b)")
    other.execute("BEGIN IMMEDIATE")
    release = Timer(0.3, other.rollback)
    release.start()
    engine = open_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    finally:
        release.join()
        engine.dispose()
        other.close()
