"""Whether a name is among many, as SQLite and PostgreSQL are asked."""

from pathlib import Path

from sqlalchemy import Column, MetaData, Table, Text, and_, select
from sqlalchemy.dialects import sqlite

from catalogue.database.among import among
from catalogue.database.engine import open_engine, reading, writing

TABLE = Table("names", MetaData(), Column("id", Text, primary_key=True), Column("n", Text))
ALONE = select(TABLE.c.id).where(among(TABLE.c.id))
BESIDE = select(TABLE.c.id).where(and_(among(TABLE.c.id), TABLE.c.n == "1"))


def test_sqlite_looks_names_up_in_the_index(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'names.sqlite3'}")
    with writing(engine) as connection:
        TABLE.create(connection)
        rows = [{"id": name, "n": "1"} for name in ("a", "b", "c,'d", "♪")]
        connection.execute(TABLE.insert(), rows)
    with reading(engine) as connection:
        for statement in (ALONE, BESIDE):
            found = connection.execute(statement, {"ids": ["c,'d", "♪", "x"]}).scalars().all()
            assert sorted(found) == ["c,'d", "♪"]
            text = str(statement.compile(dialect=sqlite.dialect()))
            plan = connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {text}", ("[]", "1")[: text.count("?")]
            )
            told = " ".join(row[-1] for row in plan)
            assert "SEARCH names USING" in told and "SCAN names" not in told
    engine.dispose()
