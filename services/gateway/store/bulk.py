"""Many rows into a table by one statement that is prepared once."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Table, insert
from sqlalchemy.engine import Connection, Dialect


@lru_cache(maxsize=32)
def _statement(table: Table, names: tuple[str, ...], dialect: Dialect) -> tuple[str, tuple[str, ...]]:
    compiled = insert(table).compile(dialect=dialect, column_keys=list(names))
    return str(compiled), tuple(compiled.positiontup or names)


def insert_rows(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert `rows`, all of the same columns, as they are: values must be of the types that the driver takes.

    The usual way looks at every value of every row again; where thousands come in a second, that is most of the work.
    """
    statement, names = _statement(table, tuple(rows[0]), conn.dialect)
    conn.exec_driver_sql(statement, [tuple(row[name] for name in names) for row in rows])
