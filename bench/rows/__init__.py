"""The rows of the table, in the order in which they are measured."""

from bench.rows import crowds, durable, fanout, history, ping, presence, scale, start
from bench.rows.row import Row

ALL: tuple[Row, ...] = (
    *fanout.ROWS,
    *ping.ROWS,
    *durable.ROWS,
    *history.ROWS,
    *crowds.ROWS,
    *presence.ROWS,
    *start.ROWS,
    *scale.ROWS,
)


def chosen(names: str) -> list[Row]:
    """The rows named, separated by commas; a name that is no row's own stands for all that begin with it."""
    if not names:
        return list(ALL)
    found: dict[str, Row] = {}
    for name in names.split(","):
        rows = [row for row in ALL if row.name == name] or [row for row in ALL if row.name.startswith(name)]
        if not rows:
            raise SystemExit(f"there is no row {name!r}; there are: {', '.join(row.name for row in ALL)}")
        found |= {row.name: row for row in rows}
    return list(found.values())
