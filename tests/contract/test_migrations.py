"""The migrations build what catalogue.database.schema declares, from nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, UniqueConstraint, inspect

from catalogue.database.engine import open_engine, upgrade
from catalogue.database.keys import SqlKeys
from catalogue.database.schema import tables
from catalogue.port import StoredKey
from tests.contract.examples import NOON


@pytest.fixture
def empty(catalogue_url: str) -> Iterator[Engine]:
    """A database without tables."""
    engine = open_engine(catalogue_url)
    yield engine
    engine.dispose()


def test_migrated_tables_are_the_declared_ones(empty: Engine) -> None:
    upgrade(empty)
    with empty.connect() as connection:
        found = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(found, tables) == []


def test_the_comparison_sees_what_is_missing(empty: Engine) -> None:
    with empty.connect() as connection:
        found = MigrationContext.configure(connection)
        differences = compare_metadata(found, tables)
    assert {entry[1].name for entry in differences if entry[0] == "add_table"} == set(tables.tables)


def test_names_and_primary_keys_are_the_declared_ones(empty: Engine) -> None:
    upgrade(empty)
    found = inspect(empty)
    assert set(found.get_table_names()) == {*tables.tables, "alembic_version"}
    for name, table in tables.tables.items():
        columns = [column["name"] for column in found.get_columns(name)]
        assert sorted(columns) == sorted(column.name for column in table.columns)
        key = found.get_pk_constraint(name)
        declared = [column.name for column in table.primary_key.columns]
        assert (key["name"], key["constrained_columns"]) == (f"pk_{name}", declared)
        indexes = {index["name"] for index in found.get_indexes(name)}
        unique = {each.name for each in table.constraints if isinstance(each, UniqueConstraint)}
        assert indexes - unique == {index.name for index in table.indexes}
        foreign = {each["name"] for each in found.get_foreign_keys(name)}
        assert foreign == {each.name for each in table.foreign_key_constraints}


def test_migrating_again_keeps_what_is_remembered(empty: Engine) -> None:
    upgrade(empty)
    key = StoredKey(id="key1", label="the-label", secret_sha256="0" * 64, created_at=NOON)
    SqlKeys(empty).add(key)
    upgrade(empty)
    assert SqlKeys(empty).find(key.id) == key


def test_programs_that_start_together_migrate_once(catalogue_url: str) -> None:
    def start(_: int) -> bool:
        engine = open_engine(catalogue_url)
        try:
            upgrade(engine)
            return SqlKeys(engine).is_empty()
        finally:
            engine.dispose()

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(start, range(6))) == [True] * 6
