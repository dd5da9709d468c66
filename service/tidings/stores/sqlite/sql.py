"""Asking SQLite."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import apsw


def select(connection: apsw.Connection, sql: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
    """The rows, as they are fetched. What their columns hold is the statement's business."""
    return cast(Iterator[tuple[Any, ...]], connection.execute(sql, values))


def select_one(connection: apsw.Connection, sql: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
    """The first row, or None."""
    return next(select(connection, sql, values), None)
