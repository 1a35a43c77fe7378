"""Whether a column is among many names, as one parameter: the statement is the same for any number.

What SQLAlchemy itself has for it writes a parameter for each name, and a statement for each number.
"""

import json
from collections.abc import Sequence
from typing import Any, Self

from sqlalchemy import Boolean, ColumnElement, Text, bindparam
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeDecorator, TypeEngine


class _Names(TypeDecorator[Sequence[str]]):
    """Some names: an array in PostgreSQL, JSON in SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.ARRAY(Text))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Sequence[str] | None, dialect: Dialect) -> Any:
        names = list(value or ())
        return names if dialect.name == "postgresql" else json.dumps(names)


class _Among(FunctionElement[bool]):
    name = "among"
    type = Boolean()
    inherit_cache = True

    def self_group(self, against: OperatorType | None = None) -> Self:
        """Stand among other conditions as it is: SQLite has no use for an index of ``… = 1``."""
        return self


def among(column: ColumnElement[str], name: str = "ids") -> ColumnElement[bool]:
    """Return whether ``column`` is among the names that the parameter ``name`` has."""
    return _Among(column, bindparam(name, type_=_Names))


@compiles(_Among, "postgresql")
def _write_any(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, names = (compiler.process(each, **options) for each in element.clauses)
    return f"{column} = ANY ({names})"


@compiles(_Among, "sqlite")
def _write_in(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, names = (compiler.process(each, **options) for each in element.clauses)
    return " ".join((column, "IN (SELECT value FROM json_each(", names, "))"))
